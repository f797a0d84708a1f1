/* usage: cri_double PIPE FILE
 *
 * A container runtime's CRI on a named pipe, with what the JSON file says at each call: {"version": "v1", "hang": false, "containers":
 * [{"id", "sandbox", "state", "info"}], "sandboxes": [the same]}. Says "ready", and serves until the
 * file is gone.
 *
 * A program, because stile.exe asks it. It can do what one call after another shows; the double in tests/unit/test_cri.c stands in the
 * client's own loop, where each allocation can fail. That the bytes are CRI's is shown by neither, as both are made from our own
 * proto/cri: tests/policy has runtimes that aren't.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "../common/cri_methods.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/pipe.h"

#define ITEMS_MAX 16

static struct loop loop;
static const char *state_file;

/* Empty text where there is none. */
static char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

static json_t *read_state(void)
{
    json_error_t error;
    json_t *state = json_load_file(state_file, 0, &error);
    return state != NULL ? state : json_object();
}

static const json_t *find(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(text_of(json_array_get(list, i), "id"), id))
            return json_array_get(list, i);
    return NULL;
}

static int state_of(const json_t *object)
{
    return (int)json_integer_value(json_object_get(object, "state"));
}

/* True if the call was taken: this runtime hangs, or doesn't know this version of the interface. */
static bool refused(struct rpc_call *call, const json_t *state)
{
    const char *package = strchr(rpc_call_method(call)->path, '.') + 1;
    const char *version = text_of(state, "version");
    if (json_is_true(json_object_get(state, "hang")))
        return true;
    if (str_starts(package, version) && package[strlen(version)] == '.')
        return false;
    rpc_call_fail(call, RPC_UNIMPLEMENTED, "unknown service");
    return true;
}

static void version(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    Cri__VersionResponse answer = CRI__VERSION_RESPONSE__INIT;
    char name[] = "double", number[] = "1.0";
    json_t *state = read_state();
    (void)request;
    (void)arg;
    answer.runtime_name = name;
    answer.runtime_version = number;
    if (!refused(call, state))
        (void)rpc_call_reply(call, &answer.base);
    json_decref(state);
}

static void list_containers(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    Cri__ListContainersResponse answer = CRI__LIST_CONTAINERS_RESPONSE__INIT;
    Cri__Container items[ITEMS_MAX], *pointers[ITEMS_MAX];
    json_t *state = read_state();
    const json_t *list = json_object_get(state, "containers");
    (void)request;
    (void)arg;
    for (size_t i = 0; i < json_array_size(list) && i < ITEMS_MAX; i++) {
        cri__container__init(&items[i]);
        items[i].id = text_of(json_array_get(list, i), "id");
        items[i].pod_sandbox_id = text_of(json_array_get(list, i), "sandbox");
        items[i].state = (Cri__ContainerState)state_of(json_array_get(list, i));
        pointers[i] = &items[i];
        answer.n_containers++;
    }
    answer.containers = pointers;
    if (!refused(call, state))
        (void)rpc_call_reply(call, &answer.base);
    json_decref(state);
}

static void list_sandboxes(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    Cri__ListPodSandboxResponse answer = CRI__LIST_POD_SANDBOX_RESPONSE__INIT;
    Cri__Sandbox items[ITEMS_MAX], *pointers[ITEMS_MAX];
    json_t *state = read_state();
    const json_t *list = json_object_get(state, "sandboxes");
    (void)request;
    (void)arg;
    for (size_t i = 0; i < json_array_size(list) && i < ITEMS_MAX; i++) {
        cri__sandbox__init(&items[i]);
        items[i].id = text_of(json_array_get(list, i), "id");
        items[i].state = (Cri__SandboxState)state_of(json_array_get(list, i));
        pointers[i] = &items[i];
        answer.n_items++;
    }
    answer.items = pointers;
    if (!refused(call, state))
        (void)rpc_call_reply(call, &answer.base);
    json_decref(state);
}

static void container_status(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    Cri__ContainerStatusResponse answer = CRI__CONTAINER_STATUS_RESPONSE__INIT;
    Cri__ContainerStatus status = CRI__CONTAINER_STATUS__INIT;
    Cri__Entry entry = CRI__ENTRY__INIT, *entries[] = {&entry};
    json_t *state = read_state();
    const json_t *one = find(json_object_get(state, "containers"),
                             ((const Cri__ContainerStatusRequest *)request)->container_id);
    char key[] = "info";
    (void)arg;
    status.id = text_of(one, "id");
    status.state = (Cri__ContainerState)state_of(one);
    entry.key = key;
    entry.value = text_of(one, "info");
    answer.status = &status;
    answer.n_info = 1;
    answer.info = entries;
    if (one == NULL)
        rpc_call_fail(call, RPC_NOT_FOUND, "no such container");
    else if (!refused(call, state))
        (void)rpc_call_reply(call, &answer.base);
    json_decref(state);
}

static void sandbox_status(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    Cri__PodSandboxStatusResponse answer = CRI__POD_SANDBOX_STATUS_RESPONSE__INIT;
    Cri__SandboxStatus status = CRI__SANDBOX_STATUS__INIT;
    Cri__Entry entry = CRI__ENTRY__INIT, *entries[] = {&entry};
    json_t *state = read_state();
    const json_t *one = find(json_object_get(state, "sandboxes"),
                             ((const Cri__PodSandboxStatusRequest *)request)->pod_sandbox_id);
    char key[] = "info";
    (void)arg;
    status.id = text_of(one, "id");
    status.state = (Cri__SandboxState)state_of(one);
    entry.key = key;
    entry.value = text_of(one, "info");
    answer.status = &status;
    answer.n_info = 1;
    answer.info = entries;
    if (one == NULL)
        rpc_call_fail(call, RPC_NOT_FOUND, "no such sandbox");
    else if (!refused(call, state))
        (void)rpc_call_reply(call, &answer.base);
    json_decref(state);
}

CRI_METHODS(v1, "v1");
CRI_METHODS(v1alpha2, "v1alpha2");

static const struct rpc_handler handlers[] = {
    {&version_v1, version},
    {&containers_v1, list_containers},
    {&sandboxes_v1, list_sandboxes},
    {&container_v1, container_status},
    {&sandbox_v1, sandbox_status},
    {&version_v1alpha2, version},
    {&containers_v1alpha2, list_containers},
    {&sandboxes_v1alpha2, list_sandboxes},
    {&container_v1alpha2, container_status},
    {&sandbox_v1alpha2, sandbox_status},
};

static void on_listening(uv_stream_t *listener, int status)
{
    static const struct rpc_server_config config = {
        .handlers = handlers, .handler_count = ARRAY_LEN(handlers), .request_ms = 600000};
    struct rpc_server_conn *connection;
    struct stream *stream;
    uv_pipe_t *pipe;
    if (status < 0 || pipe_stream_new(&loop, &pipe, &stream) < 0)
        return;
    if (uv_accept(listener, (uv_stream_t *)pipe) < 0 ||
        rpc_server_conn_new(stream, &loop, &config, &connection) < 0)
        stream_close(stream);
}

static void on_clock(uv_timer_t *timer)
{
    FILE *file = fopen(state_file, "r");
    if (file == NULL)
        uv_stop(timer->loop);
    else
        (void)fclose(file);
}

int main(int argc, char **argv)
{
    static uv_pipe_t listener;
    static uv_timer_t clock;
    if (argc != 3 || loop_init(&loop) < 0)
        return 2;
    state_file = argv[2];
    if (uv_pipe_init(&loop.uv, &listener, 0) < 0 || uv_pipe_bind(&listener, argv[1]) < 0 ||
        uv_listen((uv_stream_t *)&listener, 8, on_listening) < 0 ||
        uv_timer_init(&loop.uv, &clock) < 0 || uv_timer_start(&clock, on_clock, 200, 200) < 0)
        return 1;
    puts("ready");
    (void)fflush(stdout);
    return loop_run(&loop);
}
