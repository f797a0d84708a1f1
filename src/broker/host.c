#include "broker/host.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/work.h"
#include "net/pool.h"
#include "netcfg/rtnl.h"

enum { QUEUE_LEN = 4096 };

struct host {
    struct loop *loop;
    struct host_events events;
    void *arg;
    struct defer ready;
};

struct request {
    struct host *host;
    bool end;
    char interface_name[BROKER_INTERFACE_SIZE];
    struct broker_network network;
    host_done_fn *done;
    void *arg;
    int err;
    struct diag d;
    uint32_t flags;
};

static struct prefix range_at(const struct broker_network *n, size_t i)
{
    struct prefix p = {.addr = ip_addr_from(4, n->ranges[i].addr),
                       .bits = (uint8_t)n->ranges[i].bits};
    return p;
}

static int add_ipv4(struct request *q, struct rtnl *r, unsigned index)
{
    struct prefix first = range_at(&q->network, 0);
    struct ip_addr tun = prefix_at(&first, POOL_OFFSET_TUN);
    int err = rtnl_add_address(r, index, &tun, &q->d);
    for (size_t i = 0; err == 0 && i < q->network.range_count; i++) {
        struct prefix range = range_at(&q->network, i);
        err = rtnl_add_route(r, index, &range, &tun, &q->d);
    }
    return err;
}

static int add_ipv6(struct request *q, struct rtnl *r, unsigned index)
{
    struct prefix prefix = {.addr = {.version = 6}, .bits = 48};
    memcpy(prefix.addr.bytes, q->network.ipv6_prefix, sizeof(q->network.ipv6_prefix));
    struct ip_addr tun = prefix_at(&prefix, POOL_OFFSET_TUN);
    int err = rtnl_add_address(r, index, &tun, &q->d);
    return err < 0 ? err : rtnl_add_route(r, index, &prefix, &tun, &q->d);
}

static int configure(struct request *q, struct rtnl *r)
{
    unsigned index;
    int err = rtnl_link_index(q->interface_name, &index, &q->d);
    if (err == 0)
        err = rtnl_link_up(r, index, q->network.mtu, QUEUE_LEN, &q->d);
    if (err == 0 && (q->network.flags & BROKER_NO_IPV4) == 0)
        err = add_ipv4(q, r, index);
    if (err == 0 && (q->network.flags & BROKER_NO_IPV6) == 0)
        err = add_ipv6(q, r, index);
    if (err == ERR_UNSUPPORTED && (q->network.flags & BROKER_NO_IPV4) == 0) {
        q->flags |= BROKER_NO_IPV6;
        err = 0;
    }
    return err;
}

static void run(void *arg)
{
    struct request *q = arg;
    struct rtnl *r = NULL;
    q->flags = q->network.flags & (BROKER_NO_IPV4 | BROKER_NO_IPV6);
    if (q->end)
        return;
    q->err = rtnl_open(&r, &q->d);
    if (q->err == 0)
        q->err = configure(q, r);
    rtnl_close(r);
}

static void done(void *arg, int err)
{
    struct request *q = arg;
    (void)err;
    struct host_outcome o = {.err = q->err, .d = &q->d, .flags = q->flags, .notice = ""};
    q->done(q->arg, &o);
    mem_free(q);
}

static int post(struct request *q, struct host *h, host_done_fn *fn, void *arg)
{
    q->host = h;
    q->done = fn;
    q->arg = arg;
    int r = work_start(h->loop, run, done, q, NULL);
    if (r < 0)
        mem_free(q);
    return r;
}

static void tell_ready(void *arg)
{
    struct host *h = arg;
    struct diag d = {0};
    h->events.on_ready(h->arg, 0, &d);
}

int host_new(struct loop *loop, const struct host_config *config, const struct host_events *events,
             void *arg, struct host **ret, struct diag *d)
{
    struct host *h = NEW(struct host);
    (void)config;
    if (h == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    h->loop = loop;
    h->events = *events;
    h->arg = arg;
    defer_init(&h->ready, tell_ready, h);
    defer_start(loop, &h->ready);
    *ret = h;
    return 0;
}

void host_free(struct host *h, void (*closed)(void *arg), void *arg)
{
    defer_stop(&h->ready);
    mem_free(h);
    closed(arg);
}

const char *host_dns_backend(const struct host *h)
{
    (void)h;
    return "none";
}

const char *host_last_recovery(const struct host *h)
{
    (void)h;
    return "";
}

uint32_t host_leftovers(const struct host *h)
{
    (void)h;
    return 0;
}

int host_apply(struct host *h, uint32_t session, const char *interface_name,
               const struct broker_network *network, host_done_fn *fn, void *arg)
{
    struct request *q = NEW(struct request);
    (void)session;
    if (q == NULL)
        return ERR_NOMEM;
    q->network = *network;
    (void)str_format(q->interface_name, sizeof(q->interface_name), "%s", interface_name);
    return post(q, h, fn, arg);
}

int host_end(struct host *h, uint32_t session, host_done_fn *fn, void *arg)
{
    struct request *q = NEW(struct request);
    (void)session;
    if (q == NULL)
        return ERR_NOMEM;
    q->end = true;
    return post(q, h, fn, arg);
}
