#include "agent/watchers.h"

#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define CONFIGURATION_CAP ((size_t)1024 * 1024)

struct watcher {
    struct list node;
    struct watchers *owner;
    struct rpc_call *call;
    struct buf last; /* what it was sent, packed */
};

struct watchers {
    struct directory directory;
    struct list list;
};

int watchers_new(struct directory directory, struct watchers **ret)
{
    struct watchers *w = NEW(struct watchers);
    if (w == NULL)
        return ERR_NOMEM;
    w->directory = directory;
    list_init(&w->list);
    *ret = w;
    return 0;
}

/* Answers the call, which the caller may have left already. */
static void watcher_end(struct watcher *v)
{
    list_remove(&v->node);
    rpc_call_finish(v->call);
    buf_release(&v->last);
    mem_free(v);
}

void watchers_free(struct watchers *w)
{
    if (w == NULL)
        return;
    while (!list_empty(&w->list))
        watcher_end(LIST_ENTRY(w->list.next, struct watcher, node));
    mem_free(w);
}

static void on_cancel(void *arg)
{
    watcher_end(arg);
}

static char **as_list(struct name_list *l)
{
    /* The messages want char **; they only read. */
    return (char **)(uintptr_t)l->names;
}

static void send(struct watcher *v, struct directory_zones *zones)
{
    Stile__Vnet__V1__TargetConfiguration message = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    CLEANUP(buf_release) struct buf packed;
    uint8_t *space = NULL;
    message.n_dns_zones = zones->zones.count;
    message.dns_zones = as_list(&zones->zones);
    message.n_ipv4_cidr_ranges = zones->ranges.count;
    message.ipv4_cidr_ranges = as_list(&zones->ranges);
    message.n_forwarded_names = zones->forwarded.count;
    message.forwarded_names = as_list(&zones->forwarded);
    buf_init(&packed, CONFIGURATION_CAP);
    size_t size = protobuf_c_message_get_packed_size(&message.base);
    if (buf_reserve(&packed, size + 1, &space) < 0)
        return;
    protobuf_c_message_pack(&message.base, space);
    space[size] = 1; /* an empty configuration differs from none */
    buf_commit(&packed, size + 1);
    if (slice_eq(buf_slice(&packed), buf_slice(&v->last)))
        return;
    int r = rpc_call_send(v->call, &message.base);
    if (r < 0) {
        log_debug("zones not sent: %s", err_text(r));
        return;
    }
    buf_clear(&v->last);
    if (buf_put(&v->last, buf_slice(&packed)) < 0)
        buf_clear(&v->last);
}

static void send_all(struct watchers *w, struct watcher *only)
{
    CLEANUP(mem_freep) struct directory_zones *zones = NEW(struct directory_zones);
    if (zones == NULL)
        return;
    w->directory.ops->zones(w->directory.self, zones);
    LIST_FOR_EACH (n, &w->list) {
        struct watcher *v = LIST_ENTRY(n, struct watcher, node);
        if (only == NULL || only == v)
            send(v, zones);
    }
}

void watchers_add(struct watchers *w, struct rpc_call *call)
{
    struct watcher *v = NEW(struct watcher);
    if (v == NULL) {
        rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
        return;
    }
    v->owner = w;
    v->call = call;
    buf_init(&v->last, CONFIGURATION_CAP + 1);
    list_push_back(&w->list, &v->node);
    send_all(w, v);
    /* Last: it may free the watcher at once. */
    rpc_call_on_cancel(call, on_cancel, v);
}

void watchers_changed(struct watchers *w)
{
    send_all(w, NULL);
}
