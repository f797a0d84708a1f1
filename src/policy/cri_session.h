/* A connection to a runtime for one who waits: a loop of its own, every call blocks, and there is
 * one deadline for all. One thread. */
#ifndef STILE_POLICY_CRI_SESSION_H
#define STILE_POLICY_CRI_SESSION_H

#include "loop/loop.h"
#include "policy/cri.h"
#include "policy/cri_object.h"

struct cri_session {
    struct loop loop;
    struct cri *cri;
    uint64_t deadline; /* monotonic ns */
    /* What is waited for. */
    bool done;
    int err;
    struct diag *d;
    int (*take)(void *arg, const ProtobufCMessage *reply, struct diag *d);
    void *arg;
};

/* ERR_* of cri_open and on_ready; nothing is left then. */
int cri_session_open(struct cri_session *s, const char *path, unsigned timeout_ms, struct diag *d);
void cri_session_close(struct cri_session *s);

/* take gets the reply, borrowed; its error is the call's. */
int cri_session_ask(struct cri_session *s, enum cri_method method, const ProtobufCMessage *request,
                    int (*take)(void *arg, const ProtobufCMessage *reply, struct diag *d),
                    void *arg, struct diag *d);
/* o: initialised; what was in it is replaced. */
int cri_session_container(struct cri_session *s, const char *id, struct cri_object *o,
                          struct diag *d);
int cri_session_sandbox(struct cri_session *s, const char *id, struct cri_object *o,
                        struct diag *d);

#endif
