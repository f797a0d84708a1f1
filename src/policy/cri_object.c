#include "policy/cri_object.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

bool cri_id_ok(const char *id)
{
    size_t n = 0;
    for (; id[n] != '\0'; n++) {
        char c = id[n];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && (n == 0 || (c != '_' && c != '.' && c != '-')))
            return false;
    }
    return n > 0 && n < RUNTIME_ID_SIZE;
}

const char *cri_state_text(enum cri_state s)
{
    static const char *const texts[] = {"created, not started", "running", "ended", "unknown"};
    return texts[s];
}

static void release_pairs(struct cri_pairs *p)
{
    mem_free(p->items);
    mem_free(p->text);
    *p = (struct cri_pairs){.count = 0};
}

void cri_object_init(struct cri_object *o)
{
    *o = (struct cri_object){.state = CRI_UNKNOWN};
}

void cri_object_release(struct cri_object *o)
{
    release_pairs(&o->labels);
    release_pairs(&o->annotations);
    cri_object_init(o);
}

/* Appends s with its NUL. */
static const char *put_text(char **at, const char *s)
{
    char *start = *at;
    size_t size = strlen(s) + 1;
    memcpy(start, s, size);
    *at += size;
    return start;
}

static int copy_pairs(struct cri_pairs *p, Cri__Entry *const *entries, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(entries[i]->key) + strlen(entries[i]->value) + 2;
    p->items = mem_array(count, sizeof(*p->items));
    p->text = mem_alloc(size);
    if (p->items == NULL || p->text == NULL)
        return ERR_NOMEM;
    char *at = p->text;
    for (size_t i = 0; i < count; i++) {
        p->items[i].key = put_text(&at, entries[i]->key);
        p->items[i].value = put_text(&at, entries[i]->value);
    }
    p->count = count;
    return 0;
}

static int take_info(struct cri_object *o, Cri__Entry *const *entries, size_t count, struct diag *d)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(entries[i]->key, "info"))
            return cri_info_parse(slice_str(entries[i]->value), &o->info, d);
    return 0; /* some runtimes tell nothing of sandboxes */
}

static int take_id(struct cri_object *o, const char *id, struct diag *d)
{
    if (!cri_id_ok(id))
        return diag_set(d, ERR_FORMAT, 0, "The runtime told of a container with an impossible id");
    return str_copy(o->id, sizeof(o->id), id);
}

static int finish(struct cri_object *o, int r, struct diag *d)
{
    if (r == ERR_NOMEM)
        diag_set(d, r, 0, "Out of memory");
    if (r < 0)
        cri_object_release(o);
    return r;
}

static int fill_container(struct cri_object *o, const Cri__ContainerStatusResponse *m,
                          struct diag *d)
{
    const Cri__ContainerStatus *s = m->status;
    if (s == NULL)
        return diag_set(d, ERR_FORMAT, 0, "The runtime's answer has no status of the container");
    int r = take_id(o, s->id, d);
    if (r < 0)
        return r;
    if (s->metadata != NULL)
        (void)str_format(o->name, sizeof(o->name), "%s", s->metadata->name);
    switch (s->state) {
    case CRI__CONTAINER_STATE__CONTAINER_CREATED:
        o->state = CRI_CREATED;
        break;
    case CRI__CONTAINER_STATE__CONTAINER_RUNNING:
        o->state = CRI_RUNNING;
        break;
    case CRI__CONTAINER_STATE__CONTAINER_EXITED:
        o->state = CRI_ENDED;
        break;
    default:
        o->state = CRI_UNKNOWN;
        break;
    }
    r = copy_pairs(&o->labels, s->labels, s->n_labels);
    if (r == 0)
        r = copy_pairs(&o->annotations, s->annotations, s->n_annotations);
    return r < 0 ? r : take_info(o, m->info, m->n_info, d);
}

int cri_object_of_container(struct cri_object *o, const Cri__ContainerStatusResponse *status,
                            struct diag *d)
{
    cri_object_release(o);
    return finish(o, fill_container(o, status, d), d);
}

static bool asks_for_host_network(const Cri__SandboxStatus *s)
{
    return s->of_linux != NULL && s->of_linux->namespaces != NULL &&
           s->of_linux->namespaces->options != NULL &&
           s->of_linux->namespaces->options->network == CRI__NAMESPACE_MODE__NODE;
}

static int fill_sandbox(struct cri_object *o, const Cri__PodSandboxStatusResponse *m,
                        struct diag *d)
{
    const Cri__SandboxStatus *s = m->status;
    if (s == NULL)
        return diag_set(d, ERR_FORMAT, 0, "The runtime's answer has no status of the sandbox");
    int r = take_id(o, s->id, d);
    if (r < 0)
        return r;
    o->sandbox = true;
    if (s->metadata != NULL)
        (void)str_format(o->name, sizeof(o->name), "%s/%s", s->metadata->namespace_,
                         s->metadata->name);
    o->state = s->state == CRI__SANDBOX_STATE__SANDBOX_READY ? CRI_RUNNING : CRI_ENDED;
    o->host_network = asks_for_host_network(s);
    r = copy_pairs(&o->labels, s->labels, s->n_labels);
    if (r == 0)
        r = copy_pairs(&o->annotations, s->annotations, s->n_annotations);
    if (r == 0)
        r = take_info(o, m->info, m->n_info, d);
    if (r == 0 && o->info.runtime_type[0] == '\0') /* CRI-O tells it only so */
        (void)str_format(o->info.runtime_type, sizeof(o->info.runtime_type), "%s",
                         s->runtime_handler);
    return r;
}

int cri_object_of_sandbox(struct cri_object *o, const Cri__PodSandboxStatusResponse *status,
                          struct diag *d)
{
    cri_object_release(o);
    return finish(o, fill_sandbox(o, status, d), d);
}
