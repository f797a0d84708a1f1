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

static int detect(struct dns_backend **ret, struct diag *d)
{
    struct dns_backend *b = NULL;
    struct diag why = {0};

    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        int r = backends[i].make(&b, d);
        if (r < 0)
            return r;
        if (probe(b, &why) == 0) {
            *ret = b;
            return 0;
        }
        log_debug("DNS isn't set through %s: %s", backends[i].name, why.text);
        dns_backend_free(b);
    }
    return diag_set(d, ERR_INTERNAL, 0, "No way to set DNS was found");
}

int dns_backend_detect(const char *choice, struct dns_backend **ret, struct diag *d)
{
    struct dns_backend *b = NULL;

    if (str_eq(choice, "auto"))
        return detect(ret, d);
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

int dns_backend_by_name(const char *name, struct dns_backend **ret, struct diag *d)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (str_eq(backends[i].name, name))
            return backends[i].make(ret, d);
    return diag_set(d, ERR_NOTFOUND, 0, "There is no way to set DNS named \"%s\"", name);
}

bool dns_backend_choice_valid(const char *choice)
{
    if (str_eq(choice, "auto"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (str_eq(backends[i].name, choice))
            return true;
    return false;
}

void dns_backend_free(struct dns_backend *b)
{
    if (b == NULL)
        return;
    dns_backend_unwatch(b);
    b->ops->free(b);
}

int dns_backend_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d)
{
    struct slice name = slice_str(b->ops->name);
    int r = buf_put_u8(undo, (uint8_t)name.len);

    if (r == 0)
        r = buf_put(undo, name);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the DNS settings of %s: %s", o->link, err_text(r));
    return b->ops->capture(b, o, undo, d);
}

int dns_backend_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d)
{
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
    if (b != NULL && str_eq(b->ops->name, name)) {
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
    int r = b->ops->upstreams(b, ours, ret, d);

    for (size_t i = 0; r == 0 && ours != NULL && i < ours->dns.server_count; i++)
        resolvers_remove(ret, &ours->dns.servers[i]);
    return r;
}

int dns_backend_watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                      struct diag *d)
{
    return b->ops->watch == NULL ? 0 : b->ops->watch(b, loop, changed, arg, d);
}

void dns_backend_unwatch(struct dns_backend *b)
{
    if (b->ops->unwatch != NULL)
        b->ops->unwatch(b);
}
