/* The access API from outside: TLS, gRPC, log-in, look-ups, certificates, and who gets none. */
#include "gateway_world.h"

static const char apps[] =
    "- {name: pg, public_name: pg.demo.test, target: \"127.0.0.1:@\", ports: [5432, 6000-6010], "
    "allow: {groups: [dba]}}\n"
    "- {name: all, public_name: all.demo.test, target: 127.0.0.1, ports: any, allow: {groups: "
    "[everyone]}}\n"
    "- {name: bobs, public_name: bobs.demo.test, target: \"127.0.0.1:@\", allow: {users: [bob]}}\n"
    "- {name: dash, public_name: dash.demo.test, web: true}\n";

static struct world world;

static int setup(void **state)
{
    world_init(&world, apps, "{log_in_hours: 2, app_cert_minutes: 10}");
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    world_release(*state);
    return 0;
}

static enum rpc_status call_as(struct world *w, const struct identity *id,
                               const struct rpc_method *method, const ProtobufCMessage *request,
                               struct reply *r)
{
    struct api a;
    api_open(w, id, &a);
    assert_int_equal(a.err, 0);
    enum rpc_status status = api_call(w, &a, method, request, r);
    api_close(&a);
    return status;
}

static enum rpc_status list_as(struct world *w, const struct identity *id, struct reply *r)
{
    Stile__Access__V1__ListAppsRequest request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;
    return call_as(w, id, &access_list_apps, &request.base, r);
}

static enum rpc_status resolve_as(struct world *w, const struct identity *id, const char *fqdn,
                                  struct reply *r)
{
    Stile__Access__V1__ResolveAppRequest request = STILE__ACCESS__V1__RESOLVE_APP_REQUEST__INIT;
    request.fqdn = (char *)(uintptr_t)fqdn;
    return call_as(w, id, &access_resolve_app, &request.base, r);
}

static void a_user_logs_in_and_gets_a_certificate_of_that_life(void **state)
{
    struct world *w = *state;
    struct identity id = {0};
    struct reply r;
    char name[64];
    assert_int_equal(world_log_in(w, "alice", PASSWORD, &id, &r), RPC_OK);
    assert_string_equal(r.cluster, "demo");
    assert_int_equal(cert_common_name(id.cert, name, sizeof(name)), 0);
    assert_string_equal(name, "alice");
    assert_true(key_same_public(X509_get0_pubkey(id.cert), id.key));
    assert_in_range(r.expires_s, clock_wall_s() + 7200 - 30, clock_wall_s() + 7200);
    assert_int_equal(cert_not_after(id.cert), r.expires_s);
    identity_release(&id);
}

static void a_wrong_password_and_a_wrong_user_are_not_told_apart(void **state)
{
    struct world *w = *state;
    struct identity a = {0}, b = {0}, c = {0};
    struct reply ra, rb, rc;
    assert_int_equal(world_log_in(w, "alice", "wrong horse", &a, &ra), RPC_UNAUTHENTICATED);
    assert_int_equal(world_log_in(w, "nobody", PASSWORD, &b, &rb), RPC_UNAUTHENTICATED);
    assert_int_equal(world_log_in(w, "no body\n", PASSWORD, &c, &rc), RPC_UNAUTHENTICATED);
    assert_string_equal(ra.text, rb.text);
    assert_string_equal(ra.text, rc.text);
    assert_null(ra.cert);
    identity_release(&a);
    identity_release(&b);
    identity_release(&c);
}

/* Not a measurement of the clock, which tests can't trust, but of the work: both need argon2's time. */
static void an_unknown_user_costs_a_password_hash_too(void **state)
{
    struct world *w = *state;
    struct identity id = {0};
    struct reply r;
    uint64_t start = clock_mono_ns();
    assert_int_equal(world_log_in(w, "alice", "wrong horse", &id, &r), RPC_UNAUTHENTICATED);
    uint64_t known = clock_mono_ns() - start;
    identity_release(&id);
    start = clock_mono_ns();
    assert_int_equal(world_log_in(w, "nobody", "wrong horse", &id, &r), RPC_UNAUTHENTICATED);
    uint64_t unknown = clock_mono_ns() - start;
    identity_release(&id);
    assert_true(unknown > known / 4);
}

static void counted(void *arg, int err, const struct state_user *user)
{
    (void)user;
    assert_int_equal(err, 0);
    *(int *)arg = 1;
}

static void too_many_wrong_passwords_have_to_wait(void **state)
{
    struct world *w = *state;
    struct reply r;
    struct state *s = world_state(w);
    for (int i = 0; i < STATE_TRIES_USER - 1; i++) {
        int done = 0;
        assert_int_equal(state_begin_log_in(s, "bob", "10.0.0.1", clock_wall_s(), counted, &done),
                         0);
        while (done == 0)
            loop_turn(&w->loop, true);
    }
    state_close(s, NULL, NULL);
    struct identity one = {0}, two = {0};
    assert_int_equal(world_log_in(w, "bob", "wrong horse", &one, &r), RPC_UNAUTHENTICATED);
    assert_int_equal(world_log_in(w, "bob", "wrong horse", &two, &r), RPC_RESOURCE_EXHAUSTED);
    identity_release(&one);
    identity_release(&two);
    assert_non_null(strstr(r.text, "try again in 15 minutes"));
    /* The right password has to wait too; another user doesn't. */
    struct identity id = {0};
    assert_int_equal(world_log_in(w, "bob", PASSWORD, &id, &r), RPC_RESOURCE_EXHAUSTED);
    identity_release(&id);
    assert_int_equal(world_log_in(w, "alice", PASSWORD, &id, &r), RPC_OK);
    identity_release(&id);
}

static void a_log_in_needs_a_real_public_key(void **state)
{
    struct world *w = *state;
    struct reply r;
    Stile__Access__V1__LogInRequest request = STILE__ACCESS__V1__LOG_IN_REQUEST__INIT;
    request.user = (char *)(uintptr_t) "alice";
    request.password = (char *)(uintptr_t)PASSWORD;
    assert_int_equal(call_as(w, NULL, &access_log_in, &request.base, &r), RPC_INVALID_ARGUMENT);
    uint8_t garbage[100] = {0x30, 0x62};
    request.public_key = (ProtobufCBinaryData){sizeof(garbage), garbage};
    assert_int_equal(call_as(w, NULL, &access_log_in, &request.base, &r), RPC_INVALID_ARGUMENT);
    uint8_t huge[4000] = {0};
    request.public_key = (ProtobufCBinaryData){sizeof(huge), huge};
    assert_int_equal(call_as(w, NULL, &access_log_in, &request.base, &r), RPC_INVALID_ARGUMENT);
}

static void users_see_the_apps_they_may_use(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    struct identity bob = world_user(w, "bob");
    struct reply r;
    assert_int_equal(list_as(w, &alice, &r), RPC_OK);
    assert_string_equal(r.apps, "pg,all,dash,");
    assert_int_equal(list_as(w, &bob, &r), RPC_OK);
    assert_string_equal(r.apps, "all,bobs,dash,");
    identity_release(&alice);
    identity_release(&bob);
}

static void the_list_of_apps_tells_the_gateway_s_time(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    struct reply r = {0};
    int64_t before = clock_wall_us();
    assert_int_equal(list_as(w, &alice, &r), RPC_OK);
    assert_in_range(r.server_time_us, before, clock_wall_us());
    identity_release(&alice);
}

static void names_are_resolved_for_those_who_may_see_them(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    struct reply r;
    assert_int_equal(resolve_as(w, &alice, "PG.demo.test.", &r), RPC_OK);
    assert_string_equal(r.apps, "pg,");
    assert_int_equal(r.ports, 2);
    assert_int_equal(resolve_as(w, &alice, "bobs.demo.test", &r), RPC_NOT_FOUND);
    assert_int_equal(resolve_as(w, &alice, "nothing.demo.test", &r), RPC_NOT_FOUND);
    assert_int_equal(resolve_as(w, &alice, "", &r), RPC_NOT_FOUND);
    identity_release(&alice);
}

static void without_a_certificate_nothing_but_log_in_answers(void **state)
{
    struct world *w = *state;
    struct identity none = {0}, id = {0};
    struct reply r;
    assert_int_equal(list_as(w, NULL, &r), RPC_UNAUTHENTICATED);
    assert_int_equal(resolve_as(w, NULL, "pg.demo.test", &r), RPC_UNAUTHENTICATED);
    assert_int_equal(world_issue(w, &none, "pg", 5432, &id, &r), RPC_UNAUTHENTICATED);
    identity_release(&id);
}

static void an_app_certificate_is_no_log_in(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    struct identity app = world_app(w, &alice, "pg", 5432);
    struct identity more = {0};
    struct reply r;
    assert_int_equal(list_as(w, &app, &r), RPC_UNAUTHENTICATED);
    assert_int_equal(world_issue(w, &app, "pg", 5432, &more, &r), RPC_UNAUTHENTICATED);
    identity_release(&more);
    identity_release(&app);
    identity_release(&alice);
}

static void app_certificates_are_short_and_never_outlive_the_log_in(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    struct identity app = {0};
    struct reply r;
    char uri[256];
    assert_int_equal(world_issue(w, &alice, "pg", 6005, &app, &r), RPC_OK);
    assert_in_range(r.expires_s, clock_wall_s() + 600 - 30, clock_wall_s() + 600);
    assert_int_equal(cert_uri(app.cert, 0, uri, sizeof(uri)), 0);
    assert_string_equal(uri, "stile://demo/app/pg/6005");
    identity_release(&app);
    identity_release(&alice);
}

static void no_certificate_for_others_apps_unlisted_ports_or_web_apps(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    static const struct {
        const char *app;
        uint32_t port;
        const char *words;
    } cases[] = {
        {"bobs", 1, "User alice may not use app bobs"},
        {"nothing", 1, "User alice may not use app nothing"},
        {"dash", 443, "may not use app dash"},
        {"pg", 80, "App pg has no port 80; it has 5432, 6000-6010"},
        {"pg", 0, "has no port 0"},
        {"pg", 65536 + 5432, "has no port 70968"},
        {"", 1, "may not use app"},
        {"pg\n", 5432, "may not use app of this name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity id = {0};
        struct reply r;
        assert_int_equal(world_issue(w, &alice, cases[i].app, cases[i].port, &id, &r),
                         RPC_PERMISSION_DENIED);
        if (strstr(r.text, cases[i].words) == NULL)
            fail_msg("\"%s\" doesn't say \"%s\"", r.text, cases[i].words);
        identity_release(&id);
    }
    identity_release(&alice);
}

static void remove_user(struct world *w, const char *name)
{
    struct state *s = world_state(w);
    int done = 0;
    assert_int_equal(state_remove_user(s, name, world_done, &done), 0);
    while (done == 0)
        loop_turn(&w->loop, true);
    assert_int_equal(done, 1);
    state_close(s, NULL, NULL);
}

static void a_removed_user_is_out_at_the_next_call_on_the_same_connection(void **state)
{
    struct world *w = *state;
    struct identity alice = world_user(w, "alice");
    Stile__Access__V1__ListAppsRequest request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;
    struct api a;
    struct reply r;
    api_open(w, &alice, &a);
    assert_int_equal(api_call(w, &a, &access_list_apps, &request.base, &r), RPC_OK);
    remove_user(w, "alice");
    assert_int_equal(api_call(w, &a, &access_list_apps, &request.base, &r), RPC_UNAUTHENTICATED);
    assert_non_null(strstr(r.text, "log in again"));
    api_close(&a);
    identity_release(&alice);
}

static void certificates_of_another_ca_or_expired_ones_end_the_connection(void **state)
{
    struct world *w = *state;
    struct test_ca other;
    struct api a;
    struct identity id = {0};
    test_ca_init(&other, "demo");
    assert_int_equal(key_new(&id.key), 0);
    id.cert = test_cert(&other, CERT_CLIENT, "alice", id.key, 600);
    api_open(w, &id, &a);
    for (int i = 0; i < 30000 && a.err == 0 && !a.closed; i++) {
        loop_turn(&w->loop, false);
        uv_sleep(1);
    }
    assert_true(a.err < 0 || a.closed);
    api_close(&a);
    identity_release(&id);
    test_ca_release(&other);
}

static void many_log_ins_at_once_are_all_answered(void **state)
{
    struct world *w = *state;
    enum { COUNT = 6 };
    CLEANUP(buf_release) struct buf spki;
    EVP_PKEY *key = NULL;
    struct reply r[COUNT];
    struct api a;
    Stile__Access__V1__LogInRequest request = STILE__ACCESS__V1__LOG_IN_REQUEST__INIT;
    buf_init(&spki, 4096);
    assert_int_equal(key_new(&key), 0);
    assert_int_equal(key_to_spki(key, &spki), 0);
    request.user = (char *)(uintptr_t) "alice";
    request.password = (char *)(uintptr_t)PASSWORD;
    request.public_key = (ProtobufCBinaryData){buf_len(&spki), spki.data + spki.start};
    memset(r, 0, sizeof(r));
    api_open(w, NULL, &a);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(
            rpc_client_call(a.rpc, &access_log_in, &request.base, 20000, on_reply, &r[i], NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        while (!r[i].done)
            loop_turn(&w->loop, true);
        assert_int_equal(r[i].status, RPC_OK);
        X509_free(r[i].cert);
    }
    api_close(&a);
    key_freep(&key);
}

/* The client is gone before its password has been hashed. */
static void a_client_that_leaves_during_its_log_in_leaves_nothing(void **state)
{
    struct world *w = *state;
    CLEANUP(buf_release) struct buf spki;
    EVP_PKEY *key = NULL;
    struct reply r = {0};
    struct api a;
    Stile__Access__V1__LogInRequest request = STILE__ACCESS__V1__LOG_IN_REQUEST__INIT;
    buf_init(&spki, 4096);
    assert_int_equal(key_new(&key), 0);
    assert_int_equal(key_to_spki(key, &spki), 0);
    request.user = (char *)(uintptr_t) "alice";
    request.password = (char *)(uintptr_t)PASSWORD;
    request.public_key = (ProtobufCBinaryData){buf_len(&spki), spki.data + spki.start};
    api_open(w, NULL, &a);
    assert_int_equal(
        rpc_client_call(a.rpc, &access_log_in, &request.base, 20000, on_reply, &r, NULL), 0);
    turn_some(&w->loop, 20);
    api_close(&a);
    assert_int_equal(r.status, RPC_CANCELLED);
    key_freep(&key);
    /* teardown checks that the server can stop with nothing left */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_user_logs_in_and_gets_a_certificate_of_that_life),
        TEST(a_wrong_password_and_a_wrong_user_are_not_told_apart),
        TEST(an_unknown_user_costs_a_password_hash_too),
        TEST(too_many_wrong_passwords_have_to_wait),
        TEST(a_log_in_needs_a_real_public_key),
        TEST(users_see_the_apps_they_may_use),
        TEST(the_list_of_apps_tells_the_gateway_s_time),
        TEST(names_are_resolved_for_those_who_may_see_them),
        TEST(without_a_certificate_nothing_but_log_in_answers),
        TEST(an_app_certificate_is_no_log_in),
        TEST(app_certificates_are_short_and_never_outlive_the_log_in),
        TEST(no_certificate_for_others_apps_unlisted_ports_or_web_apps),
        TEST(a_removed_user_is_out_at_the_next_call_on_the_same_connection),
        TEST(certificates_of_another_ca_or_expired_ones_end_the_connection),
        TEST(many_log_ins_at_once_are_all_answered),
        TEST(a_client_that_leaves_during_its_log_in_leaves_nothing),
    };
    return cmocka_run_group_tests_name("gateway_access", tests, NULL, NULL);
}
