/* A program's connection from its SYN to its end: a real worker and control thread between a link that the test holds and an agent and
 * a gateway of the test's own, all in one process.
 */
#include "testing.h"

#include <signal.h>
#include <stdio.h>

#include "engine/app_handler.h"
#include "engine/control.h"
#include "loop/socket.h"
#include "packets.h"
#include "platform/fdpass.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "tls/stream.h"
#include "tls/target_status.h"
#include "tls_helpers.h"

#define HEARD_MAX 16

struct world {
    struct loop loop;
    struct shared shared;
    struct control *control;
    struct worker *worker;
    struct test_link *link;
    struct ip_endpoint app4, app6;

    /* the agent */
    int rpc_fd, dial_fd;
    struct rpc_server_conn *agent;
    uv_poll_t dial_poll;
    enum rpc_status allow_says, cert_says;
    int dial_says;
    unsigned new_connections, invalid_ports, dials, signatures;
    bool hold_allow; /* the question waits in held */
    struct rpc_call *held;
    struct {
        uint64_t id;
        Stile__Vnet__V1__Verdict verdict;
        char reason[128];
        uint64_t up, down;
    } reports[HEARD_MAX];
    unsigned report_count;

    /* the gateway */
    struct test_ca ca;
    EVP_PKEY *app_key, *gateway_key;
    X509 *app_cert, *gateway_cert;
    SSL_CTX *gateway_ctx;
    struct stream *gateway; /* of the latest connection */
    struct stream *earlier[4];
    unsigned earlier_count;
    struct target_status status;
    bool hold_status;
    uint8_t got[256];
    size_t got_len;
    bool got_end;

    /* the kernel's word */
    int owner_says;
    uint32_t owner_uid;
};

static struct world w;

/* ---- the agent ---- */

static void on_authenticate(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)m;
    (void)arg;
    Stile__Vnet__V1__AuthenticateProcessResponse r =
        STILE__VNET__V1__AUTHENTICATE_PROCESS_RESPONSE__INIT;
    r.version = (char *)(uintptr_t)STILE_VERSION;
    assert_int_equal(rpc_call_reply(call, &r.base), 0);
}

static void answer_allow(struct rpc_call *call)
{
    Stile__Vnet__V1__OnNewConnectionResponse r = STILE__VNET__V1__ON_NEW_CONNECTION_RESPONSE__INIT;
    if (w.allow_says != RPC_OK)
        rpc_call_fail(call, w.allow_says, "the agent's words");
    else
        assert_int_equal(rpc_call_reply(call, &r.base), 0);
}

static void on_new_connection(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)arg;
    const Stile__Vnet__V1__OnNewConnectionRequest *q =
        (const Stile__Vnet__V1__OnNewConnectionRequest *)m;
    assert_string_equal(q->fqdn, "pg.test");
    assert_int_equal(q->port, 5432);
    assert_int_equal(q->client->socket_inode, 77);
    w.new_connections++;
    if (w.hold_allow)
        w.held = call;
    else
        answer_allow(call);
}

static void on_reissue(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)m;
    (void)arg;
    Stile__Vnet__V1__ReissueAppCertResponse r = STILE__VNET__V1__REISSUE_APP_CERT_RESPONSE__INIT;
    struct buf der;
    if (w.cert_says != RPC_OK) {
        rpc_call_fail(call, w.cert_says, "log in again");
        return;
    }
    buf_init(&der, 65536);
    assert_int_equal(cert_to_der(w.app_cert, &der), 0);
    r.cert.data = (uint8_t *)(uintptr_t)buf_slice(&der).data;
    r.cert.len = buf_len(&der);
    assert_int_equal(rpc_call_reply(call, &r.base), 0);
    buf_release(&der);
}

static void on_sign(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)arg;
    const Stile__Vnet__V1__SignForAppRequest *q = (const Stile__Vnet__V1__SignForAppRequest *)m;
    Stile__Vnet__V1__SignForAppResponse r = STILE__VNET__V1__SIGN_FOR_APP_RESPONSE__INIT;
    struct sign_request request = {.digest = slice_of(q->digest.data, q->digest.len),
                                   .hash = SIGN_HASH_SHA256};
    struct buf signature;
    assert_int_equal(q->hash, STILE__VNET__V1__HASH__HASH_SHA256);
    assert_int_equal(q->target_port, 5432);
    buf_init(&signature, 1024);
    assert_int_equal(key_sign(w.app_key, &request, &signature), 0);
    r.signature.data = (uint8_t *)(uintptr_t)buf_slice(&signature).data;
    r.signature.len = buf_len(&signature);
    w.signatures++;
    assert_int_equal(rpc_call_reply(call, &r.base), 0);
    buf_release(&signature);
}

static void on_invalid_port(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)arg;
    const Stile__Vnet__V1__OnInvalidLocalPortRequest *q =
        (const Stile__Vnet__V1__OnInvalidLocalPortRequest *)m;
    Stile__Vnet__V1__OnInvalidLocalPortResponse r =
        STILE__VNET__V1__ON_INVALID_LOCAL_PORT_RESPONSE__INIT;
    assert_int_equal(q->target_port, 81);
    w.invalid_ports++;
    assert_int_equal(rpc_call_reply(call, &r.base), 0);
}

static void on_reports(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)arg;
    const Stile__Vnet__V1__ReportConnectionsRequest *q =
        (const Stile__Vnet__V1__ReportConnectionsRequest *)m;
    Stile__Vnet__V1__ReportConnectionsResponse r =
        STILE__VNET__V1__REPORT_CONNECTIONS_RESPONSE__INIT;
    for (size_t i = 0; i < q->n_connections && w.report_count < HEARD_MAX; i++) {
        const Stile__Vnet__V1__ConnectionReport *c = q->connections[i];
        w.reports[w.report_count].id = c->connection_id;
        w.reports[w.report_count].verdict = c->verdict;
        w.reports[w.report_count].up = c->bytes_up;
        w.reports[w.report_count].down = c->bytes_down;
        (void)snprintf(w.reports[w.report_count].reason, sizeof(w.reports[0].reason), "%s",
                       c->reason);
        w.report_count++;
    }
    assert_int_equal(rpc_call_reply(call, &r.base), 0);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)m;
    (void)arg;
    Stile__Vnet__V1__TargetConfiguration t = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    assert_int_equal(rpc_call_send(call, &t.base), 0);
    rpc_call_on_cancel(call, (void (*)(void *))rpc_call_finish, call);
}

static void on_ping(struct rpc_call *call, const ProtobufCMessage *m, void *arg)
{
    (void)m;
    (void)arg;
    Stile__Vnet__V1__PingResponse r = STILE__VNET__V1__PING_RESPONSE__INIT;
    (void)rpc_call_reply(call, &r.base);
}

static const struct rpc_handler handlers[] = {
    {&client_application_authenticate_process, on_authenticate},
    {&client_application_on_new_connection, on_new_connection},
    {&client_application_reissue_app_cert, on_reissue},
    {&client_application_sign_for_app, on_sign},
    {&client_application_on_invalid_local_port, on_invalid_port},
    {&client_application_report_connections, on_reports},
    {&client_application_watch_target_configuration, on_watch},
    {&client_application_ping, on_ping},
};

/* ---- the gateway ---- */

static void gateway_data(void *arg, struct slice bytes)
{
    (void)arg;
    assert_true(w.got_len + bytes.len <= sizeof(w.got));
    memcpy(w.got + w.got_len, bytes.data, bytes.len);
    w.got_len += bytes.len;
}

static void gateway_end(void *arg)
{
    (void)arg;
    w.got_end = true;
}

/* Closed by the teardown. */
static void gateway_error(void *arg, int err, const struct diag *d)
{
    (void)arg;
    (void)err;
    (void)d;
}

static void send_status(void)
{
    uint8_t message[TARGET_STATUS_LEN] = {0};
    const struct slice part = slice_of(message, sizeof(message));
    target_status_encode(&w.status, message);
    assert_int_equal(stream_write(w.gateway, &part, 1), 0);
}

static void gateway_ready(void *arg, int err, const struct diag *d)
{
    (void)arg;
    (void)d;
    static const struct stream_events events = {
        .on_data = gateway_data, .on_end = gateway_end, .on_error = gateway_error};
    if (err < 0)
        return;
    stream_set_events(w.gateway, &events, NULL);
    assert_int_equal(stream_read_start(w.gateway), 0);
    if (!w.hold_status)
        send_status();
}

/* A connection to the gateway: one end of a pair for the engine, TLS on the other. */
static int gateway_connect(void)
{
    int pair[2];
    struct stream *lower = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    if (w.gateway != NULL && w.earlier_count < ARRAY_LEN(w.earlier))
        w.earlier[w.earlier_count++] = STEAL(w.gateway);
    assert_int_equal(socket_stream_new(&w.loop, pair[1], &lower), 0);
    const struct tls_config config = {.ctx = w.gateway_ctx, .server = true};
    assert_int_equal(tls_stream_new(lower, &w.loop, &config, gateway_ready, NULL, &w.gateway), 0);
    return pair[0];
}

static void on_dial(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    union channel_message m, answer;
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count = 0;
    while (channel_recv(w.dial_fd, &m, fds, &fd_count) == 0) {
        assert_int_equal(m.header.type, CHANNEL_DIAL_GATEWAY);
        assert_string_equal(m.dial_gateway.profile, "demo");
        w.dials++;
        channel_init(&answer, CHANNEL_DIALED);
        answer.dialed.id = m.dial_gateway.id;
        answer.dialed.err = w.dial_says;
        int fd = w.dial_says == 0 ? gateway_connect() : -1;
        if (fd < 0)
            memcpy(answer.dialed.reason, "nobody there", sizeof("nobody there"));
        assert_int_equal(channel_send(w.dial_fd, &answer, &fd, fd < 0 ? 0 : 1), 0);
        if (fd >= 0)
            close(fd);
    }
}

/* ---- the world ---- */

static int find_owner(struct owner_table *t, const struct ip_endpoint *client,
                      const struct ip_endpoint *server, struct owner *ret)
{
    (void)t;
    (void)client;
    (void)server;
    *ret = (struct owner){.uid = w.owner_uid, .inode = 77};
    return w.owner_says;
}

static void put_app(void)
{
    struct names_app *app = NULL;
    struct name name;
    Stile__Vnet__V1__AppKey key = STILE__VNET__V1__APP_KEY__INIT;
    Stile__Vnet__V1__App a = STILE__VNET__V1__APP__INIT;
    Stile__Vnet__V1__PortRange range = STILE__VNET__V1__PORT_RANGE__INIT;
    Stile__Vnet__V1__PortRange *ranges[] = {&range};
    Stile__Vnet__V1__DialOptions dial = STILE__VNET__V1__DIAL_OPTIONS__INIT;
    Stile__Vnet__V1__AppInfo info = STILE__VNET__V1__APP_INFO__INIT;
    uint8_t bytes[8192];
    key.profile = (char *)(uintptr_t) "demo";
    key.name = (char *)(uintptr_t) "pg";
    range.first = range.last = 5432;
    a.n_ports = 1;
    a.ports = ranges;
    dial.web_proxy_addr = (char *)(uintptr_t) "gw.test:443";
    dial.root_cluster_ca_cert_pool.data = (uint8_t *)(uintptr_t)buf_slice(&w.ca.pem).data;
    dial.root_cluster_ca_cert_pool.len = buf_len(&w.ca.pem);
    info.app_key = &key;
    info.app = &a;
    info.dial_options = &dial;
    assert_true(stile__vnet__v1__app_info__get_packed_size(&info) <= sizeof(bytes));
    size_t len = stile__vnet__v1__app_info__pack(&info, bytes);
    assert_int_equal(name_parse("pg.test", &name), 0);
    assert_int_equal(names_put(w.shared.names, &name,
                               stile__vnet__v1__app_info__unpack(NULL, len, bytes), 1, &app),
                     0);
    w.app4 = (struct ip_endpoint){.addr = app->v4, .port = 5432};
    w.app6 = (struct ip_endpoint){.addr = app->v6, .port = 5432};
    names_app_unref(app);
}

static int on_setup(void *arg, const struct channel_setup *setup)
{
    (void)arg;
    (void)setup;
    struct names_config config = {.range_count = 1};
    assert_int_equal(prefix_parse("fd00:1:2::/48", &config.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &config.ranges[0]), 0);
    assert_int_equal(names_new(&config, &w.shared.names), 0);
    put_app();
    w.link = test_link_new();
    assert_int_equal(worker_new(&w.shared, &app_handler_ops, &w.link->link, 0, &w.worker), 0);
    assert_int_equal(worker_start(w.worker, &w.worker, 1), 0);
    worker_go(w.worker);
    return 0;
}

static void on_closed(void *arg, int err, const char *why)
{
    (void)arg;
    (void)err;
    (void)why;
}

static const struct control_events control_events = {.on_setup = on_setup, .on_closed = on_closed};

static void make_gateway(void)
{
    const char *alpn[] = {TARGET_ALPN, NULL};
    test_ca_init(&w.ca, "test");
    assert_int_equal(key_new(&w.app_key), 0);
    assert_int_equal(key_new(&w.gateway_key), 0);
    w.app_cert = test_cert(&w.ca, CERT_CLIENT, "alice", w.app_key, 3600);
    w.gateway_cert = test_cert(&w.ca, CERT_SERVER, "gw.test", w.gateway_key, 3600);
    const struct tls_identity identity = {.cert = w.gateway_cert, .key = w.gateway_key};
    assert_int_equal(
        tls_server_context(&identity, buf_slice(&w.ca.pem), true, alpn, &w.gateway_ctx, NULL), 0);
    target_status_set(&w.status, TARGET_OK, "");
}

static void make_agent(int rpc_fd)
{
    struct stream *stream = NULL;
    const struct rpc_server_config config = {.handlers = handlers,
                                             .handler_count = ARRAY_LEN(handlers)};
    assert_int_equal(socket_stream_new(&w.loop, rpc_fd, &stream), 0);
    assert_int_equal(rpc_server_conn_new(stream, &w.loop, &config, &w.agent), 0);
    assert_int_equal(uv_poll_init(&w.loop.uv, &w.dial_poll, w.dial_fd), 0);
    assert_int_equal(uv_poll_start(&w.dial_poll, UV_READABLE, on_dial), 0);
    union channel_message m;
    channel_init(&m, CHANNEL_SETUP);
    m.setup.range_count = 1;
    m.setup.ranges[0].bits = 10;
    assert_int_equal(channel_send(w.dial_fd, &m, NULL, 0), 0);
}

/* Turns until the condition holds, or 30 s. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t give_up = clock_mono_ns() + 30 * NS_PER_S;                                        \
        bool came = (condition);                                                                   \
        while (!came && clock_mono_ns() < give_up) {                                               \
            loop_turn(&w.loop, false);                                                             \
            uv_sleep(1);                                                                           \
            came = (condition);                                                                    \
        }                                                                                          \
        assert_true(came);                                                                         \
    } while (0)

static int setup(void **state)
{
    int rpc[2], dial[2];
    (void)state;
    memset(&w, 0, sizeof(w));
    w.owner_uid = 1000;
    w.shared.uids[0] = 1000;
    w.shared.uid_count = 1;
    w.shared.find_owner = find_owner;
    assert_int_equal(loop_init(&w.loop), 0);
    make_gateway();
    assert_int_equal(session_cache_new(16, &w.shared.sessions), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, rpc), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, dial), 0);
    w.dial_fd = dial[0];
    make_agent(rpc[0]);
    assert_int_equal(
        control_new(&w.loop, &w.shared, rpc[1], dial[1], &control_events, NULL, &w.control, NULL),
        0);
    UNTIL(w.worker != NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_stop(w.worker);
    control_free(w.control);
    rpc_server_conn_close(w.agent);
    if (w.held != NULL)
        answer_allow(STEAL(w.held));
    stream_close(w.gateway);
    for (unsigned i = 0; i < w.earlier_count; i++)
        stream_close(w.earlier[i]);
    uv_close((uv_handle_t *)&w.dial_poll, NULL);
    turn_some(&w.loop, 20);
    worker_free(w.worker);
    close(w.dial_fd);
    names_free(w.shared.names);
    session_cache_free(w.shared.sessions);
    SSL_CTX_free(w.gateway_ctx);
    X509_free(w.app_cert);
    X509_free(w.gateway_cert);
    EVP_PKEY_free(w.app_key);
    EVP_PKEY_free(w.gateway_key);
    test_ca_release(&w.ca);
    assert_int_equal(loop_release(&w.loop), 0);
    return 0;
}

/* ---- the program ---- */

static struct segment program_to(struct ip_endpoint to, uint16_t port, uint8_t flags)
{
    struct ip_endpoint from =
        endpoint(to.addr.version == 4 ? "100.64.0.1:40000" : "[fd00:1:2::1]:40000");
    from.port = port;
    return (struct segment){.src = from, .dst = to, .seq = 1000, .flags = flags};
}

static void program_sends(struct segment s)
{
    struct packet p = tcp_packet_of(&s);
    link_put(w.link, &p);
}

static void connect_to(struct ip_endpoint to)
{
    program_sends(program_to(to, 40000, TCP_SYN));
}

static struct segment heard;

static bool hear(void)
{
    struct packet p;
    if (!link_get(w.link, &p))
        return false;
    heard = segment_of(&p);
    return true;
}

static bool silent(void)
{
    for (int i = 0; i < 20; i++) {
        loop_turn(&w.loop, false);
        uv_sleep(1);
    }
    return !hear();
}

static void expect_refusal(Stile__Vnet__V1__Verdict verdict, const char *reason)
{
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_RST | TCP_ACK);
    assert_int_equal(heard.ack, 1001);
    UNTIL(w.report_count == 1);
    assert_int_equal(w.reports[0].verdict, verdict);
    assert_non_null(strstr(w.reports[0].reason, reason));
    assert_int_equal(atomic_load(&w.shared.attempts), 0);
    assert_int_equal(atomic_load(&w.shared.connections), 0);
}

#define VERDICT(name) STILE__VNET__V1__VERDICT__VERDICT_##name

static void an_address_without_an_app_is_refused_and_nobody_is_asked(void **state)
{
    (void)state;
    struct ip_endpoint to = w.app4;
    to.addr = ip_addr_v4(100, 64, 200, 200);
    connect_to(to);
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_RST | TCP_ACK);
    assert_true(silent());
    assert_int_equal(w.new_connections + w.report_count, 0);
}

static void a_port_that_is_not_listed_is_refused_and_the_agent_told_which(void **state)
{
    (void)state;
    struct ip_endpoint to = w.app4;
    to.port = 81;
    connect_to(to);
    expect_refusal(VERDICT(PORT_NOT_LISTED), "port");
    UNTIL(w.invalid_ports == 1);
    assert_int_equal(w.new_connections, 0);
}

static void a_packet_without_a_local_socket_is_refused(void **state)
{
    (void)state;
    w.owner_says = ERR_NOTFOUND;
    connect_to(w.app4);
    expect_refusal(VERDICT(OWNER_REFUSED), "no local program");
    assert_int_equal(w.new_connections, 0);
}

static void another_users_program_is_refused(void **state)
{
    (void)state;
    w.owner_uid = 1001;
    connect_to(w.app4);
    expect_refusal(VERDICT(OWNER_REFUSED), "another user");
    assert_int_equal(w.new_connections, 0);
}

static void what_the_agent_denies_is_never_dialled(void **state)
{
    (void)state;
    w.allow_says = RPC_PERMISSION_DENIED;
    connect_to(w.app4);
    expect_refusal(VERDICT(DENIED), "the agent's words");
    assert_int_equal(w.new_connections, 1);
    assert_int_equal(w.dials, 0);
}

static void an_ended_log_in_is_told_as_such(void **state)
{
    (void)state;
    w.cert_says = RPC_UNAUTHENTICATED;
    connect_to(w.app4);
    expect_refusal(VERDICT(LOGIN_REQUIRED), "log in again");
}

static void a_gateway_that_cannot_be_reached_is_a_refusal(void **state)
{
    (void)state;
    w.dial_says = ERR_REFUSED;
    connect_to(w.app6);
    expect_refusal(VERDICT(GATEWAY_UNREACHABLE), "nobody there");
}

static void the_gateways_own_words_reach_the_agent(void **state)
{
    (void)state;
    target_status_set(&w.status, TARGET_REFUSED, "nothing listens on 10.1.2.3");
    connect_to(w.app4);
    expect_refusal(VERDICT(APP_REFUSED), "nothing listens on 10.1.2.3");
    assert_int_equal(w.signatures, 1);
}

static void a_denial_by_the_gateway_is_told_apart(void **state)
{
    (void)state;
    target_status_set(&w.status, TARGET_DENIED, "not for alice");
    connect_to(w.app4);
    expect_refusal(VERDICT(DENIED), "not for alice");
}

static void one_attempt_more_than_allowed_is_refused(void **state)
{
    (void)state;
    atomic_store(&w.shared.attempts, ATTEMPTS_MAX);
    connect_to(w.app4);
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_RST | TCP_ACK);
    UNTIL(w.report_count == 1);
    assert_int_equal(w.reports[0].verdict, VERDICT(LIMIT));
    assert_int_equal(w.new_connections, 0);
    assert_int_equal(atomic_load(&w.shared.attempts), ATTEMPTS_MAX);
}

static void nothing_is_promised_before_the_far_end_has_answered(void **state)
{
    (void)state;
    w.hold_status = true;
    connect_to(w.app4);
    UNTIL(w.signatures == 1);
    assert_true(silent());
    send_status();
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_SYN | TCP_ACK);
    UNTIL(w.report_count == 1);
    assert_int_equal(w.reports[0].verdict, VERDICT(ESTABLISHED));
    assert_int_equal(atomic_load(&w.shared.attempts), 0);
    assert_int_equal(atomic_load(&w.shared.connections), 1);
}

/* Accepts, and sends a first segment of four bytes with FIN. */
static void exchange(uint32_t *ret_seq, uint32_t *ret_ack)
{
    connect_to(w.app4);
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_SYN | TCP_ACK);
    struct segment s = program_to(w.app4, 40000, TCP_ACK | TCP_FIN);
    s.seq = 1001;
    s.ack = heard.seq + 1;
    s.payload = SLICE_LIT("ping");
    program_sends(s);
    UNTIL(w.got_end);
    *ret_seq = 1006;
    *ret_ack = s.ack;
}

static void bytes_and_ends_go_both_ways(void **state)
{
    (void)state;
    const struct slice answer = SLICE_LIT("pong!");
    uint32_t seq, ack;
    exchange(&seq, &ack);
    assert_int_equal(w.got_len, 4);
    assert_memory_equal(w.got, "ping", 4);
    assert_int_equal(stream_write(w.gateway, &answer, 1), 0);
    assert_int_equal(stream_end(w.gateway), 0);
    UNTIL(hear() && (heard.flags & TCP_FIN) != 0);
    struct segment s = program_to(w.app4, 40000, TCP_ACK);
    s.seq = seq;
    s.ack = ack + 5 + 1;
    program_sends(s);
    UNTIL(w.report_count == 2);
    assert_int_equal(w.reports[1].verdict, VERDICT(CLOSED));
    assert_int_equal(w.reports[1].id, w.reports[0].id);
    assert_int_equal(w.reports[1].up, 4);
    assert_int_equal(w.reports[1].down, 5);
    assert_int_equal(atomic_load(&w.shared.connections), 0);
}

static void the_agent_hears_how_many_bytes_an_open_connection_has_moved(void **state)
{
    (void)state;
    uint32_t seq, ack;
    exchange(&seq, &ack);
    UNTIL(w.report_count == 2);
    assert_int_equal(w.reports[1].verdict, VERDICT(ESTABLISHED));
    assert_int_equal(w.reports[1].up, 4);
    assert_int_equal(w.reports[1].id, w.reports[0].id);
}

static void a_far_end_that_breaks_resets_the_program(void **state)
{
    (void)state;
    uint32_t seq, ack;
    exchange(&seq, &ack);
    stream_reset(STEAL(w.gateway));
    UNTIL(hear() && (heard.flags & TCP_RST) != 0);
    UNTIL(w.report_count == 2);
    assert_int_equal(w.reports[1].verdict, VERDICT(RESET));
    assert_int_equal(atomic_load(&w.shared.connections), 0);
}

static void a_program_that_gives_up_ends_the_attempt(void **state)
{
    (void)state;
    w.hold_allow = true;
    connect_to(w.app4);
    UNTIL(w.held != NULL);
    struct segment rst = program_to(w.app4, 40000, TCP_RST);
    rst.seq = 1001;
    program_sends(rst);
    UNTIL(w.report_count == 1);
    assert_int_equal(w.reports[0].verdict, VERDICT(CLIENT_GONE));
    answer_allow(STEAL(w.held));
    assert_true(silent());
    assert_int_equal(w.dials, 0);
    assert_int_equal(atomic_load(&w.shared.attempts), 0);
}

static void the_other_family_waits_and_is_refused_together(void **state)
{
    (void)state;
    w.hold_allow = true;
    connect_to(w.app6);
    UNTIL(w.held != NULL);
    connect_to(w.app4);
    assert_true(silent());
    assert_int_equal(w.new_connections, 1);
    w.allow_says = RPC_PERMISSION_DENIED;
    answer_allow(STEAL(w.held));
    UNTIL(w.report_count == 2);
    assert_int_equal(w.reports[0].verdict, VERDICT(DENIED));
    assert_int_equal(w.reports[1].verdict, VERDICT(DENIED));
    assert_int_equal(w.new_connections, 1);
    UNTIL(hear());
    UNTIL(hear());
    assert_true(heard.flags & TCP_RST);
}

static void the_other_family_is_tried_when_the_program_still_wants_it(void **state)
{
    (void)state;
    w.hold_allow = true;
    connect_to(w.app6);
    UNTIL(w.held != NULL);
    connect_to(w.app4);
    assert_true(silent());
    w.hold_allow = false;
    answer_allow(STEAL(w.held));
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(heard.src.addr.version, 6);
    UNTIL(hear());
    assert_int_equal(heard.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(heard.src.addr.version, 4);
    assert_int_equal(w.new_connections, 2);
}

static void a_second_connection_resumes_and_needs_no_signature(void **state)
{
    (void)state;
    uint32_t seq, ack;
    const struct slice answer = SLICE_LIT("pong!");
    exchange(&seq, &ack);
    assert_int_equal(stream_write(w.gateway, &answer, 1), 0);
    UNTIL(hear() && heard.payload.len == 5);
    assert_int_equal(w.signatures, 1);
    UNTIL(session_cache_count(w.shared.sessions) > 0);
    program_sends(program_to(w.app4, 40001, TCP_SYN));
    UNTIL(hear() && heard.dst.port == 40001);
    assert_int_equal(heard.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(w.signatures, 1);
    assert_int_equal(w.dials, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_without_an_app_is_refused_and_nobody_is_asked),
        TEST(a_port_that_is_not_listed_is_refused_and_the_agent_told_which),
        TEST(a_packet_without_a_local_socket_is_refused),
        TEST(another_users_program_is_refused),
        TEST(what_the_agent_denies_is_never_dialled),
        TEST(an_ended_log_in_is_told_as_such),
        TEST(a_gateway_that_cannot_be_reached_is_a_refusal),
        TEST(the_gateways_own_words_reach_the_agent),
        TEST(a_denial_by_the_gateway_is_told_apart),
        TEST(one_attempt_more_than_allowed_is_refused),
        TEST(nothing_is_promised_before_the_far_end_has_answered),
        TEST(bytes_and_ends_go_both_ways),
        TEST(the_agent_hears_how_many_bytes_an_open_connection_has_moved),
        TEST(a_far_end_that_breaks_resets_the_program),
        TEST(a_program_that_gives_up_ends_the_attempt),
        TEST(the_other_family_waits_and_is_refused_together),
        TEST(the_other_family_is_tried_when_the_program_still_wants_it),
        TEST(a_second_connection_resumes_and_needs_no_signature),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
