#include "netcfg/dns_backend.h"

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
    r = probe(b, d);
    if (r < 0 && r != ERR_UNSUPPORTED) {
        dns_backend_free(b);
        return diag_prefix(d, "Failed to set DNS through %s, which was chosen: ", choice);
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

bool dns_backend_choice_valid(const char *choice)
{
    return str_eq(choice, "auto") || row_of(choice) < ARRAY_LEN(backends);
}

void dns_backend_free(struct dns_backend *b)
{
    if (b == NULL)
        return;
    dns_backend_free(b->instead);
    dns_backend_unwatch(b);
    b->ops->free(b);
}

static struct dns_backend *used(struct dns_backend *b)
{
    return b->instead != NULL ? b->instead : b;
}

static int capture(struct dns_backend *b, const struct object *o, struct buf *undo, struct diag *d)
{
    CLEANUP(buf_release) struct buf bytes;
    struct slice name = slice_str(b->ops->name);

    buf_init(&bytes, OBJECT_UNDO_MAX);
    int r = b->ops->capture(b, o, &bytes, d);
    if (r < 0)
        return r;
    r = buf_put_u8(undo, (uint8_t)name.len);
    if (r == 0)
        r = buf_put(undo, name);
    if (r == 0)
        r = buf_put(undo, buf_slice(&bytes));
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the DNS settings of %s: %s", o->link, err_text(r));
    return 0;
}

/* A back-end that works for the host may still not work for our link, which shows only now. */
static int use_another(struct dns_backend *b, struct diag *d)
{
    struct dns_backend *next = NULL;
    struct diag why = {0};

    if (!b->automatic || detect(row_of(b->ops->name) + 1, &next, &why) < 0)
        return ERR_UNSUPPORTED;
    if (next->exclusive != b->exclusive) {
        dns_backend_free(next);
        return ERR_UNSUPPORTED;
    }
    log_debug("DNS is set through %s from now on: %s", next->ops->name, d->text);
    b->instead = next;
    if (b->loop == NULL)
        return 0;
    if (b->ops->unwatch != NULL)
        b->ops->unwatch(b);
    return dns_backend_watch(next, b->loop, b->changed, b->changed_arg, d);
}

int dns_backend_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d)
{
    struct diag why = {0};
    int r = capture(used(b), o, undo, &why);

    if (r == ERR_UNSUPPORTED && b->instead == NULL && use_another(b, &why) == 0)
        r = capture(used(b), o, undo, &why);
    if (r < 0 && d != NULL)
        *d = why;
    return r;
}

int dns_backend_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d)
{
    b = used(b);
    return b->ops->apply(b, o, old, d);
}

/* The back-end that wrote the undo bytes: b, or another that is the caller's to free (*ret_other). */
static int writer_of(struct dns_backend *b, const struct object *o, struct slice *undo,
                     struct dns_backend **ret_other, struct dns_backend **ret, struct diag *d)
{
    char name[DNS_BACKEND_NAME_SIZE];
    struct rd in = rd_init(*undo);
    struct slice text = rd_bytes(&in, rd_u8(&in));

    if (in.bad || str_copy_slice(name, sizeof(name), text) < 0)
        return diag_set(d, ERR_FORMAT, 0, "What was noted of DNS of %s is damaged", o->link);
    *undo = slice_from(*undo, 1 + text.len);
    for (; b != NULL; b = b->instead)
        if (str_eq(b->ops->name, name)) {
            *ret = b;
            return 0;
        }
    int r = dns_backend_by_name(name, ret_other, d);
    if (r < 0)
        return r;
    *ret = *ret_other;
    return 0;
}

int dns_backend_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d)
{
    struct dns_backend *other = NULL;
    struct dns_backend *writer = NULL;
    int r = writer_of(b, o, &undo, &other, &writer, d);

    if (r == 0)
        r = writer->ops->verify(writer, o, undo, ret, d);
    dns_backend_free(other);
    return r;
}

int dns_backend_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                     enum object_undone *ret, struct diag *d)
{
    struct dns_backend *other = NULL;
    struct dns_backend *writer = NULL;
    int r = writer_of(b, o, &undo, &other, &writer, d);

    if (r == 0)
        r = writer->ops->undo(writer, o, undo, ret, d);
    dns_backend_free(other);
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
    if (b->instead != NULL)
        dns_backend_unwatch(b->instead);
    if (b->loop != NULL && b->ops->unwatch != NULL)
        b->ops->unwatch(b);
    b->loop = NULL;
}
