/* A container runtime that is asked and listened to without blocking: what the watch is written
 * against.
 *
 * Events come from CRI's GetContainerEvents where the runtime has it (containerd 1.7, CRI-O), else
 * from containerd's own event stream (containerd.services.events.v1, with the namespace k8s.io). An
 * event only says "look again at this container": state is always read anew.
 */
#ifndef STILE_POLICY_RUNTIME_H
#define STILE_POLICY_RUNTIME_H

#include "base/err.h"
#include "loop/loop.h"
#include "policy/endpoint.h"

struct runtime;

#define RUNTIME_ID_SIZE 129

struct runtime_label {
    const char *key, *value;
};

/* Borrowed for the length of the callback. A sandbox is told too, as a container whose id is its
 * sandbox_id: its network is there before its first container, and stays between them. */
struct runtime_container {
    const char *id;
    const char *sandbox_id; /* "" if it has none */
    const char *name;       /* "namespace/pod/container", "namespace/pod", for people */
    bool running;           /* sandbox: ready */
    bool host_network;
    /* A name for endpoint_open: the path of its network namespace, or "pid:PID@START"; "" not
     * known. Windows: the namespace's GUID. */
    const char *network_path;
    const char *network_problem; /* why network_path is ""; else "" */
    const struct runtime_label
        *labels; /* its own, then its sandbox's; of two with the same key its own alone */
    size_t label_count;
    const struct runtime_label *annotations;
    size_t annotation_count;
};

struct runtime_events {
    /* Once after runtime_start and after each reconnection, for every running container (and ready
     * sandbox); then for those that start. A sandbox comes before its containers. With a negative
     * result it comes again with the next listing. */
    int (*on_container)(void *arg, const struct runtime_container *c);
    void (*on_listed)(void *arg);               /* all that were there have been told */
    void (*on_gone)(void *arg, const char *id); /* it ended */
    /* One that runs can't be asked about, so nothing is told of it. Once per connection; it is
     * asked about again with every listing. */
    void (*on_problem)(void *arg, const char *id, const char *text);
    void (*on_state)(
        void *arg, bool connected,
        const char *text); /* text for people; it reconnects by itself, with back-off */
};

/* endpoint as in lookup.h; NULL: the first that is there. Copies events. */
int runtime_start(struct loop *loop, const char *endpoint, const struct runtime_events *events,
                  void *arg, struct runtime **ret, struct diag *d);
void runtime_free(struct runtime *r); /* NULL does nothing; no event, and no answer, after this */

/* How many of those that run can't be asked about, as on_problem has told. */
size_t runtime_problems(const struct runtime *r);

/* One container, asked for now: whether what was told of it still holds, once something that could
 * be reused meanwhile (its pid, a path) has been opened. The answer comes once, from the loop: 0
 * (running or not stands in c), ERR_NOTFOUND (there is none any more; c is NULL, as with every
 * error), ERR_CLOSED (the connection was lost, or there is none: what runs is told anew once there
 * is), ERR_TIMEOUT. id of a container, or of a sandbox. Several may be under way. ERR_NOMEM: no
 * answer comes. */
typedef void runtime_answer_fn(void *arg, int err, const struct runtime_container *c,
                               const struct diag *d);
int runtime_ask(struct runtime *r, const char *id, runtime_answer_fn *answer, void *arg);

#endif
