#include "broker/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "broker/policy_file.h"
#include "net/pool.h"

/* ---- loading ---- */

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    mem_free(p->allow_zones);
    mem_free(p->path);
    mem_free(p);
}

static void policy_freep(struct policy **p)
{
    policy_free(*p);
}

static int new_policy(const char *path, struct policy **ret, struct diag *d)
{
    CLEANUP(policy_freep) struct policy *p = NEW(struct policy);
    if (p == NULL || (path != NULL && (p->path = mem_strdup(path)) == NULL))
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    int r = policy_defaults(p);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to make the standard policy");
    *ret = STEAL(p);
    return 0;
}

int policy_parse(const char *path, struct slice text, config_problem_fn *on_problem, void *arg,
                 struct policy **ret, struct diag *d)
{
    CLEANUP(policy_freep) struct policy *p = NULL;
    struct yaml_doc *doc = NULL;
    int r = new_policy(path, &p, d);
    if (r < 0)
        return r;
    r = yaml_parse(text, &doc);
    if (r == 0 && yaml_problem_count(doc) == 0)
        r = policy_read(doc, p);
    if (r == 0)
        r = config_tell_problems(doc, path, "stile broker check", on_problem, arg, d);
    else
        (void)diag_set(d, r, 0, "Out of memory while reading %s", path);
    yaml_free(doc);
    if (r == 0)
        *ret = STEAL(p);
    return r;
}

/* Whoever may write it is the administrator. */
static int check_owner(const char *path, const struct stat *st, struct diag *d)
{
    if (!S_ISREG(st->st_mode))
        return diag_set(d, ERR_INVAL, 0, "%s is not a file", path);
    if ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & 022) != 0)
        return diag_set(
            d, ERR_PERM, 0,
            "Others than root may write %s (uid %u, mode %04o), and so allow themselves "
            "what they like. Do: chown root:root %s && chmod 0644 %s",
            path, (unsigned)st->st_uid, (unsigned)st->st_mode & 07777, path, path);
    return 0;
}

static int read_all(int fd, const char *path, struct buf *text, struct diag *d)
{
    for (;;) {
        uint8_t *space;
        int r = buf_reserve(text, 4096, &space);
        if (r < 0)
            return diag_set(d, r, 0, "%s is too long", path);
        ssize_t n = read(fd, space, 4096);
        if (n < 0)
            return diag_set(d, err_from_errno(errno), errno, "Failed to read %s: %s", path,
                            strerror(errno));
        if (n == 0)
            return 0;
        buf_commit(text, (size_t)n);
    }
}

static int read_file(const char *path, struct buf *text, struct diag *d)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = errno;
        if (fd >= 0)
            (void)close(fd);
        return diag_set(d, err_from_errno(code), code, "Failed to open %s: %s", path,
                        strerror(code));
    }
    int r = check_owner(path, &st, d);
    if (r == 0)
        r = read_all(fd, path, text, d);
    (void)close(fd);
    return r;
}

/* An entry means that someone is or will be this user, or of this group. Each is asked for by itself, as a directory may not
 * list the users that it has; so no more than are needed. */
static int find_engine_uids(struct policy *p, struct diag *d)
{
    for (uint32_t uid = p->engine_uid_first;
         uid <= p->engine_uid_last && p->engine_uid_count < POLICY_UIDS_FOUND; uid++)
        if (getpwuid(uid) == NULL && getgrgid(uid) == NULL)
            p->engine_uids[p->engine_uid_count++] = uid;
    if (p->engine_uid_count > 0)
        return 0;
    return diag_set(d, ERR_EXISTS, 0,
                    "Every uid from %u to %u is a user's or a group's; choose others for engines "
                    "(engine_uids in %s)",
                    (unsigned)p->engine_uid_first, (unsigned)p->engine_uid_last,
                    p->path != NULL ? p->path : POLICY_PATH);
}

int policy_load(const char *path, bool must_exist, config_problem_fn *on_problem, void *arg,
                struct policy **ret, struct diag *d)
{
    struct buf text;
    buf_init(&text, YAML_TEXT_MAX);
    int r = read_file(path, &text, d);
    CLEANUP(policy_freep) struct policy *p = NULL;
    if (r == ERR_NOTFOUND && !must_exist)
        r = new_policy(NULL, &p, d);
    else if (r == 0)
        r = policy_parse(path, buf_slice(&text), on_problem, arg, &p, d);
    buf_release(&text);
    if (r == 0 && p != NULL)
        r = find_engine_uids(p, d);
    if (r == 0)
        *ret = STEAL(p);
    return r;
}

/* ---- judging ---- */

static const char *file_of(const struct policy *p)
{
    return p->path != NULL ? p->path : POLICY_PATH;
}

static struct prefix prefix_of_range(const struct broker_range *range)
{
    struct prefix p = {.addr = ip_addr_from(4, range->addr), .bits = (uint8_t)range->bits};
    return p;
}

static bool within(const struct prefix *outer, const struct prefix *inner)
{
    return outer->bits <= inner->bits && prefix_contains(outer, &inner->addr);
}

static int check_range(const struct policy *p, const struct broker_network *n, size_t at,
                       struct diag *d)
{
    struct prefix range = prefix_of_range(&n->ranges[at]);
    char text[PREFIX_TEXT_SIZE];
    prefix_format(&range, text);
    if (range.bits > POOL_MAX_BITS)
        return diag_set(d, ERR_DENIED, 0, "Range %s has no room for apps; choose a larger one",
                        text);
    if (policy_range_is_forbidden(&range))
        return diag_set(d, ERR_DENIED, 0,
                        "Range %s overlaps loopback, link-local or multicast addresses, which the "
                        "host needs itself; choose another one (stile up --range)",
                        text);
    for (size_t i = 0; i < at; i++) {
        struct prefix other = prefix_of_range(&n->ranges[i]);
        if (prefix_overlaps(&other, &range))
            return diag_set(d, ERR_DENIED, 0, "Range %s overlaps another one of the same session",
                            text);
    }
    for (size_t i = 0; i < p->allow_range_count; i++)
        if (within(&p->allow_ranges[i], &range))
            return 0;
    return diag_set(d, ERR_DENIED, 0,
                    "This machine's policy doesn't allow range %s; choose one that `stile broker "
                    "check` lists, or ask the administrator to add it to allow_ranges in %s",
                    text, file_of(p));
}

static bool zone_allowed(const struct policy *p, const struct name *zone)
{
    for (size_t i = 0; i < p->allow_zone_count; i++)
        if (name_in_zone(zone, &p->allow_zones[i]))
            return true;
    return p->any_zone;
}

static int check_zone(const struct policy *p, const char *text, struct diag *d)
{
    struct name zone;
    if (name_parse(text, &zone) < 0 || !str_eq(zone.text, text))
        return diag_set(d, ERR_DENIED, 0, "\"%s\" is no domain name, so it can't be a zone", text);
    if (name_labels(&zone) < 2)
        return diag_set(d, ERR_DENIED, 0,
                        "Zone %s has only one label: it would take a whole top-level domain from "
                        "this machine. Ask for a longer one on the gateway (dns_zones)",
                        text);
    if (str_eq(text, "in-addr.arpa") || str_eq(text, "ip6.arpa"))
        return diag_set(d, ERR_DENIED, 0,
                        "Zone %s holds the names of all addresses; it is not for a session", text);
    if (!zone_allowed(p, &zone))
        return diag_set(d, ERR_DENIED, 0,
                        "This machine's policy doesn't allow zone %s; ask the administrator to add "
                        "it to allow_zones in %s, or use `stile run`",
                        text, file_of(p));
    return 0;
}

int policy_check(const struct policy *p, const struct broker_network *n, struct diag *d)
{
    int r = 0;
    if (n->uid_count > POLICY_OTHERS_MAX)
        return diag_set(d, ERR_DENIED, 0,
                        "At most %d others may use a session's addresses (stile up --allow-user)",
                        POLICY_OTHERS_MAX);
    for (size_t i = 0; r == 0 && i < n->range_count; i++)
        r = check_range(p, n, i, d);
    for (size_t i = 0; r == 0 && i < n->zone_count; i++)
        r = check_zone(p, n->zones[i], d);
    return r;
}
