#include "policy/podman_info.h"

#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "policy/cri_object.h"
#include "policy/json_text.h"

static int bad(struct diag *d, const char *what)
{
    return diag_set(d, ERR_FORMAT, 0, "podman's answer makes no sense: %s", what);
}

/* The last line that begins like an object. */
static struct slice object_line(struct slice output)
{
    struct slice found = {NULL, 0};
    while (output.len > 0) {
        const uint8_t *newline = memchr(output.data, '\n', output.len);
        size_t len = newline != NULL ? (size_t)(newline - output.data) : output.len;
        if (len > 0 && output.data[0] == '{')
            found = slice_first(output, len);
        output = slice_from(output, len + 1);
    }
    return found;
}

static bool get_text(const json_t *root, const char *name, char *ret, size_t size)
{
    const json_t *value = json_object_get(root, name);
    if (json_is_null(value))
        return true;
    return json_is_string(value) &&
           str_copy_slice(ret, size,
                          slice_of(json_string_value(value), json_string_length(value))) == 0;
}

static int read_root(const json_t *root, struct podman_info *i, struct diag *d)
{
    char mode[RUNTIME_ID_SIZE + 64];
    const json_t *pid = json_object_get(root, "Pid");
    const json_t *running = json_object_get(root, "Running");
    mode[0] = '\0';
    if (!get_text(root, "Id", i->id, sizeof(i->id)) || !cri_id_ok(i->id))
        return bad(d, "no id");
    if (!json_is_boolean(running))
        return bad(d, "it doesn't tell whether the container is running");
    if (!json_is_integer(pid) || json_integer_value(pid) < 0 || json_integer_value(pid) > INT32_MAX)
        return bad(d, "no process number");
    if (!get_text(root, "Path", i->path, sizeof(i->path)))
        return bad(d, "no path of the network namespace");
    if (!get_text(root, "Mode", mode, sizeof(mode)))
        return bad(d, "no kind of network");
    if (!get_text(root, "Runtime", i->runtime, sizeof(i->runtime)))
        return bad(d, "no runtime");
    i->running = json_is_true(running);
    i->pid = (int)json_integer_value(pid);
    i->host_network = str_eq(mode, "host");
    return 0;
}

int podman_info_parse(struct slice output, struct podman_info *ret, struct diag *d)
{
    json_t *root = NULL;
    struct podman_info i = {.pid = 0};
    struct slice line = object_line(output);
    int r = json_text_read(line, 0, &root, NULL);
    if (r == ERR_NOMEM)
        return diag_no_memory(d);
    if (r < 0)
        return bad(d, "it isn't JSON");
    r = read_root(root, &i, d);
    json_decref(root);
    if (r == 0)
        *ret = i;
    return r;
}
