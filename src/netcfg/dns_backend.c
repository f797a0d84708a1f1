#include "netcfg/dns_backend.h"

#include <assert.h>

#include "base/log.h"
#include "base/str.h"
#include "net/resolv_conf.h"

/* In the order of `auto`. */
static const struct {
    const char *name;
    int (*make)(struct dns_backend **ret, struct diag *d);
} backends[] = {
    {"resolved", dns_resolved_new},
    {"networkmanager", dns_networkmanager_new},
    {"resolvconf", dns_resolvconf_new},
    {"file", dns_file_new},
    {"none", dns_none_new},
};

static int probe(struct dns_backend *b, struct diag *d)
{
    return b->ops->probe == NULL ? 0 : b->ops->probe(b, d);
}

/* The first one from this row on that is in use here. */
static int detect(size_t row, struct dns_backend **ret, struct diag *d)
{
    struct dns_backend *b = NULL;
    struct diag why = {0};

    for (size_t i = row; i < ARRAY_LEN(backends); i++) {
        int r = backends[i].make(&b, d);
        if (r < 0)
            return r;
        assert(b != NULL);
        if (probe(b, &why) == 0) {
            b->automatic = true;
            *ret = b;
            return 0;
        }
        log_debug("DNS isn't set through %s: %s", backends[i].name, why.text);
        dns_backend_free(b);
    }
    return diag_set(d, ERR_INTERNAL, 0, "No way to set DNS was found");
}

static size_t row_of(const char *name)
{
    size_t i = 0;

    while (i < ARRAY_LEN(backends) && !str_eq(backends[i].name, name))
        i++;
    return i;
}

static int chosen_failed(const char *choice, int err, struct diag *d)
{
    struct diag why = {0};

    if (d != NULL)
        why = *d;
    return diag_set(d, err, why.os_code,
                    "Failed to set DNS through %s, which was chosen: %s. Start or install it, or "
                    "let stile choose: dns: auto in the policy, or --dns auto",
                    choice, why.text);
}

int dns_backend_detect(const char *choice, struct dns_backend **ret, struct diag *d)
{
    struct dns_backend *b = NULL;

    if (str_eq(choice, "auto"))
        return detect(0, ret, d);
    int r = dns_backend_by_name(choice, &b, d);
    if (r == ERR_NOTFOUND)
        return diag_set(d, ERR_INVAL, 0,
                        "There is no way to set DNS named \"%s\": choose auto, resolved, "
                        "networkmanager, resolvconf, file or none",
                        choice);
    if (r < 0)
        return r;
    assert(b != NULL);
    r = probe(b, d);
    if (r < 0 && r != ERR_UNSUPPORTED) {
        dns_backend_free(b);
        return chosen_failed(choice, r, d);
    }
    *ret = b;
    return 0;
}

const char *dns_backend_name(const struct dns_backend *b)
{
    return b->instead != NULL ? b->instead->ops->name : b->ops->name;
}

int dns_backend_by_name(const char *name, struct dns_backend **ret, struct diag *d)
{
    size_t row = row_of(name);

    if (row == ARRAY_LEN(backends))
        return diag_set(d, ERR_NOTFOUND, 0, "There is no way to set DNS named \"%s\"", name);
    return backends[row].make(ret, d);
}

void dns_backend_free(struct dns_backend *b)
{
    if (b == NULL)
        return;
    dns_backend_unwatch(b);
    dns_backend_free(b->spare);
    b->ops->free(b);
}

static struct dns_backend *used(struct dns_backend *b)
{
    return b->instead != NULL ? b->instead : b;
}

static const struct dns_backend *spare_of(struct dns_backend *b)
{
    struct dns_backend *next = NULL;
    struct diag why = {0};

    if (b->spare != NULL || !b->automatic || !b->ops->uncertain ||
        detect(row_of(b->ops->name) + 1, &next, &why) < 0 || next == NULL)
        return b->spare;
    if (next->exclusive == b->exclusive)
        b->spare = next;
    else
        dns_backend_free(next);
    return b->spare;
}

/* ---- records of undo bytes: name's length, name, length (u16), bytes ---- */

static int put_record(struct buf *undo, const char *name, struct slice bytes)
{
    struct slice text = slice_str(name);
    int r = buf_put_u8(undo, (uint8_t)text.len);

    if (bytes.len > UINT16_MAX)
        return ERR_TOOBIG;
    if (r == 0)
        r = buf_put(undo, text);
    if (r == 0)
        r = buf_put_u8(undo, (uint8_t)(bytes.len >> 8));
    if (r == 0)
        r = buf_put_u8(undo, (uint8_t)bytes.len);
    return r < 0 ? r : buf_put(undo, bytes);
}

struct record {
    char name[DNS_BACKEND_NAME_SIZE];
    struct slice bytes;
};

/* At least one, at most two. */
static int read_records(const struct object *o, struct slice undo, struct record records[2],
                        size_t *ret_count, struct diag *d)
{
    struct rd in = rd_init(undo);
    size_t count = 0;
    int r = 0;

    do {
        r = str_copy_slice(records[count].name, DNS_BACKEND_NAME_SIZE, rd_bytes(&in, rd_u8(&in)));
        records[count].bytes = rd_bytes(&in, rd_u16(&in));
        count++;
    } while (r == 0 && !in.bad && rd_left(&in) > 0 && count < 2);
    if (r < 0 || rd_end(&in) < 0)
        return diag_set(d, ERR_FORMAT, 0, "What was noted of DNS of %s is damaged", o->link);
    *ret_count = count;
    return 0;
}

/* ---- the four operations ---- */

static int capture(struct dns_backend *b, const struct object *o, struct buf *undo, struct diag *d)
{
    CLEANUP(buf_release) struct buf bytes;

    buf_init(&bytes, OBJECT_UNDO_MAX);
    int r = b->ops->capture(b, o, &bytes, d);
    if (r < 0)
        return r;
    r = put_record(undo, b->ops->name, buf_slice(&bytes));
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the DNS settings of %s: %s", o->link, err_text(r));
    return 0;
}

int dns_backend_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d)
{
    int r = capture(used(b), o, undo, d);

    if (r == 0 && b->instead == NULL && spare_of(b) != NULL)
        r = capture(b->spare, o, undo, d);
    return r;
}

int dns_backend_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d)
{
    struct dns_backend *u = used(b);
    struct diag why = {0};
    int r = u->ops->apply(u, o, old, &why);

    if (r == ERR_UNSUPPORTED && u == b && b->spare != NULL) {
        log_debug("DNS is set through %s from now on: %s", b->spare->ops->name, why.text);
        b->instead = b->spare;
        if (b->loop != NULL)
            dns_backend_watch(b->spare, b->loop, b->changed, b->changed_arg, NULL);
        r = b->spare->ops->apply(b->spare, o, NULL, &why);
    }
    if (r < 0 && d != NULL)
        *d = why;
    return r;
}

/* The back-end of a name: b or its spare, or another that is the caller's to free (*ret_other). */
static int writer_of(struct dns_backend *b, const char *name, struct dns_backend **ret_other,
                     struct dns_backend **ret, struct diag *d)
{
    for (; b != NULL; b = b->spare)
        if (str_eq(b->ops->name, name)) {
            *ret = b;
            return 0;
        }
    int r = dns_backend_by_name(name, ret_other, d);
    if (r < 0)
        return r;
    *ret = *ret_other;
    return *ret == NULL ? ERR_INTERNAL : 0;
}

int dns_backend_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d)
{
    struct dns_backend *other = NULL, *writer = NULL;
    struct record records[2];
    size_t count = 0, i = 0;
    int r = read_records(o, undo, records, &count, d);

    if (r < 0)
        return r;
    if (count == 2 && b != NULL && str_eq(used(b)->ops->name, records[1].name))
        i = 1;
    r = writer_of(b, records[i].name, &other, &writer, d);
    if (r == 0)
        r = writer->ops->verify(writer, o, records[i].bytes, ret, d);
    dns_backend_free(other);
    return r;
}

static int undo_record(struct dns_backend *b, const struct object *o, const struct record *record,
                       enum object_undone *ret, struct diag *d)
{
    struct dns_backend *other = NULL, *writer = NULL;
    int r = writer_of(b, record->name, &other, &writer, d);

    *ret = OBJECT_GONE;
    if (r == 0)
        r = writer->ops->undo(writer, o, record->bytes, ret, d);
    dns_backend_free(other);
    return r;
}

/* Whether the first of two records' back-ends is (again) what resolves this host's names: the spare has nothing then, and what may
 * look like its work (our servers in /etc/resolv.conf, still) is the first one's. */
static bool is_used(struct dns_backend *b, const struct record *record)
{
    struct dns_backend *other = NULL, *writer = NULL;
    struct diag why = {0};
    bool used_now =
        writer_of(b, record->name, &other, &writer, &why) == 0 && probe(writer, &why) == 0;

    dns_backend_free(other);
    return used_now;
}

static void add_undone(enum object_undone each, enum object_undone *all)
{
    if (each == OBJECT_UNDONE || *all == OBJECT_GONE)
        *all = each;
}

int dns_backend_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                     enum object_undone *ret, struct diag *d)
{
    enum object_undone each = OBJECT_GONE, all = OBJECT_GONE;
    struct record records[2];
    size_t count = 0;
    int r = read_records(o, undo, records, &count, d);

    if (r < 0)
        return r;
    r = undo_record(b, o, &records[0], &each, d);
    add_undone(each, &all);
    if (r != ERR_TIMEOUT && count == 2 && !is_used(b, &records[0])) {
        int second = undo_record(b, o, &records[1], &each, r < 0 ? NULL : d);
        add_undone(each, &all);
        r = r < 0 ? r : second;
    }
    if (r == 0)
        *ret = all;
    return r;
}

int dns_backend_upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                          struct diag *d)
{
    struct dns_backend *u = used(b);
    int r = u->ops->upstreams(u, ours, ret, d);

    for (size_t i = 0; r == 0 && ours != NULL && i < ours->dns.server_count; i++)
        resolvers_remove(ret, &ours->dns.servers[i]);
    return r;
}

int dns_backend_watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                      struct diag *d)
{
    int r = b->ops->watch == NULL ? 0 : b->ops->watch(b, loop, changed, arg, d);

    if (r == 0) {
        b->loop = loop;
        b->changed = changed;
        b->changed_arg = arg;
    }
    return r;
}

void dns_backend_unwatch(struct dns_backend *b)
{
    if (b->spare != NULL)
        dns_backend_unwatch(b->spare);
    if (b->loop != NULL && b->ops->unwatch != NULL)
        b->ops->unwatch(b);
    b->loop = NULL;
}
