#include "policy/lookup_system.h"

#include "policy/hns_lookup.h"

int lookup_shielded(int (*run)(void *arg), void *arg)
{
    return run(arg);
}

int lookup_endpoints(const char *network, struct lookup_result *ret, struct diag *d)
{
    return hns_namespace_endpoints(network, ret, d);
}

int lookup_none(const struct diag *why, struct diag *d)
{
    return diag_set(d, why->err, 0, "%s", why->text);
}

int lookup_podman(const char *container, struct lookup_result *ret, struct diag *d)
{
    (void)container;
    (void)ret;
    return diag_set(d, ERR_UNSUPPORTED, 0,
                    "podman's containers run on Linux; here a runtime is named by its pipe, "
                    "npipe:////./pipe/NAME");
}
