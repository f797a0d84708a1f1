#include "policy/runtime_look.h"

#include "base/mem.h"
#include "base/str.h"
#include "policy/cri_network.h"
#include "policy/cri_object.h"

/* Asking for the container → asking for its sandbox → answered; for a sandbox only the latter. */
struct look {
    struct cri *cri;
    struct cri_call *call;
    char id[RUNTIME_ID_SIZE], sandbox_id[RUNTIME_ID_SIZE];
    enum look_kind kind;
    unsigned timeout_ms;
    bool has_container, has_sandbox;
    struct cri_object container, sandbox;
    runtime_answer_fn *answer;
    void *arg;
};

static void free_look(struct look *l)
{
    cri_object_release(&l->container);
    cri_object_release(&l->sandbox);
    mem_free(l);
}

static void answer(struct look *l, int err, const struct runtime_container *c, const struct diag *d)
{
    runtime_answer_fn *tell = l->answer;
    tell(l->arg, err, c, d);
    free_look(l);
}

static void answer_nomem(struct look *l)
{
    struct diag d;
    diag_set(&d, ERR_NOMEM, 0, "Out of memory");
    answer(l, ERR_NOMEM, NULL, &d);
}

static bool has_key(const struct cri_pairs *p, const char *key)
{
    for (size_t i = 0; i < p->count; i++)
        if (str_eq(p->items[i].key, key))
            return true;
    return false;
}

/* The container's own, then those of the sandbox that it doesn't have itself. */
static int merge(const struct cri_pairs *own, const struct cri_pairs *others,
                 struct runtime_label **ret, size_t *ret_count)
{
    struct runtime_label *all = mem_array(own->count + others->count, sizeof(*all));
    size_t n = 0;
    if (all == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < own->count; i++)
        all[n++] = own->items[i];
    for (size_t i = 0; i < others->count; i++)
        if (!has_key(own, others->items[i].key))
            all[n++] = others->items[i];
    *ret = all;
    *ret_count = n;
    return 0;
}

static void name_for_people(const struct look *l, char *text, size_t size)
{
    if (l->has_container && l->has_sandbox)
        (void)str_format(text, size, "%s/%s", l->sandbox.name, l->container.name);
    else
        (void)str_format(text, size, "%s", l->has_container ? l->container.name : l->sandbox.name);
}

/* What a name of the network can't be made of is told all the same: what to do about it is the
 * listener's. */
static void find_network(const struct look *l, struct runtime_container *c,
                         char network[ENDPOINT_NAME_SIZE], struct diag *d)
{
    network[0] = '\0';
    int r = cri_network_name(l->has_container ? &l->container : NULL,
                             l->has_sandbox ? &l->sandbox : NULL, network, d);
    c->host_network = r == ERR_DENIED;
    c->network_path = r == 0 ? network : "";
    c->network_problem = r == 0 ? "" : d->text;
}

static void finish(struct look *l)
{
    char network[ENDPOINT_NAME_SIZE], name[2 * CRI_NAME_SIZE];
    struct diag problem = {0};
    CLEANUP(mem_freep) struct runtime_label *labels = NULL;
    CLEANUP(mem_freep) struct runtime_label *annotations = NULL;
    const struct cri_object *o = l->has_container ? &l->container : &l->sandbox;
    struct runtime_container c = {
        .id = o->id,
        .sandbox_id = l->has_sandbox ? l->sandbox.id : "",
        .name = name,
        .running = o->state == CRI_RUNNING,
    };
    if (merge(&l->container.labels, &l->sandbox.labels, &labels, &c.label_count) < 0 ||
        merge(&l->container.annotations, &l->sandbox.annotations, &annotations,
              &c.annotation_count) < 0) {
        answer_nomem(l);
        return;
    }
    c.labels = labels;
    c.annotations = annotations;
    name_for_people(l, name, sizeof(name));
    find_network(l, &c, network, &problem);
    answer(l, 0, &c, NULL);
}

static void on_sandbox(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why)
{
    struct look *l = arg;
    struct diag d;
    l->call = NULL;
    if (err == 0) {
        err = cri_object_of_sandbox(&l->sandbox, (const Cri__PodSandboxStatusResponse *)reply, &d);
        why = &d;
    }
    l->has_sandbox = err == 0;
    if (err < 0 && !(l->has_container && err == ERR_NOTFOUND))
        answer(l, err, NULL, why);
    else
        finish(l);
}

static int ask_sandbox(struct look *l, const char *id)
{
    Cri__PodSandboxStatusRequest request = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;
    request.pod_sandbox_id = (char *)(uintptr_t)id; /* packed, not written */
    request.verbose = true;
    return cri_ask(l->cri, CRI_SANDBOX_STATUS, &request.base, l->timeout_ms, on_sandbox, l,
                   &l->call);
}

static void fail(struct look *l, int err)
{
    struct diag d;
    diag_set(&d, err, 0, "Failed to ask the runtime at %s about %s: %s", cri_path(l->cri), l->id,
             err_text(err));
    answer(l, err, NULL, &d);
}

static void on_container(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why)
{
    struct look *l = arg;
    struct diag d;
    l->call = NULL;
    if (err == 0) {
        err =
            cri_object_of_container(&l->container, (const Cri__ContainerStatusResponse *)reply, &d);
        why = &d;
    }
    l->has_container = err == 0;
    if (err < 0 && !(err == ERR_NOTFOUND && l->kind == LOOK_EITHER)) {
        answer(l, err, NULL, why);
        return;
    }
    const char *sandbox = l->has_container ? l->container.info.sandbox_id : l->id;
    if (l->sandbox_id[0] != '\0')
        sandbox = l->sandbox_id;
    if (!cri_id_ok(sandbox)) {
        finish(l);
        return;
    }
    err = ask_sandbox(l, sandbox);
    if (err < 0)
        fail(l, err);
}

static int ask_container(struct look *l)
{
    Cri__ContainerStatusRequest request = CRI__CONTAINER_STATUS_REQUEST__INIT;
    request.container_id = l->id;
    request.verbose = true;
    return cri_ask(l->cri, CRI_CONTAINER_STATUS, &request.base, l->timeout_ms, on_container, l,
                   &l->call);
}

int look_start(struct cri *cri, const char *id, enum look_kind kind, const char *sandbox_id,
               unsigned timeout_ms, runtime_answer_fn *tell, void *arg, struct look **ret)
{
    struct look *l = NEW(struct look);
    if (l == NULL)
        return ERR_NOMEM;
    cri_object_init(&l->container);
    cri_object_init(&l->sandbox);
    l->cri = cri;
    l->kind = kind;
    l->timeout_ms = timeout_ms;
    l->answer = tell;
    l->arg = arg;
    int r = str_copy(l->id, sizeof(l->id), id);
    if (r == 0)
        r = str_copy(l->sandbox_id, sizeof(l->sandbox_id), sandbox_id);
    if (r == 0)
        r = kind == LOOK_SANDBOX ? ask_sandbox(l, l->id) : ask_container(l);
    if (r < 0) {
        free_look(l);
        return r;
    }
    *ret = l;
    return 0;
}

void look_cancel(struct look *l)
{
    if (l == NULL)
        return;
    cri_cancel(l->call);
    free_look(l);
}
