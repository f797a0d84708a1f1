#include "policy/cri.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "cri/containerd.pb-c.h"
#include "cri/cri.pb-c.h"
#include "loop/pipe.h"
#include "policy/cri_info.h"
#include "policy/shown.h"
#include "rpc/client.h"

#define CRI_NAME_SIZE 200

enum { V1, V1ALPHA2, VERSIONS };

#define METHOD(package, procedure, request_c, response_c, is_stream)                               \
    {                                                                                              \
        .path = "/" package "/" procedure, .request = &request_c##__descriptor,                    \
        .response = &response_c##__descriptor, .streaming = (is_stream)                            \
    }

#define METHODS(package)                                                                           \
    {                                                                                              \
        [CRI_VERSION] =                                                                            \
            METHOD(package, "Version", cri__version_request, cri__version_response, false),        \
        [CRI_LIST_CONTAINERS] = METHOD(package, "ListContainers", cri__list_containers_request,    \
                                       cri__list_containers_response, false),                      \
        [CRI_CONTAINER_STATUS] = METHOD(package, "ContainerStatus", cri__container_status_request, \
                                        cri__container_status_response, false),                    \
        [CRI_LIST_SANDBOXES] = METHOD(package, "ListPodSandbox", cri__list_pod_sandbox_request,    \
                                      cri__list_pod_sandbox_response, false),                      \
        [CRI_SANDBOX_STATUS] =                                                                     \
            METHOD(package, "PodSandboxStatus", cri__pod_sandbox_status_request,                   \
                   cri__pod_sandbox_status_response, false),                                       \
        [CRI_EVENTS] = METHOD(package, "GetContainerEvents", cri__get_events_request,              \
                              cri__container_event_response, true),                                \
        [CRI_CONTAINERD_EVENTS] =                                                                  \
            METHOD("containerd.services.events.v1.Events", "Subscribe",                            \
                   containerd__subscribe_request, containerd__envelope, true),                     \
    }

static const struct rpc_method methods[VERSIONS][CRI_CONTAINERD_EVENTS + 1] = {
    [V1] = METHODS("runtime.v1.RuntimeService"),
    [V1ALPHA2] = METHODS("runtime.v1alpha2.RuntimeService"),
};

static const char *const version_names[VERSIONS] = {"runtime.v1", "runtime.v1alpha2"};

/* Connecting → asking for its version, of one interface after the other → ready. */
struct cri {
    struct loop *loop;
    char path[PIPE_PATH_SIZE];
    char name[CRI_NAME_SIZE];
    struct cri_events events;
    void *arg;
    uint64_t deadline; /* for on_ready; monotonic ns */
    struct pipe_connect *connect;
    struct rpc_client *client;
    struct list calls;
    int version;
    bool ready;  /* on_ready said 0 */
    bool failed; /* on_ready said another thing, or on_lost was called */
};

struct cri_call {
    struct list node;
    struct cri *cri;
    struct rpc_pending *pending;
    cri_reply_fn *reply;
    void *arg;
    bool streaming;
};

const char *cri_name(const struct cri *c)
{
    return c->name;
}

const char *cri_path(const struct cri *c)
{
    return c->path;
}

static void fail(struct cri *c, const struct diag *d)
{
    if (c->failed)
        return;
    c->failed = true;
    if (c->ready)
        c->events.on_lost(c->arg, d->err, d);
    else
        c->events.on_ready(c->arg, d->err, d);
}

static int describe(const struct cri *c, enum rpc_status status, const char *text, struct diag *d)
{
    const char *who = c->name[0] != '\0' ? c->name : "The runtime";
    int err = status == RPC_OK ? ERR_CLOSED : rpc_status_to_err(status);
    switch (status) {
    case RPC_OK:
        return diag_set(d, err, 0, "%s at %s ended its stream of events", who, c->path);
    case RPC_DEADLINE_EXCEEDED:
        return diag_set(d, err, 0,
                        "%s at %s accepts connections but did not answer in time: see how it is "
                        "doing, restart it if it hangs",
                        who, c->path);
    case RPC_UNIMPLEMENTED:
        return diag_set(d, err, 0, "%s at %s does not offer this: %s", who, c->path,
                        str_is_empty(text) ? "no reason given" : shown(text).text);
    default:
        return diag_set(d, err, 0, "%s at %s: %s (%s)", who, c->path,
                        str_is_empty(text) ? "no reason given" : text, rpc_status_name(status));
    }
}

/* ---- calls ---- */

static void on_reply(void *arg, enum rpc_status status, const char *message,
                     const ProtobufCMessage *reply)
{
    struct cri_call *call = arg;
    cri_reply_fn *tell = call->reply;
    void *tell_arg = call->arg;
    struct diag d;
    if (reply != NULL && call->streaming) {
        tell(tell_arg, 0, reply, NULL);
        return;
    }
    if (reply == NULL)
        describe(call->cri, status, message, &d);
    list_remove(&call->node);
    mem_free(call);
    tell(tell_arg, reply != NULL ? 0 : d.err, reply, reply != NULL ? NULL : &d);
}

int cri_ask(struct cri *c, enum cri_method method, const ProtobufCMessage *request,
            unsigned timeout_ms, cri_reply_fn *reply, void *arg, struct cri_call **ret)
{
    if (c->client == NULL)
        return ERR_CLOSED;
    struct cri_call *call = NEW(struct cri_call);
    if (call == NULL)
        return ERR_NOMEM;
    call->cri = c;
    call->reply = reply;
    call->arg = arg;
    call->streaming = methods[c->version][method].streaming;
    list_push_back(&c->calls, &call->node);
    int r = rpc_client_call(c->client, &methods[c->version][method], request, timeout_ms, on_reply,
                            call, &call->pending);
    if (r < 0) {
        list_remove(&call->node);
        mem_free(call);
        return r;
    }
    if (ret != NULL)
        *ret = call;
    return 0;
}

void cri_cancel(struct cri_call *call)
{
    if (call == NULL)
        return;
    list_remove(&call->node);
    rpc_pending_cancel(call->pending);
    mem_free(call);
}

/* ---- beginning ---- */

static void ask_version(struct cri *c);

static void on_version(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d)
{
    struct cri *c = arg;
    if (err == ERR_UNSUPPORTED && c->version == V1) {
        c->version = V1ALPHA2;
        ask_version(c);
        return;
    }
    if (err == ERR_UNSUPPORTED) {
        struct diag none;
        diag_set(&none, err, 0,
                 "What listens at %s does not speak the Container Runtime Interface (runtime.v1 or "
                 "runtime.v1alpha2): is its CRI plugin disabled in its configuration?",
                 c->path);
        fail(c, &none);
        return;
    }
    if (err < 0) {
        fail(c, d);
        return;
    }
    const Cri__VersionResponse *v = (const Cri__VersionResponse *)reply;
    (void)str_format(c->name, sizeof(c->name), "%s %s (%s)", shown(v->runtime_name).text,
                     shown(v->runtime_version).text, version_names[c->version]);
    c->ready = true;
    c->events.on_ready(c->arg, 0, NULL);
}

static void ask_version(struct cri *c)
{
    char interface[] = "0.1.0";
    Cri__VersionRequest request = CRI__VERSION_REQUEST__INIT;
    request.version = interface;
    int r = cri_ask(c, CRI_VERSION, &request.base, (unsigned)MAX(clock_left_ms(c->deadline), 1),
                    on_version, c, NULL);
    if (r < 0) {
        struct diag d;
        diag_set(&d, r, 0, "Failed to ask the runtime at %s for its version: %s", c->path,
                 err_text(r));
        fail(c, &d);
    }
}

static void on_closed(void *arg, int err, const struct diag *diag)
{
    struct cri *c = arg;
    struct diag d;
    rpc_client_close(STEAL(c->client));
    diag_set(&d, err == 0 ? ERR_CLOSED : err, diag->os_code,
             "The connection to %s at %s was lost: %s",
             c->name[0] != '\0' ? c->name : "the runtime", c->path, diag->text);
    fail(c, &d);
}

static int explain(const struct cri *c, int err, const struct diag *why, struct diag *d)
{
    switch (err) {
    case ERR_NOTFOUND:
        return diag_set(d, err, why->os_code,
                        "There is no container runtime at %s: start it, or name its socket with "
                        "--runtimeendpoint",
                        c->path);
    case ERR_REFUSED:
        return diag_set(d, err, why->os_code,
                        "Nothing listens at %s: the container runtime that made this socket has "
                        "ended; start it",
                        c->path);
    case ERR_PERM:
        return diag_set(d, err, why->os_code,
                        "Not permitted to connect to %s: this needs root (or the right to use the "
                        "runtime's socket)",
                        c->path);
    default:
        return diag_set(d, err, why->os_code, "%s", why->text);
    }
}

static void on_connected(void *arg, int err, struct stream *stream, const struct diag *why)
{
    struct cri *c = arg;
    struct diag d;
    c->connect = NULL;
    if (err < 0) {
        explain(c, err, why, &d);
        fail(c, &d);
        return;
    }
    err = rpc_client_new(stream, c->loop, NULL, on_closed, c, &c->client);
    if (err < 0) {
        stream_close(stream);
        diag_set(&d, err, 0, "Failed to begin a conversation with %s: %s", c->path, err_text(err));
        fail(c, &d);
        return;
    }
    rpc_client_set_message_max(c->client, CRI_REPLY_MAX);
    ask_version(c);
}

int cri_open(struct loop *loop, const char *path, unsigned timeout_ms,
             const struct cri_events *events, void *arg, struct cri **ret)
{
    CLEANUP(mem_freep) struct cri *c = NEW(struct cri);
    if (c == NULL)
        return ERR_NOMEM;
    c->loop = loop;
    c->events = *events;
    c->arg = arg;
    c->deadline = clock_mono_ns() + timeout_ms * NS_PER_MS;
    list_init(&c->calls);
    int r = str_copy(c->path, sizeof(c->path), path);
    if (r == 0)
        r = pipe_connect_start(loop, path, timeout_ms, on_connected, c, &c->connect);
    if (r < 0)
        return r;
    *ret = STEAL(c);
    return 0;
}

void cri_close(struct cri *c)
{
    if (c == NULL)
        return;
    c->failed = true;
    LIST_FOR_EACH (node, &c->calls)
        cri_cancel(LIST_ENTRY(node, struct cri_call, node));
    pipe_connect_cancel(STEAL(c->connect));
    rpc_client_close(STEAL(c->client));
    mem_free(c);
}
