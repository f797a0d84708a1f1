/* ClientApplicationService: what an engine is answered, and what it is refused. Over a connection in memory. */
#include "testing.h"

#include "agent/application_server.h"
#include "fake_directory.h"
#include "loop/stream_pair.h"
#include "rpc/client.h"
#include "rpc/services.h"

struct fixture {
    struct loop loop;
    struct fake_directory fake;
    struct lookups *lookups;
    struct certs *certs;
    struct connection_log *log;
    struct notices notices;
    char notice[NOTICE_SIZE];
    int notice_count;
    struct application_server *server;
    struct rpc_client *client;
    int closed;
    char interface_name[32];
    struct fake_app app;
};

struct outcome {
    int ends;
    int messages;
    enum rpc_status status;
    char text[512];
    ProtobufCMessage *reply; /* the last one, a copy */
};

static void on_closed(void *arg, int err, const struct diag *d)
{
    struct fixture *f = arg;
    (void)err;
    (void)d;
    f->closed++;
    application_server_free(STEAL(f->server));
}

static void on_client_closed(void *arg, int err, const struct diag *d)
{
    (void)arg;
    (void)err;
    (void)d;
}

static void on_notice(void *arg, const char *text)
{
    struct fixture *f = arg;
    f->notice_count++;
    assert_int_equal(str_copy(f->notice, sizeof(f->notice), text), 0);
}

static void on_network_stack(void *arg, const Stile__Vnet__V1__ReportNetworkStackRequest *stack)
{
    struct fixture *f = arg;
    assert_int_equal(str_copy(f->interface_name, sizeof(f->interface_name), stack->interface_name),
                     0);
}

static int setup(void **state)
{
    static struct fixture f;
    struct stream *a = NULL, *b = NULL;
    memset(&f, 0, sizeof(f));
    *state = &f;
    assert_int_equal(loop_init(&f.loop), 0);
    struct directory dir = fake_directory_init(&f.fake);
    fake_app_init(&f.app, "pg.demo");
    assert_int_equal(lookups_new(dir, NULL, &f.lookups), 0);
    assert_int_equal(certs_new(dir, &f.certs), 0);
    assert_int_equal(connection_log_new(&f.loop, NULL, &f.log), 0);
    f.notices.show = on_notice;
    f.notices.arg = &f;
    const struct application_server_config config = {.loop = &f.loop,
                                                     .directory = dir,
                                                     .lookups = f.lookups,
                                                     .certs = f.certs,
                                                     .connections = f.log,
                                                     .notices = &f.notices,
                                                     .on_network_stack = on_network_stack,
                                                     .on_closed = on_closed,
                                                     .arg = &f};
    assert_int_equal(stream_pair_new(&f.loop, 65536, &a, &b), 0);
    assert_int_equal(application_server_new(a, &config, &f.server), 0);
    assert_int_equal(rpc_client_new(b, &f.loop, NULL, on_client_closed, &f, &f.client), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->client != NULL)
        rpc_client_close(f->client);
    application_server_free(f->server);
    fake_directory_release(&f->fake);
    lookups_free(f->lookups);
    certs_free(f->certs);
    connection_log_free(f->log);
    for (int i = 0; i < 50; i++)
        loop_turn(&f->loop, false);
    return loop_release(&f->loop);
}

static void on_reply(void *arg, enum rpc_status status, const char *message,
                     const ProtobufCMessage *reply)
{
    struct outcome *o = arg;
    o->status = status;
    assert_int_equal(str_format(o->text, sizeof(o->text), "%s", message), 0);
    if (reply == NULL) {
        o->ends++;
        return;
    }
    o->messages++;
    size_t size = protobuf_c_message_get_packed_size(reply);
    uint8_t *packed = mem_alloc(size);
    assert_non_null(packed);
    protobuf_c_message_pack(reply, packed);
    if (o->reply != NULL)
        protobuf_c_message_free_unpacked(o->reply, NULL);
    o->reply = protobuf_c_message_unpack(reply->descriptor, NULL, size, packed);
    mem_free(packed);
}

static void turn(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        loop_turn(&f->loop, false);
}

static void call(struct fixture *f, const struct rpc_method *method, void *request,
                 struct outcome *o)
{
    *o = (struct outcome){.status = RPC_UNKNOWN};
    assert_int_equal(rpc_client_call(f->client, method, request, 0, on_reply, o, NULL), 0);
    turn(f);
}

static void forget(struct outcome *o)
{
    if (o->reply != NULL)
        protobuf_c_message_free_unpacked(o->reply, NULL);
    o->reply = NULL;
}

/* ---- versions ---- */

static enum rpc_status ping(struct fixture *f, const char *version, struct outcome *o)
{
    Stile__Vnet__V1__PingRequest q = STILE__VNET__V1__PING_REQUEST__INIT;
    char text[32];
    assert_int_equal(str_copy(text, sizeof(text), version), 0);
    q.version = text;
    call(f, &client_application_ping, &q, o);
    return o->status;
}

static void the_same_version_is_answered_with_ours(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__AuthenticateProcessRequest q =
        STILE__VNET__V1__AUTHENTICATE_PROCESS_REQUEST__INIT;
    char version[] = STILE_VERSION;
    q.version = version;
    call(f, &client_application_authenticate_process, &q, &o);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(((Stile__Vnet__V1__AuthenticateProcessResponse *)o.reply)->version,
                        STILE_VERSION);
    forget(&o);
    assert_int_equal(ping(f, STILE_VERSION, &o), RPC_OK);
    assert_string_equal(((Stile__Vnet__V1__PingResponse *)o.reply)->version, STILE_VERSION);
    forget(&o);
    assert_int_equal(f->notice_count, 0);
}

static void an_older_engine_is_refused_and_it_is_to_be_updated(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    assert_int_equal(ping(f, "0.0.1", &o), RPC_FAILED_PRECONDITION);
    assert_non_null(strstr(o.text, "update the engine"));
    assert_non_null(strstr(o.text, "0.0.1"));
    assert_int_equal(f->notice_count, 1);
}

static void a_newer_engine_is_refused_and_the_agent_is_to_be_updated(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    assert_int_equal(ping(f, "999.0.0", &o), RPC_FAILED_PRECONDITION);
    assert_non_null(strstr(o.text, "update the agent"));
}

static void after_another_version_nothing_is_answered(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__ResolveAppInfoRequest q = STILE__VNET__V1__RESOLVE_APP_INFO_REQUEST__INIT;
    char name[] = "pg.demo";
    ping(f, "0.0.1", &o);
    q.fqdn = name;
    call(f, &client_application_resolve_app_info, &q, &o);
    assert_int_equal(o.status, RPC_FAILED_PRECONDITION);
    assert_int_equal(f->fake.resolves_asked, 0);
}

/* ---- apps ---- */

static Stile__Vnet__V1__ResolveAppInfoResponse *resolve(struct fixture *f, struct outcome *o)
{
    Stile__Vnet__V1__ResolveAppInfoRequest q = STILE__VNET__V1__RESOLVE_APP_INFO_REQUEST__INIT;
    char name[] = "PG.demo.";
    q.fqdn = name;
    call(f, &client_application_resolve_app_info, &q, o);
    fake_answer_resolves(&f->fake, 0);
    turn(f);
    assert_int_equal(o->status, RPC_OK);
    return (Stile__Vnet__V1__ResolveAppInfoResponse *)o->reply;
}

static void reissue(struct fixture *f, app_info *info, uint32_t port, struct outcome *o)
{
    Stile__Vnet__V1__ReissueAppCertRequest q = STILE__VNET__V1__REISSUE_APP_CERT_REQUEST__INIT;
    q.app_info = info;
    q.target_port = port;
    call(f, &client_application_reissue_app_cert, &q, o);
}

static void a_certificate_and_its_signatures_are_given_for_an_app_that_was_resolved(void **state)
{
    struct fixture *f = *state;
    struct outcome resolved, issued, signed_;
    CLEANUP(cert_freep) X509 *cert = NULL;
    uint8_t digest[32] = {1};
    app_info *info = resolve(f, &resolved)->app_info;
    reissue(f, info, 5432, &issued);
    fake_answer_issues(&f->fake, 0);
    turn(f);
    assert_int_equal(issued.status, RPC_OK);
    const ProtobufCBinaryData *der =
        &((Stile__Vnet__V1__ReissueAppCertResponse *)issued.reply)->cert;
    assert_int_equal(cert_from_der(slice_of(der->data, der->len), &cert, NULL), 0);
    Stile__Vnet__V1__SignForAppRequest q = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__INIT;
    q.app_key = info->app_key;
    q.target_port = 5432;
    q.hash = STILE__VNET__V1__HASH__HASH_SHA256;
    q.digest = (ProtobufCBinaryData){.len = sizeof(digest), .data = digest};
    call(f, &client_application_sign_for_app, &q, &signed_);
    assert_int_equal(signed_.status, RPC_OK);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(X509_get0_pubkey(cert), NULL);
    const ProtobufCBinaryData *sig =
        &((Stile__Vnet__V1__SignForAppResponse *)signed_.reply)->signature;
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, sig->data, sig->len, digest, sizeof(digest)), 1);
    EVP_PKEY_CTX_free(ctx);
    forget(&resolved);
    forget(&issued);
    forget(&signed_);
}

static void an_altered_or_invented_app_gets_no_certificate(void **state)
{
    struct fixture *f = *state;
    struct outcome resolved, o;
    reissue(f, &f->app.info, 5432, &o);
    assert_int_equal(o.status, RPC_PERMISSION_DENIED);
    resolve(f, &resolved);
    fake_app_init(&f->app, "pg.demo");
    f->app.texts[4][0] = '9'; /* another gateway to dial */
    reissue(f, &f->app.info, 5432, &o);
    assert_int_equal(o.status, RPC_PERMISSION_DENIED);
    reissue(f, NULL, 5432, &o);
    assert_int_equal(o.status, RPC_PERMISSION_DENIED);
    assert_int_equal(f->fake.issues_asked, 0);
    forget(&resolved);
}

static void a_port_that_is_not_the_apps_gets_no_certificate(void **state)
{
    struct fixture *f = *state;
    struct outcome resolved, o;
    static const uint32_t ports[] = {0, 5433, 5999, 6011, 65536, 65536 + 5432};
    app_info *info = resolve(f, &resolved)->app_info;
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        reissue(f, info, ports[i], &o);
        assert_int_equal(o.status, RPC_INVALID_ARGUMENT);
    }
    assert_int_equal(f->fake.issues_asked, 0);
    forget(&resolved);
}

static void an_expired_log_in_is_told_to_the_person_once(void **state)
{
    struct fixture *f = *state;
    struct outcome resolved, o;
    app_info *info = resolve(f, &resolved)->app_info;
    f->fake.fail_now = ERR_EXPIRED;
    for (int i = 0; i < 3; i++) {
        reissue(f, info, 5432, &o);
        assert_int_equal(o.status, RPC_UNAUTHENTICATED);
    }
    assert_int_equal(f->notice_count, 1);
    f->fake.fail_now = 0;
    reissue(f, info, 5432, &o);
    fake_answer_issues(&f->fake, 0);
    turn(f);
    assert_int_equal(o.status, RPC_OK);
    forget(&o);
    forget(&resolved);
}

static void nothing_is_signed_without_a_certificate(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    uint8_t digest[32] = {1};
    Stile__Vnet__V1__SignForAppRequest q = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__INIT;
    q.app_key = &f->app.key;
    q.target_port = 5432;
    q.hash = STILE__VNET__V1__HASH__HASH_SHA256;
    q.digest = (ProtobufCBinaryData){.len = sizeof(digest), .data = digest};
    call(f, &client_application_sign_for_app, &q, &o);
    assert_int_equal(o.status, RPC_NOT_FOUND);
}

/* ---- connections ---- */

static void a_connection_may_proceed_only_while_logged_in(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__OnNewConnectionRequest q = STILE__VNET__V1__ON_NEW_CONNECTION_REQUEST__INIT;
    q.connection_id = 1;
    q.app_key = &f->app.key;
    call(f, &client_application_on_new_connection, &q, &o);
    assert_int_equal(o.status, RPC_OK);
    forget(&o);
    f->fake.check_err = ERR_EXPIRED;
    q.connection_id = 2;
    call(f, &client_application_on_new_connection, &q, &o);
    assert_int_equal(o.status, RPC_UNAUTHENTICATED);
    assert_non_null(strstr(f->notice, "stile login"));
    assert_int_equal(connection_log_open_count(f->log), 2);
}

static void check_reason(void *arg, const struct connection *c)
{
    int *seen = arg;
    (*seen)++;
    assert_non_null(strstr(c->reason, "use 5432, 6000-6010"));
    assert_int_equal(c->verdict, STILE__VNET__V1__VERDICT__VERDICT_PORT_NOT_LISTED);
}

static void a_port_that_is_not_listed_is_told_with_those_that_would_do(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__OnInvalidLocalPortRequest q =
        STILE__VNET__V1__ON_INVALID_LOCAL_PORT_REQUEST__INIT;
    q.app_info = &f->app.info;
    q.target_port = 5433;
    q.connection_id = 7;
    call(f, &client_application_on_invalid_local_port, &q, &o);
    assert_int_equal(o.status, RPC_OK);
    forget(&o);
    assert_non_null(strstr(f->notice, "pg.demo has no port 5433; use 5432, 6000-6010"));
    Stile__Vnet__V1__ConnectionReport r = STILE__VNET__V1__CONNECTION_REPORT__INIT;
    Stile__Vnet__V1__ConnectionReport *list[] = {&r};
    Stile__Vnet__V1__ReportConnectionsRequest report =
        STILE__VNET__V1__REPORT_CONNECTIONS_REQUEST__INIT;
    r.connection_id = 7;
    r.verdict = STILE__VNET__V1__VERDICT__VERDICT_PORT_NOT_LISTED;
    r.ended_us = 1;
    report.n_connections = 1;
    report.connections = list;
    call(f, &client_application_report_connections, &report, &o);
    assert_int_equal(o.status, RPC_OK);
    forget(&o);
    int seen = 0;
    connection_log_each(f->log, check_reason, &seen);
    assert_int_equal(seen, 1);
}

static void the_network_stack_is_taken_note_of(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__ReportNetworkStackRequest q =
        STILE__VNET__V1__REPORT_NETWORK_STACK_REQUEST__INIT;
    char name[] = "stile0";
    q.interface_name = name;
    call(f, &client_application_report_network_stack, &q, &o);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(f->interface_name, "stile0");
    forget(&o);
}

/* ---- zones ---- */

static void zones_come_at_once_and_then_each_change(void **state)
{
    struct fixture *f = *state;
    struct outcome o;
    Stile__Vnet__V1__WatchTargetConfigurationRequest q =
        STILE__VNET__V1__WATCH_TARGET_CONFIGURATION_REQUEST__INIT;
    call(f, &client_application_watch_target_configuration, &q, &o);
    assert_int_equal(o.messages, 1);
    const Stile__Vnet__V1__TargetConfiguration *t = (const void *)o.reply;
    assert_string_equal(t->dns_zones[0], "demo.stile.test");
    assert_string_equal(t->ipv4_cidr_ranges[0], "100.64.0.0/10");
    assert_string_equal(t->forwarded_names[0], "gw.demo.stile.test");
    application_server_zones_changed(f->server);
    turn(f);
    assert_int_equal(o.messages, 1);
    f->fake.zone = "corp.example";
    application_server_zones_changed(f->server);
    turn(f);
    assert_int_equal(o.messages, 2);
    t = (const void *)o.reply;
    assert_string_equal(t->dns_zones[0], "corp.example");
    assert_int_equal(o.ends, 0);
    rpc_client_close(STEAL(f->client));
    forget(&o);
}

static void the_engines_end_is_noticed_with_questions_open(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    Stile__Vnet__V1__ResolveAppInfoRequest q = STILE__VNET__V1__RESOLVE_APP_INFO_REQUEST__INIT;
    char name[] = "pg.demo";
    q.fqdn = name;
    call(f, &client_application_resolve_app_info, &q, &o);
    rpc_client_close(STEAL(f->client));
    turn(f);
    assert_int_equal(f->closed, 1);
    assert_null(f->server);
    fake_answer_resolves(&f->fake, 0);
    turn(f);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(the_same_version_is_answered_with_ours),
        WITH(an_older_engine_is_refused_and_it_is_to_be_updated),
        WITH(a_newer_engine_is_refused_and_the_agent_is_to_be_updated),
        WITH(after_another_version_nothing_is_answered),
        WITH(a_certificate_and_its_signatures_are_given_for_an_app_that_was_resolved),
        WITH(an_altered_or_invented_app_gets_no_certificate),
        WITH(a_port_that_is_not_the_apps_gets_no_certificate),
        WITH(an_expired_log_in_is_told_to_the_person_once),
        WITH(nothing_is_signed_without_a_certificate),
        WITH(a_connection_may_proceed_only_while_logged_in),
        WITH(a_port_that_is_not_listed_is_told_with_those_that_would_do),
        WITH(the_network_stack_is_taken_note_of),
        WITH(zones_come_at_once_and_then_each_change),
        WITH(the_engines_end_is_noticed_with_questions_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
