#include "policy/cri_place.h"

#include <string.h>

#include "base/str.h"
#include "policy/shown.h"

const char *const cri_places[] = {
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    NULL,
};

int cri_place_path(const char *endpoint, char path[PIPE_PATH_SIZE], struct diag *d)
{
    const char *rest = endpoint;
    if (str_starts(endpoint, "unix://"))
        rest = endpoint + strlen("unix://");
    else if (str_starts(endpoint, "unix:"))
        rest = endpoint + strlen("unix:");
    else if (strstr(endpoint, "://") != NULL)
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "\"%s\" is not the address of a runtime on this system: it takes "
                        "unix:///PATH, the path of a socket alone, or podman",
                        shown(endpoint).text);
    if (rest[0] != '/')
        return diag_set(d, ERR_INVAL, 0,
                        "\"%s\" does not name a runtime: it takes unix:///PATH, the whole path of "
                        "a socket alone, or podman",
                        shown(endpoint).text);
    if (str_copy(path, PIPE_PATH_SIZE, rest) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The path of the socket %s is longer than %d bytes",
                        shown(rest).text, PIPE_PATH_SIZE - 1);
    return 0;
}
