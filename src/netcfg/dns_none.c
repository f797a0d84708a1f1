#include "netcfg/dns_none.h"

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/file_watch.h"
#include "netcfg/host_resolvers.h"
#include "netcfg/object.h"

enum { REVERSE_SHOWN_MAX = 4 };

struct dns_none {
    struct dns_backend base;
    struct file_watch *watch;
    dns_changed_fn *changed;
    void *changed_arg;
    struct resolvers last;
};

static struct dns_none *self(struct dns_backend *b)
{
    return CONTAINER_OF(b, struct dns_none, base);
}

static void put_servers(const struct object_dns *dns, struct buf *out)
{
    for (size_t i = 0; i < dns->server_count; i++) {
        char text[IP_ADDR_TEXT_SIZE];
        ip_addr_format(&dns->servers[i], text);
        (void)buf_printf(out, "%s%s", i > 0 ? " or " : "", text);
    }
}

static bool is_reverse(const char *zone)
{
    return str_ends(zone, ".arpa");
}

/* Of the names of addresses only a few: the others' zones would hide what matters. */
static void put_zones(const struct object_dns *dns, struct buf *out)
{
    size_t reverse = 0, shown = 0;
    for (size_t i = 0; i < dns->zone_count; i++)
        reverse += is_reverse(dns->zones[i]) ? 1 : 0;
    bool all = reverse <= REVERSE_SHOWN_MAX;
    size_t count = all ? dns->zone_count : dns->zone_count - reverse;
    for (size_t i = 0; i < dns->zone_count; i++) {
        if (!all && is_reverse(dns->zones[i]))
            continue;
        shown++;
        (void)buf_printf(out, "%s%s",
                         shown == 1      ? ""
                         : shown < count ? ", "
                                         : " and ",
                         dns->zones[i]);
    }
    if (count == 0)
        (void)buf_put_str(out, "the names of your apps");
}

void dns_none_text(const struct object *o, char *ret, size_t size)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, OBJECT_BYTES_MAX * 2);
    (void)buf_put_str(&b, "Names aren't configured (dns: none): let your resolver ask ");
    put_servers(&o->dns, &b);
    (void)buf_put_str(&b, " for ");
    put_zones(&o->dns, &b);
    const char *text = buf_cstr(&b);
    if (text != NULL)
        (void)str_format(ret, size, "%s", text);
    else if (size > 0)
        ret[0] = '\0';
}

static int none_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d)
{
    (void)b, (void)o, (void)undo, (void)d;
    return 0;
}

static int none_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d)
{
    (void)b, (void)o, (void)old, (void)d;
    return 0;
}

static int none_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d)
{
    (void)b, (void)o, (void)undo, (void)d;
    *ret = OBJECT_PRESENT;
    return 0;
}

static int none_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                     enum object_undone *ret, struct diag *d)
{
    (void)b, (void)o, (void)undo, (void)d;
    *ret = OBJECT_GONE;
    return 0;
}

static int none_upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                          struct diag *d)
{
    (void)b;
    int err = host_resolvers_read(RESOLV_CONF_PATH, ours, ret);
    return err < 0 ? diag_set(d, err, 0, "Failed to read the resolvers: %s", err_text(err)) : 0;
}

static void rearm(struct dns_none *n)
{
    file_watch_clear(n->watch);
    (void)file_watch_add(n->watch, RESOLV_CONF_PATH);
    (void)file_watch_add(n->watch, HOST_RESOLVERS_UPLINK);
}

static void on_files_changed(void *arg)
{
    struct dns_none *n = arg;
    struct resolvers now;
    rearm(n);
    if (none_upstreams(&n->base, NULL, &now, NULL) < 0 || resolvers_equal(&now, &n->last))
        return;
    n->last = now;
    n->changed(n->changed_arg, DNS_CHANGED_UPSTREAMS);
}

static int none_watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                      struct diag *d)
{
    struct dns_none *n = self(b);
    n->changed = changed;
    n->changed_arg = arg;
    int err = file_watch_new(loop, on_files_changed, n, &n->watch, d);
    if (err < 0)
        return err;
    rearm(n);
    return none_upstreams(b, NULL, &n->last, d);
}

static void none_unwatch(struct dns_backend *b)
{
    file_watch_free(STEAL(self(b)->watch));
}

static void none_free(struct dns_backend *b)
{
    none_unwatch(b);
    mem_free(self(b));
}

static const struct dns_backend_ops ops = {
    .name = "none",
    .capture = none_capture,
    .apply = none_apply,
    .verify = none_verify,
    .undo = none_undo,
    .upstreams = none_upstreams,
    .watch = none_watch,
    .unwatch = none_unwatch,
    .free = none_free,
};

int dns_none_new(struct dns_backend **ret, struct diag *d)
{
    struct dns_none *n = NEW(struct dns_none);
    if (n == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the DNS back-end: out of memory");
    n->base.ops = &ops;
    *ret = &n->base;
    return 0;
}
