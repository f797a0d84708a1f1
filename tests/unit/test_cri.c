/* What runtimes tell, and a runtime of ours on the same loop, behind a Unix socket or a named pipe. */
#include "testing.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../common/cri_methods.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/pipe.h"
#include "policy/cri.h"
#include "policy/cri_object.h"
#include "policy/runtime_look.h"

/* ---- information ---- */

static int parse(const char *json, struct cri_info *ret)
{
    struct diag d = {0};
    int r = cri_info_parse(slice_str(json), ret, &d);
    assert_int_equal(r, d.err);
    return r;
}

static void a_sandbox_of_containerds_is_read(UNUSED void **state)
{
    struct cri_info i;
    assert_int_equal(
        parse(
            "{\"pid\":123,\"processStatus\":\"running\",\"netNamespaceClosed\":false,"
            "\"runtimeType\":\"io.containerd.runc.v2\",\"runtimeOptions\":{},\"runtimeSpec\":{"
            "\"ociVersion\":\"1.0.2-dev\",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":"
            "\"network\",\"path\":\"/var/run/netns/cni-1\"}]}}}",
            &i),
        0);
    assert_int_equal(i.pid, 123);
    assert_true(i.has_spec && i.has_network && !i.hyperv);
    assert_string_equal(i.network_path, "/var/run/netns/cni-1");
    assert_string_equal(i.runtime_type, "io.containerd.runc.v2");
    assert_string_equal(i.sandbox_id, "");
}

static void a_windows_container_is_read(UNUSED void **state)
{
    struct cri_info i;
    assert_int_equal(parse("{\"pid\":4,\"sandboxID\":\"aa11\",\"runtimeSpec\":{\"windows\":{"
                           "\"network\":{\"networkNamespace\":\"guid\"},\"hyperv\":{}}}}",
                           &i),
                     0);
    assert_string_equal(i.windows_namespace, "guid");
    assert_string_equal(i.sandbox_id, "aa11");
    assert_true(i.hyperv);
    assert_int_equal(parse("{\"runtimeSpec\":{\"windows\":{\"hyperv\":null,\"network\":{}}}}", &i),
                     0);
    assert_false(i.hyperv);
    assert_string_equal(i.windows_namespace, "");
}

static void what_is_missing_counts_as_not_told(UNUSED void **state)
{
    static const char *const texts[] = {"{}", "{\"pid\":null,\"runtimeSpec\":null}",
                                        "{\"x\":[1,{}]}"};
    struct cri_info i;
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_int_equal(parse(texts[n], &i), 0);
        assert_false(i.has_spec || i.has_network || i.hyperv);
        assert_int_equal(i.pid, 0);
    }
    assert_int_equal(
        parse("{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]}}}", &i), 0);
    assert_true(i.has_spec && !i.has_network);
}

static void limits_of_64_bits_do_no_harm(UNUSED void **state)
{
    struct cri_info i;
    assert_int_equal(parse("{\"pid\":7,\"runtimeSpec\":{\"process\":{\"rlimits\":[{\"hard\":"
                           "18446744073709551615,\"soft\":-9223372036854775808}]}}}",
                           &i),
                     0);
    assert_int_equal(i.pid, 7);
}

static void what_makes_no_sense_is_refused_and_nothing_written(UNUSED void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "1",
        "null",
        "{\"pid\":\"1\"}",
        "{\"pid\":-1}",
        "{\"pid\":1.5}",
        "{\"pid\":2147483648}",
        "{\"pid\":1e400}",
        "{\"runtimeSpec\":1}",
        "{\"runtimeSpec\":{\"linux\":[]}}",
        "{\"runtimeSpec\":{\"linux\":{\"namespaces\":1}}}",
        "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[1]}}}",
        "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"network\",\"path\":1}]}}}",
        "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"network\"}"
        "]}}}",
        "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"network\",\"path\":\"/"
        "a\\u0000b\"}"
        "]}}}",
        "{\"runtimeSpec\":{\"windows\":{\"network\":7}}}"};
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        struct cri_info i = {.pid = 42};
        assert_int_equal(parse(texts[n], &i), ERR_FORMAT);
        assert_int_equal(i.pid, 42);
    }
}

static void what_is_too_large_is_refused(UNUSED void **state)
{
    struct cri_info i;
    char text[1024];
    (void)str_format(text, sizeof(text),
                     "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"network\",\"path\":"
                     "\"/%0600d\"}]}}}",
                     0);
    assert_int_equal(parse(text, &i), ERR_TOOBIG);
    assert_int_equal(cri_info_parse(slice_of(text, CRI_INFO_MAX + 1), &i, NULL), ERR_TOOBIG);
}

static void networks_that_rules_do_not_reach_have_a_name(UNUSED void **state)
{
    assert_non_null(strstr(cri_info_hidden_network("io.containerd.kata.v2"), "Kata"));
    assert_non_null(strstr(cri_info_hidden_network("io.containerd.kata-qemu.v2"), "Kata"));
    assert_non_null(strstr(cri_info_hidden_network("io.containerd.runsc.v1"), "gVisor"));
    assert_null(cri_info_hidden_network("io.containerd.runc.v2"));
    assert_null(cri_info_hidden_network(""));
}

static void ids_are_letters_digits_and_little_else(UNUSED void **state)
{
    char longest[RUNTIME_ID_SIZE + 1];
    memset(longest, 'a', sizeof(longest));
    longest[RUNTIME_ID_SIZE] = '\0';
    assert_false(cri_id_ok(longest));
    longest[RUNTIME_ID_SIZE - 1] = '\0';
    assert_true(cri_id_ok(longest));
    assert_true(cri_id_ok("0a_.-Z"));
    assert_false(cri_id_ok(""));
    assert_false(cri_id_ok("-rf"));
    assert_false(cri_id_ok("../x"));
    assert_false(cri_id_ok("a/b"));
    assert_false(cri_id_ok("a b"));
    assert_false(cri_id_ok("\xc3\xa4"));
}

/* ---- a runtime, in the loop of the one who asks (tests/windows/cri_double.c is one by itself) ---- */

static char info_text[] =
    "{\"pid\":0,\"sandboxID\":\"aa11\",\"runtimeSpec\":{\"linux\":{\"namespaces\":"
    "[{\"type\":\"network\",\"path\":\"/run/netns/x\"}]},\"windows\":{\"network\":"
    "{\"networkNamespace\":\"/run/netns/x\"}}}}";
static char empty[] = "", key_info[] = "info", id_container[] = "cc11", id_sandbox[] = "aa11";
static char key_a[] = "a", key_b[] = "b", value_1[] = "1", value_2[] = "2";

static void answer_version(struct rpc_call *call, UNUSED const ProtobufCMessage *m,
                           UNUSED void *arg)
{
    Cri__VersionResponse answer = CRI__VERSION_RESPONSE__INIT;
    answer.runtime_name = key_a;
    answer.runtime_version = value_1;
    (void)rpc_call_reply(call, &answer.base);
}

static void answer_container(struct rpc_call *call, UNUSED const ProtobufCMessage *m,
                             UNUSED void *arg)
{
    Cri__ContainerStatusResponse answer = CRI__CONTAINER_STATUS_RESPONSE__INIT;
    Cri__ContainerStatus status = CRI__CONTAINER_STATUS__INIT;
    Cri__Entry info = CRI__ENTRY__INIT, label = CRI__ENTRY__INIT;
    Cri__Entry *infos[] = {&info}, *labels[] = {&label};
    info.key = key_info;
    info.value = info_text;
    label.key = key_a;
    label.value = value_1;
    status.id = id_container;
    status.state = CRI__CONTAINER_STATE__CONTAINER_RUNNING;
    status.labels = labels;
    status.n_labels = 1;
    answer.status = &status;
    answer.info = infos;
    answer.n_info = 1;
    (void)rpc_call_reply(call, &answer.base);
}

static void answer_sandbox(struct rpc_call *call, UNUSED const ProtobufCMessage *m,
                           UNUSED void *arg)
{
    Cri__PodSandboxStatusResponse answer = CRI__POD_SANDBOX_STATUS_RESPONSE__INIT;
    Cri__SandboxStatus status = CRI__SANDBOX_STATUS__INIT;
    Cri__SandboxMetadata metadata = CRI__SANDBOX_METADATA__INIT;
    Cri__Entry info = CRI__ENTRY__INIT, one = CRI__ENTRY__INIT, two = CRI__ENTRY__INIT;
    Cri__Entry *infos[] = {&info}, *labels[] = {&one, &two};
    info.key = key_info;
    info.value = info_text;
    one.key = key_a;
    one.value = value_2;
    two.key = key_b;
    two.value = value_2;
    metadata.name = empty;
    status.metadata = &metadata;
    status.id = id_sandbox;
    status.labels = labels;
    status.n_labels = 2;
    answer.status = &status;
    answer.info = infos;
    answer.n_info = 1;
    (void)rpc_call_reply(call, &answer.base);
}

static void answer_containers(struct rpc_call *call, UNUSED const ProtobufCMessage *m,
                              UNUSED void *arg)
{
    Cri__ListContainersResponse answer = CRI__LIST_CONTAINERS_RESPONSE__INIT;
    Cri__Container one = CRI__CONTAINER__INIT, *all[] = {&one};
    one.id = id_container;
    one.pod_sandbox_id = id_sandbox;
    one.state = CRI__CONTAINER_STATE__CONTAINER_RUNNING;
    answer.containers = all;
    answer.n_containers = 1;
    (void)rpc_call_reply(call, &answer.base);
}

static void answer_sandboxes(struct rpc_call *call, UNUSED const ProtobufCMessage *m,
                             UNUSED void *arg)
{
    Cri__ListPodSandboxResponse answer = CRI__LIST_POD_SANDBOX_RESPONSE__INIT;
    Cri__Sandbox one = CRI__SANDBOX__INIT, *all[] = {&one};
    one.id = id_sandbox;
    answer.items = all;
    answer.n_items = 1;
    (void)rpc_call_reply(call, &answer.base);
}

CRI_METHODS(v1alpha2, "v1alpha2");

static const struct rpc_handler handlers[] = {
    {&containers_v1alpha2, answer_containers}, {&sandboxes_v1alpha2, answer_sandboxes},
    {&version_v1alpha2, answer_version},       {&container_v1alpha2, answer_container},
    {&sandbox_v1alpha2, answer_sandbox},
};

struct fixture {
    struct loop loop;
    char path[PIPE_PATH_SIZE];
    uv_pipe_t listener;
    struct rpc_server_conn *server;
    struct cri *cri;
    struct look *look;
    unsigned timeout_ms;
    int ready, lost, answered; /* errors; 1: not called */
};

static void on_server_closed(void *arg, UNUSED int err, UNUSED const struct diag *d)
{
    struct fixture *f = arg;
    rpc_server_conn_close(STEAL(f->server));
}

static void on_listening(uv_stream_t *listener, UNUSED int status)
{
    struct fixture *f = listener->data;
    const struct rpc_server_config config = {.handlers = handlers,
                                             .handler_count = ARRAY_LEN(handlers),
                                             .service_arg = f,
                                             .on_closed = on_server_closed};
    uv_pipe_t *pipe;
    struct stream *stream;
    /* libuv waits for the accepting: where an allocation is made to fail, the next doesn't. */
    if (pipe_stream_new(&f->loop, &pipe, &stream) < 0)
        assert_int_equal(pipe_stream_new(&f->loop, &pipe, &stream), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)pipe), 0);
    if (rpc_server_conn_new(stream, &f->loop, &config, &f->server) < 0)
        stream_close(stream);
}

static void on_ready(void *arg, int err, UNUSED const struct diag *d)
{
    ((struct fixture *)arg)->ready = err;
}

static void on_lost(void *arg, int err, UNUSED const struct diag *d)
{
    ((struct fixture *)arg)->lost = err;
}

static const struct cri_events events = {.on_ready = on_ready, .on_lost = on_lost};

static void on_answer(void *arg, int err, const struct runtime_container *c, const struct diag *d)
{
    struct fixture *f = arg;
    f->answered = err;
    f->look = NULL;
    assert_true((err == 0) == (c != NULL) && (err == 0) == (d == NULL));
    if (c == NULL)
        return;
    assert_string_equal(c->id, "cc11");
    assert_string_equal(c->sandbox_id, "aa11");
    assert_string_equal(c->network_path, "/run/netns/x");
    assert_true(c->running && !c->host_network);
    assert_int_equal(c->label_count, 2);
    assert_string_equal(c->labels[0].value, "1");
    assert_string_equal(c->labels[1].key, "b");
}

/* One that was killed, with this process id, may have left its socket. */
static void remove_old(const char *path)
{
    uv_fs_t unlink;
    (void)uv_fs_unlink(NULL, &unlink, path, NULL);
    uv_fs_req_cleanup(&unlink);
}

static void begin(struct fixture *f)
{
    uv_utsname_t system;
    *f = (struct fixture){.timeout_ms = 10000, .ready = 1, .lost = 1, .answered = 1};
    assert_int_equal(loop_init(&f->loop), 0);
    assert_int_equal(uv_os_uname(&system), 0);
    bool windows = str_starts(system.sysname, "Windows") || str_starts(system.sysname, "MINGW");
    assert_int_equal(str_format(f->path, sizeof(f->path), "%s%ld",
                                windows ? "\\\\.\\pipe\\stile-test-cri-" : "/tmp/stile-test-cri-",
                                (long)uv_os_getpid()),
                     0);
    if (!windows)
        remove_old(f->path);
    assert_int_equal(uv_pipe_init(&f->loop.uv, &f->listener, 0), 0);
    f->listener.data = f;
    assert_int_equal(uv_pipe_bind(&f->listener, f->path), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 4, on_listening), 0);
}

static void end(struct fixture *f)
{
    look_cancel(f->look);
    cri_close(f->cri);
    rpc_server_conn_close(f->server);
    uv_close((uv_handle_t *)&f->listener, NULL);
    assert_int_equal(loop_release(&f->loop), 0);
}

static void turn_while(struct fixture *f, const int *value)
{
    for (int i = 0; i < 40000 && *value == 1; i++) {
        loop_turn(&f->loop, false);
        if (*value == 1)
            uv_sleep(1);
    }
}

static void connect_and_look(struct fixture *f)
{
    int r = cri_open(&f->loop, f->path, f->timeout_ms, &events, f, &f->cri);
    if (r == 0)
        turn_while(f, &f->ready);
    if (r < 0 || f->ready != 0)
        return;
    r = look_start(f->cri, "cc11", LOOK_EITHER, "", f->timeout_ms, on_answer, f, &f->look);
    if (r == 0)
        turn_while(f, &f->answered);
}

static void a_container_is_told_with_its_sandboxs_labels(UNUSED void **state)
{
    struct fixture f;
    begin(&f);
    connect_and_look(&f);
    assert_int_equal(f.ready, 0);
    assert_string_equal(cri_name(f.cri), "a 1 (runtime.v1alpha2)");
    assert_int_equal(f.answered, 0);
    end(&f);
}

static void a_connection_that_ends_is_told_once_and_calls_before_it(UNUSED void **state)
{
    struct fixture f;
    begin(&f);
    connect_and_look(&f);
    f.answered = 1;
    assert_int_equal(look_start(f.cri, "cc11", LOOK_CONTAINER, "", 3000, on_answer, &f, &f.look),
                     0);
    rpc_server_conn_close(STEAL(f.server));
    turn_while(&f, &f.lost);
    assert_int_equal(f.answered, ERR_CLOSED);
    assert_int_not_equal(f.lost, 1);
    assert_int_equal(look_start(f.cri, "cc11", LOOK_CONTAINER, "", 3000, on_answer, &f, &f.look),
                     ERR_CLOSED);
    end(&f);
}

static void closing_with_calls_under_way_tells_nobody(UNUSED void **state)
{
    struct fixture f;
    begin(&f);
    connect_and_look(&f);
    f.answered = 1;
    assert_int_equal(look_start(f.cri, "cc11", LOOK_EITHER, "", 3000, on_answer, &f, &f.look), 0);
    look_cancel(STEAL(f.look));
    for (int i = 0; i < 20; i++)
        loop_turn(&f.loop, false);
    assert_int_equal(f.answered, 1);
    end(&f);
}

static void whichever_allocation_fails_all_ends_with_an_error(UNUSED void **state)
{
    bool whole = false;
    for (uint64_t n = 1; n < 1000 && !whole; n++) {
        struct fixture f;
        begin(&f);
        f.timeout_ms = 300; /* where the runtime's side fails, it may say nothing */
        (void)mem_fail_at(n);
        connect_and_look(&f);
        whole = mem_fail_at(0) < n && f.answered == 0;
        assert_true(f.cri == NULL || f.ready != 1);
        assert_true(f.ready != 0 || f.look == NULL);
        end(&f);
    }
    assert_true(whole);
}

/* ---- watching ---- */

struct watched {
    int told[2]; /* the sandbox, the container */
    int listed;  /* 1: not yet */
    int gone;
    bool connected;
    bool troubled;  /* one may come without the other first */
    bool refuses;   /* the container, when it is told first */
    int free_after; /* events; 0: not */
    struct runtime **runtime;
};

static void free_if_wanted(struct watched *w)
{
    if (w->free_after > 0 && --w->free_after == 0)
        runtime_free(STEAL(*w->runtime));
}

static int on_told(void *arg, const struct runtime_container *c)
{
    struct watched *w = arg;
    bool container = str_eq(c->id, "cc11");
    assert_true(container || str_eq(c->id, "aa11"));
    assert_true(!container || w->troubled || w->told[0] > w->told[1]);
    w->told[container ? 1 : 0]++;
    free_if_wanted(w);
    return w->refuses && container && w->told[1] == 1 ? ERR_NOMEM : 0;
}

static void on_gone(void *arg, UNUSED const char *id)
{
    ((struct watched *)arg)->gone++;
}

static void on_listed(void *arg)
{
    struct watched *w = arg;
    w->listed = 0;
    free_if_wanted(w);
}

static void on_state(void *arg, bool connected, const char *text)
{
    struct watched *w = arg;
    assert_true(text[0] != '\0');
    w->connected = connected;
    free_if_wanted(w);
}

static const struct runtime_events watching = {
    .on_container = on_told, .on_listed = on_listed, .on_gone = on_gone, .on_state = on_state};

static const char *endpoint_of(const struct fixture *f)
{
    return f->path;
}

static void all_that_runs_is_told_and_then_told_again_after_a_loss(UNUSED void **state)
{
    struct fixture f;
    struct watched w = {.listed = 1};
    struct runtime *r;
    begin(&f);
    assert_int_equal(runtime_start(&f.loop, endpoint_of(&f), &watching, &w, &r, NULL), 0);
    turn_while(&f, &w.listed);
    assert_int_equal(w.listed, 0);
    assert_true(w.connected && w.told[0] == 1 && w.told[1] == 1);
    w.listed = 1;
    rpc_server_conn_close(STEAL(f.server));
    turn_while(&f, &w.listed);
    assert_true(w.connected && w.told[0] == 2 && w.told[1] == 2 && w.gone == 0);
    runtime_free(r);
    end(&f);
}

static void what_the_listener_cant_take_comes_again(UNUSED void **state)
{
    struct fixture f;
    struct watched w = {.listed = 1, .troubled = true, .refuses = true};
    struct runtime *r;
    begin(&f);
    assert_int_equal(runtime_start(&f.loop, endpoint_of(&f), &watching, &w, &r, NULL), 0);
    for (int i = 0; i < 40000 && w.told[1] < 2; i++) {
        loop_turn(&f.loop, false);
        uv_sleep(1);
    }
    assert_true(w.connected && w.told[0] == 1 && w.told[1] == 2);
    runtime_free(r);
    end(&f);
}

static void freeing_in_any_event_is_safe(UNUSED void **state)
{
    for (int events_before = 1; events_before <= 4; events_before++) {
        struct fixture f;
        struct runtime *r;
        struct watched w = {.listed = 1, .free_after = events_before, .runtime = &r};
        begin(&f);
        assert_int_equal(runtime_start(&f.loop, endpoint_of(&f), &watching, &w, &r, NULL), 0);
        for (int i = 0; i < 40000 && r != NULL; i++) {
            loop_turn(&f.loop, false);
            uv_sleep(1);
        }
        assert_null(r);
        int told = w.told[0] + w.told[1];
        for (int i = 0; i < 50; i++)
            loop_turn(&f.loop, false);
        assert_int_equal(w.told[0] + w.told[1], told);
        assert_int_equal(w.listed, events_before == 4 ? 0 : 1);
        end(&f);
    }
}

/* A coarse step: each failure costs the pause before the next connection. */
static void an_allocation_that_fails_only_delays_the_watching(UNUSED void **state)
{
    bool whole = false;
    for (uint64_t n = 1; n < 2000 && !whole; n += 9) {
        struct fixture f;
        struct watched w = {.listed = 1, .troubled = true};
        struct runtime *r = NULL;
        begin(&f);
        (void)mem_fail_at(n);
        if (runtime_start(&f.loop, endpoint_of(&f), &watching, &w, &r, NULL) == 0)
            turn_while(&f, &w.listed);
        whole = mem_fail_at(0) < n;
        for (int i = 0; i < 40000 && r != NULL && (w.told[0] == 0 || w.told[1] == 0); i++) {
            loop_turn(&f.loop, false);
            uv_sleep(1);
        }
        assert_true(r == NULL || (w.listed == 0 && w.told[0] > 0 && w.told[1] > 0));
        runtime_free(r);
        end(&f);
    }
    assert_true(whole);
}

int main(void)
{
#ifdef SIGPIPE
    (void)signal(SIGPIPE, SIG_IGN); /* as every program of ours */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sandbox_of_containerds_is_read),
        cmocka_unit_test(a_windows_container_is_read),
        cmocka_unit_test(what_is_missing_counts_as_not_told),
        cmocka_unit_test(limits_of_64_bits_do_no_harm),
        cmocka_unit_test(what_makes_no_sense_is_refused_and_nothing_written),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(networks_that_rules_do_not_reach_have_a_name),
        cmocka_unit_test(ids_are_letters_digits_and_little_else),
        cmocka_unit_test(a_container_is_told_with_its_sandboxs_labels),
        cmocka_unit_test(a_connection_that_ends_is_told_once_and_calls_before_it),
        cmocka_unit_test(closing_with_calls_under_way_tells_nobody),
        cmocka_unit_test(whichever_allocation_fails_all_ends_with_an_error),
        cmocka_unit_test(all_that_runs_is_told_and_then_told_again_after_a_loss),
        cmocka_unit_test(what_the_listener_cant_take_comes_again),
        cmocka_unit_test(freeing_in_any_event_is_safe),
        cmocka_unit_test(an_allocation_that_fails_only_delays_the_watching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
