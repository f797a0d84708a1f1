#include "policy/lookup.h"

#include <string.h>

#include "base/str.h"
#include "policy/cri_network.h"
#include "policy/cri_place.h"
#include "policy/cri_session.h"
#include "policy/lookup_system.h"
#include "policy/shown.h"

struct lookup {
    const char *runtime;
    const char *container;
    struct lookup_result *ret;
    struct diag *d;
};

/* Whose id begins with what was given. */
struct match {
    const char *wanted;
    size_t count;
    bool whole; /* the whole id was given: the others don't matter */
    bool sandbox;
    char id[RUNTIME_ID_SIZE], sandbox_id[RUNTIME_ID_SIZE];
    char other[RUNTIME_ID_SIZE]; /* another one, for the message */
};

static void consider(struct match *m, const char *id, const char *sandbox_id, bool sandbox)
{
    if (!str_starts(id, m->wanted) || m->whole || !cri_id_ok(id) || !cri_id_ok(sandbox_id))
        return;
    m->count++;
    if (m->count > 1 && str_copy(m->other, sizeof(m->other), id) < 0)
        return;
    m->whole = str_eq(id, m->wanted);
    if (m->count > 1 && !m->whole)
        return;
    m->sandbox = sandbox;
    (void)str_format(m->id, sizeof(m->id), "%s", id);
    (void)str_format(m->sandbox_id, sizeof(m->sandbox_id), "%s", sandbox_id);
}

static int take_containers(void *arg, const ProtobufCMessage *reply, struct diag *d)
{
    const Cri__ListContainersResponse *list = (const Cri__ListContainersResponse *)reply;
    (void)d;
    for (size_t i = 0; i < list->n_containers; i++)
        consider(arg, list->containers[i]->id, list->containers[i]->pod_sandbox_id, false);
    return 0;
}

static int take_sandboxes(void *arg, const ProtobufCMessage *reply, struct diag *d)
{
    const Cri__ListPodSandboxResponse *list = (const Cri__ListPodSandboxResponse *)reply;
    (void)d;
    for (size_t i = 0; i < list->n_items; i++)
        consider(arg, list->items[i]->id, list->items[i]->id, true);
    return 0;
}

static int find(struct cri_session *s, struct match *m, struct diag *d)
{
    Cri__ListContainersRequest containers = CRI__LIST_CONTAINERS_REQUEST__INIT;
    Cri__ListPodSandboxRequest sandboxes = CRI__LIST_POD_SANDBOX_REQUEST__INIT;
    int r = cri_session_ask(s, CRI_LIST_CONTAINERS, &containers.base, take_containers, m, d);
    if (r == 0 && !m->whole)
        r = cri_session_ask(s, CRI_LIST_SANDBOXES, &sandboxes.base, take_sandboxes, m, d);
    if (r < 0)
        return r;
    if (m->count == 0)
        return diag_set(
            d, ERR_NOTFOUND, 0,
            "%s at %s has no container (and no sandbox) whose id is, or begins with, %s",
            cri_name(s->cri), cri_path(s->cri), shown(m->wanted).text);
    if (m->count > 1 && !m->whole)
        return diag_set(d, ERR_INVAL, 0,
                        "%s is the beginning of %zu ids (%s, %s%s): give more of it", m->wanted,
                        m->count, m->id, m->other, m->count > 2 ? ", ..." : "");
    return 0;
}

/* A container and its sandbox, or a sandbox alone. */
struct pair {
    bool sandbox_alone;
    struct cri_object container, sandbox;
};

static void release_pair(struct pair *p)
{
    cri_object_release(&p->container);
    cri_object_release(&p->sandbox);
}

static int check_running(const struct cri_object *o, struct diag *d)
{
    if (o->state == CRI_RUNNING)
        return 0;
    return diag_set(d, ERR_EXPIRED, 0, "The %s %s is not running (%s)",
                    o->sandbox ? "sandbox" : "container", o->id, cri_state_text(o->state));
}

static int ask_pair(struct cri_session *s, const struct match *m, struct pair *p, struct diag *d)
{
    int r = 0;
    p->sandbox_alone = m->sandbox;
    if (!m->sandbox) {
        r = cri_session_container(s, m->id, &p->container, d);
        if (r == 0)
            r = check_running(&p->container, d);
    }
    if (r == 0)
        r = cri_session_sandbox(s, m->sandbox_id, &p->sandbox, d);
    /* A container may outlive its sandbox's readiness (its pause process was killed): then the
     * container counts. */
    if (r == 0 && m->sandbox)
        r = check_running(&p->sandbox, d);
    return r;
}

static bool same(const struct cri_object *a, const struct cri_object *b)
{
    return str_eq(a->id, b->id) && a->state == b->state && a->info.pid == b->info.pid &&
           str_eq(a->info.network_path, b->info.network_path);
}

/* What was found still holds: the process that a name was made of is the container's, not another's
 * with its number. */
static int confirm(struct cri_session *s, const struct match *m, const struct pair *before,
                   struct diag *d)
{
    struct pair now = {.sandbox_alone = false};
    int r = ask_pair(s, m, &now, d);
    if (r == 0 && ((!m->sandbox && !same(&before->container, &now.container)) ||
                   !same(&before->sandbox, &now.sandbox)))
        r = diag_set(d, ERR_EXPIRED, 0, "The container %s was restarted meanwhile: try again",
                     m->id);
    release_pair(&now);
    return r;
}

static int resolve(struct cri_session *s, struct match *m, char network[ENDPOINT_NAME_SIZE],
                   struct diag *d)
{
    struct pair p = {.sandbox_alone = false};
    int r = find(s, m, d);
    if (r == 0)
        r = ask_pair(s, m, &p, d);
    if (r == 0)
        r = cri_network_name(m->sandbox ? NULL : &p.container, &p.sandbox, network, d);
    if (r == 0)
        r = confirm(s, m, &p, d);
    release_pair(&p);
    return r;
}

/* Closes the session. */
static int lookup_in(const struct lookup *l, struct cri_session *s)
{
    struct match m = {.wanted = l->container};
    char network[ENDPOINT_NAME_SIZE];
    int r = resolve(s, &m, network, l->d);
    cri_session_close(s);
    return r < 0 ? r : lookup_endpoints(network, l->ret, l->d);
}

/* The first place where a runtime answers; a dead socket, or a service that has no CRI, isn't
 * one. */
static int lookup_anywhere(const struct lookup *l)
{
    struct diag last = {0}, d = {0};
    for (const char *const *p = cri_places; *p != NULL; p++) {
        struct cri_session s;
        int r = cri_session_open(&s, *p, LOOKUP_TIMEOUT_MS, &d);
        if (r == 0)
            return lookup_in(l, &s);
        if (r == ERR_NOTFOUND)
            continue;
        last = d;
        if (r != ERR_REFUSED && r != ERR_UNSUPPORTED)
            break;
    }
    if (last.err == 0) {
        (void)cri_place_none(&last);
        return lookup_none(&last, l->d);
    }
    return diag_set(l->d, last.err, last.os_code, "%s", last.text);
}

static int run(void *arg)
{
    struct lookup *l = arg;
    char path[PIPE_PATH_SIZE];
    struct cri_session s;
    if (l->runtime == NULL)
        return lookup_anywhere(l);
    int r = cri_place_path(l->runtime, path, l->d);
    if (r == 0)
        r = cri_session_open(&s, path, LOOKUP_TIMEOUT_MS, l->d);
    return r < 0 ? r : lookup_in(l, &s);
}

int lookup_container(const char *runtime, const char *container, struct lookup_result *ret,
                     struct diag *d)
{
    struct lookup l = {runtime, container, ret, d};
    if (!cri_id_ok(container))
        return diag_set(
            d, ERR_INVAL, 0,
            "\"%s\" is not the id of a container: ids are letters, digits, '_', '.' and "
            "'-', at most %d of them",
            shown(container).text, RUNTIME_ID_SIZE - 1);
    if (runtime != NULL && str_eq(runtime, "podman"))
        return lookup_podman(container, ret, d);
    return lookup_shielded(run, &l);
}
