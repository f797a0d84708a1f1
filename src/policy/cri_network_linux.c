#include "policy/cri_network.h"

#include <string.h>

#include "base/str.h"
#include "policy/namespace.h"
#include "policy/shown.h"

static bool is_host(const struct cri_object *o)
{
    return o->host_network || (o->info.has_spec && !o->info.has_network);
}

/* "/proc/PID/ns/net". False for any other path. */
static bool pid_of_path(const char *path, int *ret_pid)
{
    char number[12];
    uint64_t pid;
    if (!str_starts(path, "/proc/") || !str_ends(path, "/ns/net"))
        return false;
    const char *start = path + strlen("/proc/");
    const char *end = strchr(start, '/');
    if (end == NULL || !str_eq(end, "/ns/net") ||
        str_copy_slice(number, sizeof(number), slice_of(start, (size_t)(end - start))) < 0 ||
        str_to_u64(number, INT32_MAX, &pid) < 0 || pid == 0)
        return false;
    *ret_pid = (int)pid;
    return true;
}

/* A path that stays, or a process. */
static void consider(const struct cri_object *o, const char **path, int *pid)
{
    int of_path = 0;
    if (o == NULL)
        return;
    const char *p = o->info.network_path;
    if (pid_of_path(p, &of_path)) {
        if (*pid == 0)
            *pid = of_path;
    } else if (p[0] != '\0' && *path == NULL) {
        *path = p;
    }
}

static int check(const struct cri_object *o, struct diag *d)
{
    if (o == NULL)
        return 0;
    if (is_host(o))
        return diag_set(d, ERR_DENIED, 0,
                        "%s %s uses the host's own network: policies for it would be policies for "
                        "the host",
                        o->sandbox ? "The sandbox" : "The container", o->id);
    const char *hidden = cri_info_hidden_network(o->info.runtime_type);
    if (hidden != NULL)
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "%s %s runs in %s, whose network traffic does not pass through the rules "
                        "of its network namespace: policies would have no effect",
                        o->sandbox ? "The sandbox" : "The container", o->id, hidden);
    return 0;
}

/* Of one that has no path: its own network is that of its first process. */
static int own_pid(const struct cri_object *o)
{
    return o != NULL && o->info.has_network && o->info.network_path[0] == '\0' ? o->info.pid : 0;
}

int cri_network_name(const struct cri_object *container, const struct cri_object *sandbox,
                     char ret[ENDPOINT_NAME_SIZE], struct diag *d)
{
    const char *id = container != NULL ? container->id : sandbox->id;
    const char *path = NULL;
    int pid = 0;
    int r = check(sandbox, d);
    if (r == 0)
        r = check(container, d);
    if (r < 0)
        return r;
    consider(sandbox, &path, &pid);
    consider(container, &path, &pid);
    if (path != NULL && path[0] != '/')
        return diag_set(d, ERR_FORMAT, 0,
                        "The runtime gives \"%s\" as the network namespace of %s, which is no path",
                        shown(path).text, id);
    if (path != NULL)
        return str_copy(ret, ENDPOINT_NAME_SIZE, path);
    if (pid == 0)
        pid = own_pid(sandbox);
    if (pid == 0)
        pid = own_pid(container);
    if (pid == 0)
        pid = container != NULL ? container->info.pid : sandbox->info.pid;
    if (pid == 0)
        return diag_set(d, ERR_EXPIRED, 0,
                        "%s has no network: the runtime tells neither a namespace nor a process",
                        id);
    return namespace_name_of_pid(pid, ret, ENDPOINT_NAME_SIZE, d);
}
