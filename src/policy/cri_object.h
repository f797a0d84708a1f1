/* A container or a sandbox, as its runtime told of it: our own copy of a status. Memory only.
 */
#ifndef STILE_POLICY_CRI_OBJECT_H
#define STILE_POLICY_CRI_OBJECT_H

#include "cri/cri.pb-c.h"
#include "policy/cri_info.h"
#include "policy/runtime.h"

/* Of a label or annotation. Owned, in the order told. */
struct cri_pairs {
    struct runtime_label *items;
    size_t count;
    char *text; /* what items point into */
};

enum cri_state {
    CRI_CREATED, /* not started yet */
    CRI_RUNNING, /* sandbox: ready */
    CRI_ENDED,   /* sandbox: not ready */
    CRI_UNKNOWN,
};

#define CRI_NAME_SIZE 512

struct cri_object {
    bool sandbox;
    char id[RUNTIME_ID_SIZE];
    char name[CRI_NAME_SIZE]; /* a container's own, a sandbox's "namespace/pod"; cut if it is longer
                               */
    enum cri_state state;
    bool host_network; /* sandbox: so it was asked for */
    struct cri_info info;
    struct cri_pairs labels, annotations;
};

void cri_object_init(struct cri_object *o);
void cri_object_release(struct cri_object *o);
/* Over what is there. ERR_FORMAT (no status in it, an id that isn't one, info that makes no sense),
 * ERR_TOOBIG, ERR_NOMEM; then o is empty. */
int cri_object_of_container(struct cri_object *o, const Cri__ContainerStatusResponse *status,
                            struct diag *d);
int cri_object_of_sandbox(struct cri_object *o, const Cri__PodSandboxStatusResponse *status,
                          struct diag *d);

/* Letters, digits, '_', '.', '-', the first of them a letter or digit; 1 to RUNTIME_ID_SIZE - 1. */
bool cri_id_ok(const char *id);
const char *cri_state_text(enum cri_state s); /* "running" */

#endif
