/* Whatever a container runtime tells: the JSON of a verbose status, podman's line, whole statuses. What is understood names an endpoint
 * that can be a name. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "policy/cri_network.h"
#include "policy/cri_object.h"
#include "policy/cri_place.h"
#include "policy/podman_info.h"

static void check_text(const char *text, size_t size)
{
    if (memchr(text, '\0', size) == NULL)
        abort();
}

static void check_info(const struct cri_info *i)
{
    check_text(i->network_path, sizeof(i->network_path));
    check_text(i->windows_namespace, sizeof(i->windows_namespace));
    check_text(i->runtime_type, sizeof(i->runtime_type));
    check_text(i->sandbox_id, sizeof(i->sandbox_id));
    if (i->pid < 0 || (!i->has_network && i->network_path[0] != '\0') ||
        (!i->has_spec && (i->has_network || i->hyperv)))
        abort();
}

static void an_info(struct slice text)
{
    struct cri_info i;
    if (cri_info_parse(text, &i, NULL) == 0)
        check_info(&i);
}

static void a_line_of_podman(struct slice text)
{
    struct podman_info i;
    if (podman_info_parse(text, &i, NULL) < 0)
        return;
    check_text(i.path, sizeof(i.path));
    check_text(i.runtime, sizeof(i.runtime));
    if (!cri_id_ok(i.id) || i.pid < 0)
        abort();
}

/* Only what needn't look at a process of this machine. */
static void check_object(const struct cri_object *o)
{
    char name[ENDPOINT_NAME_SIZE];
    check_info(&o->info);
    if (!cri_id_ok(o->id))
        abort();
    for (size_t i = 0; i < o->labels.count; i++)
        if (o->labels.items[i].key < o->labels.text || o->labels.items[i].value < o->labels.text)
            abort();
    if (o->info.network_path[0] == '/' && strncmp(o->info.network_path, "/proc/", 6) != 0 &&
        cri_network_name(o->sandbox ? NULL : o, o->sandbox ? o : NULL, name, NULL) == 0 &&
        strcmp(name, o->info.network_path) != 0)
        abort();
}

static void a_container(struct slice bytes)
{
    Cri__ContainerStatusResponse *m =
        cri__container_status_response__unpack(NULL, bytes.len, bytes.data);
    struct cri_object o;
    cri_object_init(&o);
    if (m != NULL && cri_object_of_container(&o, m, NULL) == 0)
        check_object(&o);
    cri_object_release(&o);
    cri__container_status_response__free_unpacked(m, NULL);
}

static void a_sandbox(struct slice bytes)
{
    Cri__PodSandboxStatusResponse *m =
        cri__pod_sandbox_status_response__unpack(NULL, bytes.len, bytes.data);
    struct cri_object o;
    cri_object_init(&o);
    if (m != NULL && cri_object_of_sandbox(&o, m, NULL) == 0)
        check_object(&o);
    cri_object_release(&o);
    cri__pod_sandbox_status_response__free_unpacked(m, NULL);
}

static void a_place(struct slice bytes)
{
    char endpoint[512], path[PIPE_PATH_SIZE];
    size_t len = bytes.len < sizeof(endpoint) ? bytes.len : sizeof(endpoint) - 1;
    if (len > 0)
        memcpy(endpoint, bytes.data, len);
    endpoint[len] = '\0';
    if (cri_place_path(endpoint, path, NULL) == 0)
        check_text(path, sizeof(path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = slice_from(slice_of(data, size), 1);
    switch (data[0]) {
    case 'i':
        an_info(rest);
        break;
    case 'p':
        a_line_of_podman(rest);
        break;
    case 'c':
        a_container(rest);
        break;
    case 's':
        a_sandbox(rest);
        break;
    default:
        a_place(rest);
        break;
    }
    return 0;
}
