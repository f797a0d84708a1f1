#include "policy/cri_place.h"

#include <string.h>

#include "base/str.h"
#include "policy/shown.h"

const char *const cri_places[] = {
    "\\\\.\\pipe\\containerd-containerd",
    NULL,
};

int cri_place_path(const char *endpoint, char path[PIPE_PATH_SIZE], struct diag *d)
{
    const char *rest = endpoint;
    if (str_starts(endpoint, "npipe:"))
        rest = endpoint + strlen("npipe:");
    else if (strstr(endpoint, "://") != NULL)
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "\"%s\" is not the address of a runtime on this system: it takes "
                        "npipe:////./pipe/NAME",
                        shown(endpoint).text);
    if (str_copy(path, PIPE_PATH_SIZE, rest) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The name of the pipe %s is longer than %d bytes",
                        shown(rest).text, PIPE_PATH_SIZE - 1);
    for (char *c = path; *c != '\0'; c++)
        if (*c == '/')
            *c = '\\';
    /* "npipe:////./pipe/x" has two slashes of its own beside the pipe's two; "npipe://./pipe/x" has
     * them in common. */
    if (str_starts(path, "\\\\\\\\"))
        memmove(path, path + 2, strlen(path + 2) + 1);
    if (!str_starts(path, "\\\\.\\pipe\\") || path[strlen("\\\\.\\pipe\\")] == '\0')
        return diag_set(d, ERR_INVAL, 0,
                        "\"%s\" does not name a runtime: it takes npipe:////./pipe/NAME",
                        shown(endpoint).text);
    return 0;
}
