#include "agent/certs.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"
#include "tls/certs.h"
#include "tls/keys.h"

/* A certificate is stale this long before its end, or a fifth of its life if that is shorter. */
#define STALE_MARGIN_S 60
#define SPKI_CAP       4096

/* profile NUL leaf NUL name NUL port: no two different ones look alike. */
struct certs_id {
    uint8_t bytes[3 * PROFILE_NAME_SIZE + 2];
    size_t len;
};

/* One app and port. While it is pinned it isn't freed, only forgotten. */
struct entry {
    struct certs *owner;
    struct certs_id id;
    char profile[PROFILE_NAME_SIZE];
    EVP_PKEY *key;
    X509 *cert; /* NULL: not issued yet */
    int64_t stale_s;
    int64_t end_s;
    bool asking;
    unsigned pins;  /* questions on their way and answers being given */
    bool forgotten; /* not in the table any more */
    struct list waiters;
};

struct waiter {
    struct list node;
    certs_done_fn *done;
    void *arg;
};

struct certs {
    struct directory directory;
    struct table table;
};

static int make_id(const app_key *key, uint16_t port, struct certs_id *ret)
{
    const char *parts[] = {key->profile, key->leaf_cluster, key->name};
    struct wr w = wr_init(ret->bytes, sizeof(ret->bytes));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strlen(parts[i]) >= PROFILE_NAME_SIZE)
            return ERR_TOOBIG;
        wr_bytes(&w, slice_str(parts[i]));
        wr_u8(&w, 0);
    }
    wr_u16(&w, port);
    ret->len = wr_len(&w);
    return wr_end(&w);
}

static struct slice id_slice(const struct certs_id *id)
{
    return slice_of(id->bytes, id->len);
}

int certs_new(struct directory directory, struct certs **ret)
{
    uint8_t secret[16];
    struct certs *c = NEW(struct certs);
    if (c == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&c->table, secret);
    c->directory = directory;
    *ret = c;
    return 0;
}

/* OpenSSL wipes the private part when the last reference goes. */
static void entry_free(struct entry *e)
{
    X509_free(e->cert);
    EVP_PKEY_free(e->key);
    mem_free(e);
}

static void forget(struct certs *c, struct entry *e)
{
    table_remove(&c->table, id_slice(&e->id));
    e->forgotten = true;
    if (e->pins == 0)
        entry_free(e);
}

static struct entry *find_one(struct certs *c, const char *profile, bool idle)
{
    struct entry *e = NULL;
    for (size_t i = 0; (e = table_next(&c->table, &i)) != NULL;)
        if ((profile == NULL || str_eq(e->profile, profile)) && !(idle && e->pins > 0))
            return e;
    return NULL;
}

void certs_drop(struct certs *c, const char *profile)
{
    for (struct entry *e = find_one(c, profile, false); e != NULL; e = find_one(c, profile, false))
        forget(c, e);
}

void certs_free(struct certs *c)
{
    if (c == NULL)
        return;
    certs_drop(c, NULL);
    table_release(&c->table);
    mem_free(c);
}

static void settle(struct entry *e, int err, const struct diag *d)
{
    struct list batch;
    list_init(&batch);
    for (struct list *n = list_pop_front(&e->waiters); n != NULL; n = list_pop_front(&e->waiters))
        list_push_back(&batch, n);
    e->asking = false;
    for (struct list *n = list_pop_front(&batch); n != NULL; n = list_pop_front(&batch)) {
        struct waiter *w = LIST_ENTRY(n, struct waiter, node);
        w->done(w->arg, err, err == 0 ? e->cert : NULL, err == 0 ? e->key : NULL, d);
        mem_free(w);
    }
    e->pins--;
    if (e->forgotten && e->pins == 0)
        entry_free(e);
}

static int take_cert(struct entry *e, X509 *cert, struct diag *d)
{
    int64_t now = clock_wall_s();
    int64_t end = cert_not_after(cert);
    if (X509_check_private_key(cert, e->key) != 1)
        return diag_set(d, ERR_PROTOCOL, 0, "The gateway issued a certificate for another key");
    if (end <= now)
        return diag_set(d, ERR_EXPIRED, 0,
                        "The gateway issued a certificate that has ended already; is the clock "
                        "of this computer right?");
    X509_up_ref(cert);
    X509_free(e->cert);
    e->cert = cert;
    e->end_s = end;
    e->stale_s = end - MIN((int64_t)STALE_MARGIN_S, (end - now) / 5);
    return 0;
}

static void on_issued(void *arg, int err, X509 *cert, const struct diag *cause)
{
    struct entry *e = arg;
    struct diag d = {0};
    if (err < 0)
        d = *cause;
    else
        err = take_cert(e, cert, &d);
    settle(e, err, &d);
}

static void ask(struct entry *e, const app_key *key, uint16_t port)
{
    struct directory *dir = &e->owner->directory;
    CLEANUP(buf_release) struct buf spki;
    struct diag d = {0};
    buf_init(&spki, SPKI_CAP);
    e->asking = true;
    e->pins++;
    int r = key_to_spki(e->key, &spki);
    if (r < 0)
        diag_set(&d, r, 0, "Failed to encode a key: %s", err_text(r));
    else
        r = dir->ops->issue(dir->self, key, port, buf_slice(&spki), on_issued, e, &d);
    if (r < 0)
        settle(e, r, &d);
}

static struct entry *entry_new(struct certs *c, const app_key *key, const struct certs_id *id)
{
    if (c->table.count >= CERTS_MAX) {
        struct entry *old = find_one(c, NULL, true);
        if (old == NULL)
            return NULL;
        forget(c, old);
    }
    struct entry *e = NEW(struct entry);
    if (e == NULL)
        return NULL;
    e->owner = c;
    e->id = *id;
    list_init(&e->waiters);
    if (str_copy(e->profile, sizeof(e->profile), key->profile) < 0 || key_new(&e->key) < 0 ||
        table_put(&c->table, id_slice(&e->id), e) < 0) {
        entry_free(e);
        return NULL;
    }
    return e;
}

static int add_waiter(struct entry *e, certs_done_fn *done, void *arg)
{
    struct waiter *w = NEW(struct waiter);
    if (w == NULL)
        return ERR_NOMEM;
    w->done = done;
    w->arg = arg;
    list_push_back(&e->waiters, &w->node);
    return 0;
}

void certs_get(struct certs *c, const app_key *key, uint16_t port, certs_done_fn *done, void *arg)
{
    struct certs_id id;
    struct diag d = {0};
    if (make_id(key, port, &id) < 0) {
        diag_set(&d, ERR_NOTFOUND, 0, "There is no such app");
        done(arg, d.err, NULL, NULL, &d);
        return;
    }
    struct entry *e = table_get(&c->table, id_slice(&id));
    if (e != NULL && !e->asking && e->cert != NULL && clock_wall_s() < e->stale_s) {
        done(arg, 0, e->cert, e->key, &d);
        return;
    }
    if (e == NULL)
        e = entry_new(c, key, &id);
    if (e == NULL || add_waiter(e, done, arg) < 0) {
        diag_set(&d, ERR_LIMIT, 0, "Too many certificates are being issued");
        done(arg, d.err, NULL, NULL, &d);
        return;
    }
    if (!e->asking)
        ask(e, key, port);
}

EVP_PKEY *certs_key(struct certs *c, const app_key *key, uint16_t port)
{
    struct certs_id id;
    if (make_id(key, port, &id) < 0)
        return NULL;
    struct entry *e = table_get(&c->table, id_slice(&id));
    if (e == NULL || e->cert == NULL || clock_wall_s() >= e->end_s)
        return NULL;
    return e->key;
}
