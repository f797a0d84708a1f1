#include "agent/profile.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "tls/certs.h"

/* A certificate this near to its end counts as expired. */
#define EXPIRY_MARGIN_S 10

static void bio_freep(BIO **bio)
{
    BIO_free_all(*bio);
}

static void json_freep(json_t **value)
{
    json_decref(*value);
}

int profile_check_name(const char *name, struct diag *d)
{
    size_t len = strlen(name);
    bool good = len > 0 && len < PROFILE_NAME_SIZE && name[0] != '.' &&
                strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
    if (good)
        return 0;
    return diag_set(d, ERR_INVAL, 0,
                    "\"%.80s\" can't be the name of a profile: use up to %d of a-z, 0-9, '.', '_' "
                    "and '-', and no dot first",
                    name, PROFILE_NAME_SIZE - 1);
}

static int damaged(const char *name, const char *what, struct diag *d)
{
    return diag_set(d, ERR_FORMAT, 0, "Profile %s is damaged (%s); log in again with: stile login",
                    name, what);
}

static int copy_text(json_t *object, const char *key, char *dst, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL || !str_is_printable(slice_str(text)))
        return ERR_FORMAT;
    return str_copy(dst, size, text);
}

static int read_zones(json_t *list, struct cluster *c)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > PROFILE_ZONES_MAX)
        return ERR_FORMAT;
    for (size_t i = 0; i < n; i++) {
        const char *zone = json_string_value(json_array_get(list, i));
        if (zone == NULL || str_copy(c->zones[i], sizeof(c->zones[i]), zone) < 0)
            return ERR_FORMAT;
    }
    c->zone_count = n;
    return 0;
}

static int read_json(struct profile *p, json_t *root)
{
    struct cluster *c = &p->cluster;
    if (copy_text(root, "gateway", p->gateway, sizeof(p->gateway)) < 0 ||
        copy_text(root, "user", p->user, sizeof(p->user)) < 0 ||
        copy_text(root, "cluster", c->name, sizeof(c->name)) < 0 ||
        copy_text(root, "public_addr", c->public_addr, sizeof(c->public_addr)) < 0 ||
        copy_text(root, "gateway_version", c->gateway_version, sizeof(c->gateway_version)) < 0 ||
        copy_text(root, "ipv4_range", c->ipv4_range, sizeof(c->ipv4_range)) < 0)
        return ERR_FORMAT;
    json_t *expires = json_object_get(root, "expires_s");
    if (!json_is_integer(expires))
        return ERR_FORMAT;
    p->expires_s = json_integer_value(expires);
    return read_zones(json_object_get(root, "dns_zones"), c);
}

static int load_json(const struct private_dir *dir, struct profile *p, struct diag *d)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, PROFILE_FILE_CAP);
    int r = private_dir_read(dir, "profile.json", &b, d);
    if (r < 0)
        return r;
    struct slice text = buf_slice(&b);
    CLEANUP(json_freep)
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    uint16_t port = 0;
    if (root == NULL || read_json(p, root) < 0 ||
        profile_split_addr(p->gateway, p->gateway_name, &port, NULL) < 0)
        return damaged(p->name, "profile.json", d);
    (void)profile_split_addr(p->cluster.public_addr, p->public_name, &port, NULL);
    return 0;
}

/* The file as a BIO over b, which is wiped by the caller. */
static int read_pem(const struct private_dir *dir, const char *file, struct buf *b, BIO **ret,
                    struct diag *d)
{
    int r = private_dir_read(dir, file, b, d);
    if (r < 0)
        return r;
    struct slice text = buf_slice(b);
    *ret = BIO_new_mem_buf(text.data, (int)text.len);
    return *ret == NULL ? diag_set(d, ERR_NOMEM, 0, "Out of memory") : 0;
}

static int load_cert(const struct private_dir *dir, struct profile *p, struct diag *d)
{
    CLEANUP(buf_release) struct buf b;
    CLEANUP(bio_freep) BIO *bio = NULL;
    buf_init(&b, PROFILE_FILE_CAP);
    int r = read_pem(dir, "cert.pem", &b, &bio, d);
    if (r < 0)
        return r;
    p->cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (p->cert == NULL)
        return damaged(p->name, "cert.pem", d);
    p->expires_s = MIN(p->expires_s, cert_not_after(p->cert));
    return 0;
}

static int load_key(const struct private_dir *dir, struct profile *p, struct diag *d)
{
    CLEANUP(buf_release_wiped) struct buf b;
    CLEANUP(bio_freep) BIO *bio = NULL;
    buf_init(&b, PROFILE_FILE_CAP);
    int r = read_pem(dir, "key.pem", &b, &bio, d);
    if (r < 0)
        return r;
    p->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (p->key == NULL)
        return damaged(p->name, "key.pem", d);
    if (X509_check_private_key(p->cert, p->key) != 1)
        return damaged(p->name, "key and certificate don't belong together", d);
    return 0;
}

static int load_once(const struct home *home, const char *name, struct profile *p, struct diag *d)
{
    CLEANUP(private_dir_close) struct private_dir dir = PRIVATE_DIR_NONE;
    p->stamp = private_dir_stamp(&home->profiles, name);
    int r = private_dir_sub(&home->profiles, name, false, &dir, d);
    if (r < 0)
        return r;
    r = load_json(&dir, p, d);
    if (r < 0)
        return r;
    r = private_dir_read(&dir, "ca.pem", &p->ca_pem, d);
    if (r < 0)
        return r;
    r = load_cert(&dir, p, d);
    if (r < 0)
        return r;
    return load_key(&dir, p, d);
}

static int not_logged_in(const char *name, struct diag *d)
{
    return diag_set(d, ERR_NOTFOUND, 0,
                    "There is no profile %s; log in with: stile login --gateway HOST:PORT --user "
                    "NAME --profile %s",
                    name, name);
}

int profile_load(const struct home *home, const char *name, struct profile **ret, struct diag *d)
{
    int r = profile_check_name(name, d);
    if (r < 0)
        return r;
    /* A log-in meanwhile empties the directory that we have open: the new one is there then. */
    for (int attempt = 0; attempt < 3; attempt++) {
        CLEANUP(profile_freep) struct profile *p = NEW(struct profile);
        if (p == NULL || str_copy(p->name, sizeof(p->name), name) < 0)
            return diag_set(d, ERR_NOMEM, 0, "Out of memory");
        buf_init(&p->ca_pem, PROFILE_FILE_CAP);
        r = load_once(home, name, p, d);
        if (r == 0)
            *ret = STEAL(p);
        if (r != ERR_NOTFOUND)
            return r;
        if (private_dir_stamp(&home->profiles, name) == 0)
            return not_logged_in(name, d);
    }
    return damaged(name, "a file is missing", d);
}

static int save_json(const struct private_dir *dir, const struct profile *p, struct diag *d)
{
    const struct cluster *c = &p->cluster;
    CLEANUP(json_freep)
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:[]}", "version", 1, "gateway",
                  p->gateway, "user", p->user, "cluster", c->name, "public_addr", c->public_addr,
                  "gateway_version", c->gateway_version, "ipv4_range", c->ipv4_range, "expires_s",
                  (json_int_t)p->expires_s, "dns_zones");
    json_t *zones = json_object_get(root, "dns_zones");
    for (size_t i = 0; i < c->zone_count; i++)
        if (json_array_append_new(zones, json_string(c->zones[i])) < 0)
            return diag_set(d, ERR_INVAL, 0, "The gateway's zone %zu isn't a name", i + 1);
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, PROFILE_FILE_CAP);
    size_t size = root != NULL ? json_dumpb(root, NULL, 0, JSON_INDENT(2)) : 0;
    uint8_t *space = NULL;
    if (size == 0 || buf_reserve(&b, size, &space) < 0 ||
        json_dumpb(root, (char *)space, size, JSON_INDENT(2)) != size)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    buf_commit(&b, size);
    return private_dir_write(dir, "profile.json", buf_slice(&b), d);
}

static int save_bio(const struct private_dir *dir, const char *file, BIO *bio, struct diag *d)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    if (len <= 0)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    return private_dir_write(dir, file, slice_of(text, (size_t)len), d);
}

static int save_pems(const struct private_dir *dir, const struct profile *p, struct diag *d)
{
    /* Memory that OpenSSL wipes when it is freed. */
    CLEANUP(bio_freep) BIO *key = BIO_new(BIO_s_secmem());
    CLEANUP(bio_freep) BIO *cert = BIO_new(BIO_s_mem());
    if (key == NULL || cert == NULL || PEM_write_bio_X509(cert, p->cert) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key, p->key, NULL, NULL, 0, NULL, NULL) != 1)
        return diag_set(d, ERR_NOMEM, 0, "Failed to encode key and certificate of profile %s",
                        p->name);
    int r = save_bio(dir, "key.pem", key, d);
    if (r < 0)
        return r;
    r = save_bio(dir, "cert.pem", cert, d);
    if (r < 0)
        return r;
    return private_dir_write(dir, "ca.pem", buf_slice(&p->ca_pem), d);
}

int profile_save(const struct home *home, const struct profile *profile, struct diag *d)
{
    CLEANUP(private_dir_close) struct private_dir dir = PRIVATE_DIR_NONE;
    char staged[PRIVATE_NAME_SIZE];
    int r = profile_check_name(profile->name, d);
    if (r < 0)
        return r;
    r = private_dir_stage(&home->profiles, &dir, staged, d);
    if (r < 0)
        return r;
    r = save_json(&dir, profile, d);
    if (r == 0)
        r = save_pems(&dir, profile, d);
    if (r == 0)
        r = private_dir_commit(&home->profiles, staged, profile->name, d);
    if (r < 0)
        (void)private_dir_remove_sub(&home->profiles, staged, NULL);
    return r;
}

int profile_remove(const struct home *home, const char *name, struct diag *d)
{
    int r = profile_check_name(name, d);
    if (r < 0)
        return r;
    r = private_dir_remove_sub(&home->profiles, name, d);
    return r == ERR_NOTFOUND ? not_logged_in(name, d) : r;
}

void profile_free(struct profile *p)
{
    if (p == NULL)
        return;
    buf_release(&p->ca_pem);
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    mem_free(p);
}

void profile_freep(struct profile **profile)
{
    profile_free(*profile);
}

uint64_t profile_stamp(const struct home *home, const char *name)
{
    return private_dir_stamp(&home->profiles, name != NULL ? name : ".");
}

struct listing {
    struct profile_names *names;
    bool full;
};

static void add_name(void *arg, const char *name)
{
    struct listing *l = arg;
    if (profile_check_name(name, NULL) < 0)
        return;
    if (l->names->count == PROFILES_MAX) {
        l->full = true;
        return;
    }
    size_t at = l->names->count++;
    for (; at > 0 && strcmp(l->names->names[at - 1], name) > 0; at--)
        memcpy(l->names->names[at], l->names->names[at - 1], PROFILE_NAME_SIZE);
    if (str_copy(l->names->names[at], PROFILE_NAME_SIZE, name) < 0)
        l->names->names[at][0] = '\0';
}

int profile_list(const struct home *home, struct profile_names *ret, struct diag *d)
{
    ret->count = 0;
    struct listing l = {.names = ret};
    int r = private_dir_list(&home->profiles, add_name, &l, d);
    if (r < 0)
        return r;
    if (l.full)
        return diag_set(d, ERR_LIMIT, 0,
                        "There are more than %d profiles; remove some with: "
                        "stile logout --profile NAME",
                        PROFILES_MAX);
    return 0;
}

static int read_default(const struct home *home, char ret[PROFILE_NAME_SIZE])
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, PROFILE_NAME_SIZE);
    int r = private_dir_read(&home->root, "default", &b, NULL);
    if (r < 0)
        return r;
    r = str_copy_slice(ret, PROFILE_NAME_SIZE, buf_slice(&b));
    return r < 0 ? r : profile_check_name(ret, NULL);
}

int profile_choose(const struct home *home, const char *name, char ret[PROFILE_NAME_SIZE],
                   struct diag *d)
{
    struct profile_names names;
    if (name != NULL) {
        int r = profile_check_name(name, d);
        if (r < 0)
            return r;
        if (private_dir_stamp(&home->profiles, name) == 0)
            return not_logged_in(name, d);
        return str_copy(ret, PROFILE_NAME_SIZE, name);
    }
    int r = profile_list(home, &names, d);
    if (r < 0)
        return r;
    if (names.count == 0)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "There is no profile yet; log in with: stile login --gateway HOST:PORT "
                        "--user NAME --ca FILE");
    if (names.count == 1)
        return str_copy(ret, PROFILE_NAME_SIZE, names.names[0]);
    if (read_default(home, ret) == 0 && private_dir_stamp(&home->profiles, ret) != 0)
        return 0;
    return diag_set(d, ERR_NOTFOUND, 0, "There are %zu profiles; say which one with --profile",
                    names.count);
}

int profile_set_default(const struct home *home, const char *name, struct diag *d)
{
    return private_dir_write(&home->root, "default", slice_str(name), d);
}

int64_t profile_usable_s(const struct profile *profile)
{
    return profile->expires_s - EXPIRY_MARGIN_S - clock_wall_s();
}

bool profile_expired(const struct profile *profile)
{
    return profile_usable_s(profile) <= 0;
}

int profile_log_in_again(const struct profile *profile, struct diag *d)
{
    return diag_set(
        d, ERR_EXPIRED, 0,
        "The log-in to %s as %s has expired; log in again with: stile login --profile %s",
        profile->cluster.name, profile->user, profile->name);
}

int profile_split_addr(const char *addr, char host_ret[PROFILE_HOST_SIZE], uint16_t *ret_port,
                       struct diag *d)
{
    const char *colon = strrchr(addr, ':');
    const char *start = addr, *end = colon;
    if (addr[0] == '[') {
        start = addr + 1;
        end = strchr(addr, ']');
        colon = end != NULL && end[1] == ':' ? end + 1 : NULL;
    } else if (colon != NULL && memchr(addr, ':', (size_t)(colon - addr)) != NULL) {
        colon = NULL; /* a bare IPv6 address */
    }
    uint16_t port = 0;
    if (colon == NULL || end == start || str_to_u16(colon + 1, &port) < 0 || port == 0 ||
        str_copy_slice(host_ret, PROFILE_HOST_SIZE, slice_of(start, (size_t)(end - start))) < 0)
        return diag_set(d, ERR_INVAL, 0,
                        "\"%.80s\" is not an address of a gateway; write HOST:PORT or [IPV6]:PORT",
                        addr);
    *ret_port = port;
    return 0;
}
