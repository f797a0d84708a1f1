#include "policy/cri_info.h"

#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "policy/json_text.h"

static int bad(struct diag *d, const char *what)
{
    return diag_set(d, ERR_FORMAT, 0,
                    "The runtime's information on the container makes no sense: %s", what);
}

static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

/* An object, or NULL if there is none. */
static int get_object(const json_t *of, const char *name, const json_t **ret, struct diag *d)
{
    const json_t *value = json_object_get(of, name);
    if (!is_absent(value) && !json_is_object(value)) {
        char text[80];
        (void)str_format(text, sizeof(text), "%s isn't an object", name);
        return bad(d, text);
    }
    *ret = is_absent(value) ? NULL : value;
    return 0;
}

static int get_text(const json_t *of, const char *name, char *ret, size_t size, struct diag *d)
{
    const json_t *value = json_object_get(of, name);
    char text[80];
    if (is_absent(value))
        return 0;
    if (!json_is_string(value)) {
        (void)str_format(text, sizeof(text), "%s isn't a text", name);
        return bad(d, text);
    }
    int r =
        str_copy_slice(ret, size, slice_of(json_string_value(value), json_string_length(value)));
    if (r == 0)
        return 0;
    (void)str_format(text, sizeof(text), "%s is too long, or no text", name);
    return r == ERR_TOOBIG
               ? diag_set(d, r, 0, "The runtime's information on the container: %s", text)
               : bad(d, text);
}

static int read_pid(const json_t *root, struct cri_info *i, struct diag *d)
{
    const json_t *value = json_object_get(root, "pid");
    if (is_absent(value))
        return 0;
    /* Integers are read as reals: a specification may hold limits of 2^64 - 1. */
    double pid = json_number_value(value);
    if (!json_is_number(value) || pid < 0 || pid > INT32_MAX || pid != (double)(int)pid)
        return bad(d, "pid isn't a process number");
    i->pid = (int)pid;
    return 0;
}

static int read_linux(const json_t *spec, struct cri_info *i, struct diag *d)
{
    const json_t *of_linux = NULL;
    int r = get_object(spec, "linux", &of_linux, d);
    if (r < 0)
        return r;
    const json_t *namespaces = json_object_get(of_linux, "namespaces");
    if (!is_absent(namespaces) && !json_is_array(namespaces))
        return bad(d, "namespaces isn't an array");
    for (size_t n = 0; n < json_array_size(namespaces); n++) {
        const json_t *one = json_array_get(namespaces, n);
        const char *type = json_string_value(json_object_get(one, "type"));
        if (type == NULL)
            return bad(d, "a namespace without a type");
        if (!str_eq(type, "network"))
            continue;
        if (i->has_network)
            return bad(d, "two network namespaces");
        i->has_network = true;
        r = get_text(one, "path", i->network_path, sizeof(i->network_path), d);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_windows(const json_t *spec, struct cri_info *i, struct diag *d)
{
    const json_t *of_windows = NULL, *network = NULL;
    int r = get_object(spec, "windows", &of_windows, d);
    if (r < 0 || of_windows == NULL)
        return r;
    i->hyperv = !is_absent(json_object_get(of_windows, "hyperv"));
    r = get_object(of_windows, "network", &network, d);
    if (r < 0 || network == NULL)
        return r;
    return get_text(network, "networkNamespace", i->windows_namespace, sizeof(i->windows_namespace),
                    d);
}

static int read_root(const json_t *root, struct cri_info *i, struct diag *d)
{
    const json_t *spec = NULL;
    if (!json_is_object(root))
        return bad(d, "it isn't an object");
    int r = read_pid(root, i, d);
    if (r == 0)
        r = get_text(root, "sandboxID", i->sandbox_id, sizeof(i->sandbox_id), d);
    if (r == 0)
        r = get_text(root, "runtimeType", i->runtime_type, sizeof(i->runtime_type), d);
    if (r == 0)
        r = get_object(root, "runtimeSpec", &spec, d);
    if (r < 0 || spec == NULL)
        return r;
    i->has_spec = true;
    r = read_linux(spec, i, d);
    return r < 0 ? r : read_windows(spec, i, d);
}

int cri_info_parse(struct slice json, struct cri_info *ret, struct diag *d)
{
    json_t *root = NULL;
    struct cri_info i = {.pid = 0};
    if (json.len > CRI_INFO_MAX)
        return diag_set(
            d, ERR_TOOBIG, 0,
            "The runtime's information on the container has %zu bytes, over the %zu "
            "that are read: its labels, annotations, environment or mounts are too much",
            json.len, CRI_INFO_MAX);
    int r = json_text_read(json, JSON_TEXT_NUL, &root, NULL);
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

const char *cri_info_hidden_network(const char *runtime_type)
{
    static const struct {
        const char *word, *what;
    } kinds[] = {
        {"kata", "a virtual machine (Kata Containers)"},
        {"firecracker", "a virtual machine (Firecracker)"},
        {"runsc", "a kernel of its own (gVisor)"},
    };
    for (size_t n = 0; n < ARRAY_LEN(kinds); n++)
        if (strstr(runtime_type, kinds[n].word) != NULL)
            return kinds[n].what;
    return NULL;
}
