#include "policy/cri_session.h"

#include "base/clock.h"

static void finish(struct cri_session *s, int err, const struct diag *why)
{
    if (s->done)
        return;
    s->done = true;
    s->err = err;
    if (err < 0 && s->d != NULL && why != NULL)
        *s->d = *why;
}

/* Every call has its time limit, so this ends. */
static int wait(struct cri_session *s)
{
    while (!s->done)
        loop_turn(&s->loop, true);
    return s->err;
}

static void on_ready(void *arg, int err, const struct diag *d)
{
    finish(arg, err, d);
}

static void on_lost(void *arg, int err, const struct diag *d)
{
    finish(arg, err, d);
}

int cri_session_open(struct cri_session *s, const char *path, unsigned timeout_ms, struct diag *d)
{
    static const struct cri_events events = {.on_ready = on_ready, .on_lost = on_lost};
    *s = (struct cri_session){.deadline = clock_mono_ns() + timeout_ms * NS_PER_MS, .d = d};
    int r = loop_init(&s->loop);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to prepare for asking a runtime: %s", err_text(r));
    r = cri_open(&s->loop, path, timeout_ms, &events, s, &s->cri);
    if (r < 0)
        diag_set(d, r, 0, "Failed to connect to %s: %s", path, err_text(r));
    else
        r = wait(s);
    if (r < 0)
        cri_session_close(s);
    return r;
}

void cri_session_close(struct cri_session *s)
{
    cri_close(s->cri);
    s->cri = NULL;
    (void)loop_release(&s->loop);
}

static void on_reply(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d)
{
    struct cri_session *s = arg;
    if (err == 0 && !s->done) {
        s->err = s->take(s->arg, reply, s->d);
        s->done = true;
        return;
    }
    finish(s, err, d);
}

int cri_session_ask(struct cri_session *s, enum cri_method method, const ProtobufCMessage *request,
                    int (*take)(void *arg, const ProtobufCMessage *reply, struct diag *d),
                    void *arg, struct diag *d)
{
    s->done = false;
    s->d = d;
    s->take = take;
    s->arg = arg;
    int r = cri_ask(s->cri, method, request, (unsigned)MAX(clock_left_ms(s->deadline), 1), on_reply,
                    s, NULL);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to ask the runtime at %s: %s", cri_path(s->cri),
                        err_text(r));
    return wait(s);
}

static int take_container(void *arg, const ProtobufCMessage *reply, struct diag *d)
{
    return cri_object_of_container(arg, (const Cri__ContainerStatusResponse *)reply, d);
}

int cri_session_container(struct cri_session *s, const char *id, struct cri_object *o,
                          struct diag *d)
{
    Cri__ContainerStatusRequest request = CRI__CONTAINER_STATUS_REQUEST__INIT;
    request.container_id = (char *)(uintptr_t)id; /* packed, not written */
    request.verbose = true;
    return cri_session_ask(s, CRI_CONTAINER_STATUS, &request.base, take_container, o, d);
}

static int take_sandbox(void *arg, const ProtobufCMessage *reply, struct diag *d)
{
    return cri_object_of_sandbox(arg, (const Cri__PodSandboxStatusResponse *)reply, d);
}

int cri_session_sandbox(struct cri_session *s, const char *id, struct cri_object *o, struct diag *d)
{
    Cri__PodSandboxStatusRequest request = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;
    request.pod_sandbox_id = (char *)(uintptr_t)id;
    request.verbose = true;
    return cri_session_ask(s, CRI_SANDBOX_STATUS, &request.base, take_sandbox, o, d);
}
