#include "netcfg/host_resolvers.h"

#include <string.h>

#include "base/err.h"
#include "netcfg/resolv_file.h"

static bool remove_stub(struct resolvers *r)
{
    struct ip_addr stub = ip_addr_v4(127, 0, 0, 53), proxy = ip_addr_v4(127, 0, 0, 54);
    size_t before = r->count;
    resolvers_remove(r, &stub);
    resolvers_remove(r, &proxy);
    return r->count != before;
}

static void remove_ours(const struct object *ours, struct resolvers *r)
{
    for (size_t i = 0; ours != NULL && i < ours->dns.server_count; i++)
        resolvers_remove(r, &ours->dns.servers[i]);
}

void host_resolvers_of(struct slice text, const struct object *ours, struct resolvers *ret)
{
    CLEANUP(buf_release) struct buf uplink;
    struct resolvers r = {0};
    buf_init(&uplink, RESOLV_CONF_CAP);
    resolvers_read(text, &r);
    bool none = r.count == 0;
    if (remove_stub(&r) && resolv_file_follow(HOST_RESOLVERS_UPLINK, &uplink) == 0) {
        resolvers_read(buf_slice(&uplink), &r);
        (void)remove_stub(&r);
    }
    remove_ours(ours, &r);
    if (none)
        (void)resolvers_add(&r, SLICE_LIT("127.0.0.1"));
    *ret = r;
}

int host_resolvers_read(const char *path, const struct object *ours, struct resolvers *ret)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, RESOLV_CONF_CAP);
    int err = resolv_file_follow(path, &text);
    if (err == 0)
        host_resolvers_of(buf_slice(&text), ours, ret);
    return err;
}
