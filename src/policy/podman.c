#include "policy/podman.h"

#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "netcfg/program.h"
#include "policy/cri_info.h"
#include "policy/namespace.h"
#include "policy/podman_info.h"
#include "policy/shown.h"

static const char *program_path(void)
{
    static const char *const places[] = {"/usr/bin/podman", "/usr/local/bin/podman"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

/* podman's own words, from its last line. */
static int explain(const char *container, struct buf *output, int status, struct diag *d)
{
    const char *text = buf_cstr(output);
    if (text != NULL && strstr(text, "no such container") != NULL)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "podman has no container whose id or name is, or whose id begins with, %s "
                        "(each user has containers of his own)",
                        container);
    if (text != NULL && strstr(text, "more than one result") != NULL)
        return diag_set(d, ERR_INVAL, 0,
                        "%s is the beginning of several containers' ids: give more of it",
                        container);
    const char *last = text != NULL ? strstr(text, "Error: ") : NULL;
    return diag_set(d, ERR_IO, status, "podman failed to tell about %s: %s", container,
                    last != NULL ? shown(last + strlen("Error: ")).text : "it gave no reason");
}

static int inspect(const char *container, struct podman_info *ret, struct diag *d)
{
    const char *path = program_path();
    const char *const args[] = {"podman",        "container", "inspect", "--format",
                                PODMAN_TEMPLATE, "--",        container, NULL};
    const struct program program = {.path = path, .args = args, .timeout_ms = PODMAN_TIMEOUT_MS};
    if (path == NULL)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "podman is not installed (looked for /usr/bin/podman and "
                        "/usr/local/bin/podman)");
    CLEANUP(buf_release) struct buf output;
    int status = 0;
    buf_init(&output, PROGRAM_OUTPUT_MAX + 1);
    int r = program_run(&program, &output, &status, d);
    if (r < 0)
        return r;
    if (status != 0)
        return explain(container, &output, status, d);
    return podman_info_parse(buf_slice(&output), ret, d);
}

static int check(const struct podman_info *i, struct diag *d)
{
    if (!i->running)
        return diag_set(d, ERR_EXPIRED, 0, "The container %s is not running", i->id);
    if (i->host_network)
        return diag_set(d, ERR_DENIED, 0,
                        "The container %s uses the host's own network: policies for it would be "
                        "policies for the host",
                        i->id);
    const char *hidden = cri_info_hidden_network(i->runtime);
    if (hidden != NULL)
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "The container %s runs in %s, whose network traffic does not pass through "
                        "the rules of its network namespace: policies would have no effect",
                        i->id, hidden);
    if (i->path[0] != '\0' && i->path[0] != '/')
        return diag_set(d, ERR_FORMAT, 0, "podman gives \"%s\" as a network namespace",
                        shown(i->path).text);
    return 0;
}

int podman_network(const char *container, char ret[ENDPOINT_NAME_SIZE], struct diag *d)
{
    struct podman_info i = {.pid = 0}, again = {.pid = 0};
    char name[ENDPOINT_NAME_SIZE];
    int r = inspect(container, &i, d);
    if (r == 0)
        r = check(&i, d);
    if (r < 0)
        return r;
    if (i.path[0] != '\0')
        r = str_copy(name, sizeof(name), i.path);
    else
        r = namespace_name_of_pid(i.pid, name, sizeof(name), d);
    /* What was found still holds: the process isn't another one with the number of the
     * container's. */
    if (r == 0)
        r = inspect(i.id, &again, d);
    if (r == 0)
        r = check(&again, d);
    if (r == 0 && (again.pid != i.pid || !str_eq(again.path, i.path)))
        r = diag_set(d, ERR_EXPIRED, 0, "The container %s was restarted meanwhile: try again",
                     i.id);
    return r < 0 ? r : str_copy(ret, ENDPOINT_NAME_SIZE, name);
}
