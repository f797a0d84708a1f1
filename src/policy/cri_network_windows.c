#include "policy/cri_network.h"

#include "base/str.h"

static const struct cri_object *with_namespace(const struct cri_object *o)
{
    return o != NULL && o->info.windows_namespace[0] != '\0' ? o : NULL;
}

static bool is_hyperv(const struct cri_object *o)
{
    return o != NULL && o->info.hyperv;
}

int cri_network_name(const struct cri_object *container, const struct cri_object *sandbox,
                     char ret[ENDPOINT_NAME_SIZE], struct diag *d)
{
    const char *id = container != NULL ? container->id : sandbox->id;
    if (is_hyperv(container) || is_hyperv(sandbox))
        return diag_set(
            d, ERR_UNSUPPORTED, 0,
            "%s is a Hyper-V container: policies reach process-isolated containers only", id);
    const struct cri_object *o = with_namespace(container);
    if (o == NULL)
        o = with_namespace(sandbox);
    if (o == NULL)
        return diag_set(d, ERR_FORMAT, 0,
                        "The runtime does not tell the network namespace of %s: it uses the host's "
                        "network, or is no Windows container",
                        id);
    return str_copy(ret, ENDPOINT_NAME_SIZE, o->info.windows_namespace);
}
