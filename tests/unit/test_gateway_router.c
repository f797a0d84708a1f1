/* Connections of ALPN stile-tcp from outside: who gets to which target, anew at every connection; ends, resets, limits, and
 * clients that do nothing or talk nonsense. */
#include "gateway_world.h"

#include <sqlite3.h>

static const char apps[] = "- {name: pg, public_name: pg.demo.test, target: \"127.0.0.1:@\", "
                           "ports: [5432], allow: {groups: [dba]}}\n"
                           "- {name: host, public_name: host.demo.test, target: 127.0.0.1, ports: "
                           "any, allow: {groups: [everyone]}}\n"
                           "- {name: down, public_name: down.demo.test, target: \"127.0.0.1:1\", "
                           "allow: {groups: [everyone]}}\n"
                           "- {name: lost, public_name: lost.demo.test, target: "
                           "\"no-such-host.invalid:80\", allow: {groups: [everyone]}}\n";

/* The same without pg, and with host for bob alone. */
static const char fewer_apps[] = "- {name: host, public_name: host.demo.test, target: 127.0.0.1, "
                                 "ports: any, allow: {users: [bob]}}\n";

#define LIMITS "{connections: 5, connections_per_user: 3, connect_timeout_s: 5}"

static struct world world;
static struct identity alice;

static int setup(void **state)
{
    world_init(&world, apps, LIMITS);
    alice = world_user(&world, "alice");
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    identity_release(&alice);
    world_release(*state);
    return 0;
}

static void say(struct dialed *x, struct slice bytes)
{
    assert_int_equal(stream_write(x->stream, &bytes, 1), 0);
}

static bool turn_until_got(struct world *w, struct dialed *x, size_t count)
{
    uint64_t deadline = clock_mono_ns() + 20 * NS_PER_S;
    while (buf_len(&x->got) < count && !x->failed && clock_mono_ns() < deadline)
        loop_turn(&w->loop, true);
    return buf_len(&x->got) == count;
}

/* The client isn't connected, and was told this. */
static void must_refuse(struct world *w, const struct identity *id, enum target_code code,
                        const char *words)
{
    struct dialed x;
    world_dial(w, id, &x);
    if (!x.has_status)
        fail_msg("no status came: %s", x.diag.text);
    assert_null(x.stream);
    assert_int_equal(x.status.code, code);
    if (strstr(x.status.text, words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", x.status.text, words);
    dialed_release(&x);
}

static void an_app_is_reached_and_echoes(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("hello"));
    assert_true(turn_until_got(w, &x, 5));
    assert_true(slice_eq_str(buf_slice(&x.got), "hello"));
    assert_int_equal(w->target_connections, 1);
    dialed_release(&x);
    identity_release(&id);
}

static void a_target_without_a_port_gets_the_certificates_port(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "host", w->target_port);
    struct dialed x;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("hello"));
    assert_true(turn_until_got(w, &x, 5));
    dialed_release(&x);
    identity_release(&id);
}

static void half_closes_go_through_in_both_directions(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    w->mode = TARGET_SINK;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("all I have to say"));
    assert_int_equal(stream_end(x.stream), 0);
    /* The target ends when it has seen our end. */
    assert_true(turn_until(&w->loop, &x.ended));
    assert_false(x.failed);
    dialed_release(&x);
    identity_release(&id);
}

static void megabytes_come_back_in_order(void **state)
{
    struct world *w = *state;
    enum { COUNT = 3 * 1024 * 1024 };
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    struct buf all;
    buf_init(&all, COUNT * sizeof(uint32_t));
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(buf_put(&all, slice_of(&i, sizeof(i))), 0);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, buf_slice(&all));
    assert_int_equal(stream_end(x.stream), 0);
    assert_true(turn_until_got(w, &x, buf_len(&all)));
    assert_true(slice_eq(buf_slice(&x.got), buf_slice(&all)));
    assert_true(turn_until(&w->loop, &x.ended));
    buf_release(&all);
    dialed_release(&x);
    identity_release(&id);
}

static void a_reset_of_the_target_is_no_clean_end(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    w->mode = TARGET_RESET;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("break"));
    assert_true(turn_until(&w->loop, &x.failed));
    assert_false(x.ended);
    dialed_release(&x);
    identity_release(&id);
}

static void failures_of_the_target_are_told_with_their_kind(void **state)
{
    struct world *w = *state;
    struct identity down = world_app(w, &alice, "down", 1);
    struct identity lost = world_app(w, &alice, "lost", 80);
    must_refuse(w, &down, TARGET_REFUSED, "127.0.0.1");
    must_refuse(w, &lost, TARGET_UNREACHABLE, "no-such-host.invalid");
    identity_release(&down);
    identity_release(&lost);
}

static void without_an_app_certificate_there_is_no_connection(void **state)
{
    struct world *w = *state;
    must_refuse(w, NULL, TARGET_DENIED, "No client certificate");
    must_refuse(w, &alice, TARGET_DENIED, "A log-in certificate can't be used for an app");
    assert_int_equal(w->target_connections, 0);
}

/* Signed by this cluster's CA, but not by the gateway's answer to a user's request. */
static void a_certificate_that_was_never_issued_is_refused(void **state)
{
    struct world *w = *state;
    char path[128];
    struct ca ca = {0};
    struct identity id = {0};
    assert_int_equal(str_format(path, sizeof(path), "%s/ca", w->dir), 0);
    assert_int_equal(ca_load(path, clock_wall_s(), &ca, NULL), 0);
    assert_int_equal(key_new(&id.key), 0);
    struct cert_spec spec = {
        .use = CERT_CLIENT,
        .common_name = "alice",
        .uris = (const char *const[]){"stile://demo/app/pg/5432", NULL},
        .not_before = clock_wall_s() - 60,
        .not_after = clock_wall_s() + 60,
    };
    assert_int_equal(cert_issue(&spec, id.key, ca.cert, ca.key, &id.cert, NULL), 0);
    must_refuse(w, &id, TARGET_DENIED, "was removed");
    identity_release(&id);
    ca_release(&ca);
}

static void an_expired_certificate_is_refused(void **state)
{
    struct world *w = *state;
    char path[128];
    struct ca ca = {0};
    struct identity id = {0};
    struct dialed x;
    assert_int_equal(str_format(path, sizeof(path), "%s/ca", w->dir), 0);
    assert_int_equal(ca_load(path, clock_wall_s(), &ca, NULL), 0);
    assert_int_equal(key_new(&id.key), 0);
    struct cert_spec spec = {
        .use = CERT_CLIENT,
        .common_name = "alice",
        .uris = (const char *const[]){"stile://demo/app/pg/5432", NULL},
        .not_before = clock_wall_s() - 200,
        .not_after = clock_wall_s() - 100,
    };
    assert_int_equal(cert_issue(&spec, id.key, ca.cert, ca.key, &id.cert, NULL), 0);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, ERR_EXPIRED);
    assert_int_equal(w->target_connections, 0);
    dialed_release(&x);
    identity_release(&id);
    ca_release(&ca);
}

/* ---- anew at every connection ---- */

static void change_state(struct world *w, int (*change)(struct state *, state_done_fn *, void *))
{
    struct state *s = world_state(w);
    int done = 0;
    assert_int_equal(change(s, world_done, &done), 0);
    while (done == 0)
        loop_turn(&w->loop, true);
    assert_int_equal(done, 1);
    state_close(s, NULL, NULL);
}

static int remove_alice(struct state *s, state_done_fn *done, void *arg)
{
    return state_remove_user(s, "alice", done, arg);
}

static int change_password(struct state *s, state_done_fn *done, void *arg)
{
    return state_set_password(s, "alice", "another hash", done, arg);
}

static void a_removed_user_is_refused_at_the_next_connection(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    change_state(w, remove_alice);
    must_refuse(w, &id, TARGET_DENIED, "The user or this certificate was removed");
    dialed_release(&x);
    identity_release(&id);
}

static void a_new_password_ends_the_old_certificates(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    change_state(w, change_password);
    must_refuse(w, &id, TARGET_DENIED, "was removed");
    identity_release(&id);
}

static void a_resumed_session_is_judged_like_a_new_one(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    assert_int_equal(session_cache_new(8, &w->sessions), 0);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("hello"));
    assert_true(turn_until_got(w, &x, 5));
    dialed_release(&x);
    assert_true(session_cache_count(w->sessions) > 0);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    assert_true(tls_stream_resumed(x.stream));
    dialed_release(&x);
    change_state(w, remove_alice);
    must_refuse(w, &id, TARGET_DENIED, "was removed");
    identity_release(&id);
}

static void a_ticket_is_good_once(void **state)
{
    struct world *w = *state;
    struct slice key = SLICE_LIT("the only one");
    struct slice hello = SLICE_LIT("hello");
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    int64_t now = clock_wall_s();
    assert_int_equal(session_cache_new(8, &w->sessions), 0);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, hello);
    assert_true(turn_until_got(w, &x, hello.len));
    dialed_release(&x);
    SSL_SESSION *once = session_cache_take(w->sessions, key, now);
    assert_non_null(once);
    SSL_SESSION *twice = SSL_SESSION_dup(once);
    session_cache_clear(w->sessions);
    session_cache_put(w->sessions, key, once, now + 60, now);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    assert_true(tls_stream_resumed(x.stream));
    dialed_release(&x);
    session_cache_clear(w->sessions);
    session_cache_put(w->sessions, key, twice, now + 60, now);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    assert_false(tls_stream_resumed(x.stream));
    dialed_release(&x);
    identity_release(&id);
}

static void a_new_configuration_counts_from_the_next_connection_on(void **state)
{
    struct world *w = *state;
    struct identity pg = world_app(w, &alice, "pg", 5432);
    struct identity host = world_app(w, &alice, "host", w->target_port);
    struct dialed x;
    struct diag d = {0};
    world_dial(w, &pg, &x);
    assert_int_equal(x.err, 0);
    assert_int_equal(server_reload(w->server, world_config(w, fewer_apps, LIMITS), &d), 0);
    must_refuse(w, &pg, TARGET_DENIED, "User alice may not use app pg");
    must_refuse(w, &host, TARGET_DENIED, "User alice may not use app host");
    /* The one that was there goes on. */
    say(&x, SLICE_LIT("hello"));
    assert_true(turn_until_got(w, &x, 5));
    dialed_release(&x);
    identity_release(&pg);
    identity_release(&host);
}

static void a_port_that_is_taken_from_an_app_is_refused(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    assert_int_equal(
        server_reload(
            w->server,
            world_config(w,
                         "- {name: pg, public_name: pg.demo.test, target: \"127.0.0.1:@\", ports: "
                         "[1234], allow: {users: [alice]}}\n",
                         LIMITS),
            NULL),
        0);
    must_refuse(w, &id, TARGET_DENIED, "App pg has no port 5432; it has 1234");
    identity_release(&id);
}

/* ---- limits ---- */

static void one_connection_more_than_a_user_may_have_is_refused(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x[3];
    for (size_t i = 0; i < ARRAY_LEN(x); i++) {
        world_dial(w, &id, &x[i]);
        assert_int_equal(x[i].err, 0);
    }
    must_refuse(w, &id, TARGET_DENIED, "Too many connections of this user");
    /* One that ends makes room. */
    dialed_release(&x[0]);
    turn_some(&w->loop, 200);
    world_dial(w, &id, &x[0]);
    assert_int_equal(x[0].err, 0);
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        dialed_release(&x[i]);
    identity_release(&id);
}

static void one_connection_more_than_the_gateway_may_have_is_refused(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct identity bob = world_user(w, "bob");
    struct identity bobs = world_app(w, &bob, "host", w->target_port);
    struct dialed x[5];
    for (size_t i = 0; i < 5; i++) {
        world_dial(w, i < 3 ? &id : &bobs, &x[i]);
        assert_int_equal(x[i].err, 0);
    }
    must_refuse(w, &bobs, TARGET_DENIED, "The gateway has too many connections at once");
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        dialed_release(&x[i]);
    identity_release(&id);
    identity_release(&bobs);
    identity_release(&bob);
}

/* Refused clients that stay connected don't count: else anyone could fill the gateway. */
static void strangers_take_no_ones_place(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct api strangers[10];
    struct dialed x;
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        struct tls_config config = {.ctx = w->ctx, .server_name = "127.0.0.1", .alpn = TARGET_ALPN};
        memset(&strangers[i], 0, sizeof(strangers[i]));
        assert_int_equal(tls_stream_new(world_connect(w), &w->loop, &config, api_ready,
                                        &strangers[i], &strangers[i].stream),
                         0);
        assert_true(turn_until(&w->loop, &strangers[i].done));
    }
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    dialed_release(&x);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        api_close(&strangers[i]);
    identity_release(&id);
}

/* ---- clients that misbehave ---- */

static void silent_and_senseless_clients_keep_nobody_out(void **state)
{
    struct world *w = *state;
    enum { COUNT = 60 };
    struct stream *strange[COUNT];
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    uint8_t noise[512];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 37);
    for (size_t i = 0; i < COUNT; i++) {
        struct slice bytes = slice_of(noise, i % 3 == 1 ? sizeof(noise) : 5);
        strange[i] = world_connect(w);
        if (i % 3 != 0)
            assert_int_equal(stream_write(strange[i], &bytes, 1), 0);
    }
    turn_some(&w->loop, 50);
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    dialed_release(&x);
    for (size_t i = 0; i < COUNT; i++)
        stream_close(strange[i]);
    turn_some(&w->loop, 50);
    identity_release(&id);
}

static void a_client_that_leaves_at_any_moment_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    for (int turns = 0; turns < 40; turns++) {
        struct dialed x;
        struct dial *dial = NULL;
        struct dial_config config = {
            .tls = {.ctx = w->ctx, .server_name = "127.0.0.1", .cert = id.cert, .key = id.key}};
        memset(&x, 0, sizeof(x));
        assert_int_equal(dial_start(&w->loop, world_connect(w), &config, on_dialed, &x, &dial), 0);
        turn_some(&w->loop, turns);
        if (!x.done)
            dial_cancel(dial);
        stream_close(x.stream);
        turn_some(&w->loop, 20);
    }
    /* The user's count is back at nothing, too. */
    struct dialed y[3];
    for (int i = 0; i < 100; i++) {
        turn_some(&w->loop, 5);
        uv_sleep(1);
    }
    for (size_t i = 0; i < ARRAY_LEN(y); i++) {
        world_dial(w, &id, &y[i]);
        assert_int_equal(y[i].err, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(y); i++)
        dialed_release(&y[i]);
    identity_release(&id);
}

/* ---- the end ---- */

static void stopping_waits_for_connections_and_then_cuts_them(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    server_stop(w->server, world_stopped, w);
    turn_some(&w->loop, 50);
    assert_false(w->stopped);
    say(&x, SLICE_LIT("still served"));
    assert_true(turn_until_got(w, &x, strlen("still served")));
    server_stop(w->server, world_stopped, w);
    assert_true(turn_until(&w->loop, &w->stopped));
    assert_true(turn_until(&w->loop, &x.failed));
    assert_false(x.ended);
    dialed_release(&x);
    identity_release(&id);
}

static void every_connection_has_its_row(void **state)
{
    struct world *w = *state;
    struct identity id = world_app(w, &alice, "pg", 5432);
    struct dialed x;
    world_dial(w, &id, &x);
    assert_int_equal(x.err, 0);
    say(&x, SLICE_LIT("hello"));
    assert_true(turn_until_got(w, &x, 5));
    assert_int_equal(stream_end(x.stream), 0);
    assert_true(turn_until(&w->loop, &x.ended));
    must_refuse(w, &alice, TARGET_DENIED, "log-in");
    dialed_release(&x);
    world_stop(w);
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    char path[128];
    assert_int_equal(str_format(path, sizeof(path), "%s/state.db", w->dir), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db,
                           "SELECT app, port, verdict, bytes_up, bytes_down, user FROM connections "
                           "ORDER BY verdict DESC",
                           -1, &s, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 0), "pg");
    assert_int_equal(sqlite3_column_int(s, 1), 5432);
    assert_string_equal((const char *)sqlite3_column_text(s, 2), "ok");
    assert_int_equal(sqlite3_column_int(s, 3), 5);
    assert_int_equal(sqlite3_column_int(s, 4), 5);
    assert_string_equal((const char *)sqlite3_column_text(s, 5), "alice");
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 2), "denied");
    sqlite3_finalize(s);
    sqlite3_close(db);
    identity_release(&id);
}

static void a_reload_that_needs_a_restart_is_refused_with_the_reason(void **state)
{
    struct world *w = *state;
    struct diag d = {0};
    struct gateway_config *config = world_config(w, apps, LIMITS);
    config->listen.port++;
    assert_int_equal(server_reload(w->server, config, &d), ERR_INVAL);
    assert_non_null(strstr(d.text, "\"listen\" needs a restart"));
    gateway_config_free(config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_app_is_reached_and_echoes),
        TEST(a_target_without_a_port_gets_the_certificates_port),
        TEST(half_closes_go_through_in_both_directions),
        TEST(megabytes_come_back_in_order),
        TEST(a_reset_of_the_target_is_no_clean_end),
        TEST(failures_of_the_target_are_told_with_their_kind),
        TEST(without_an_app_certificate_there_is_no_connection),
        TEST(a_certificate_that_was_never_issued_is_refused),
        TEST(an_expired_certificate_is_refused),
        TEST(a_removed_user_is_refused_at_the_next_connection),
        TEST(a_new_password_ends_the_old_certificates),
        TEST(a_resumed_session_is_judged_like_a_new_one),
        TEST(a_ticket_is_good_once),
        TEST(a_new_configuration_counts_from_the_next_connection_on),
        TEST(a_port_that_is_taken_from_an_app_is_refused),
        TEST(one_connection_more_than_a_user_may_have_is_refused),
        TEST(one_connection_more_than_the_gateway_may_have_is_refused),
        TEST(strangers_take_no_ones_place),
        TEST(silent_and_senseless_clients_keep_nobody_out),
        TEST(a_client_that_leaves_at_any_moment_leaves_nothing),
        TEST(stopping_waits_for_connections_and_then_cuts_them),
        TEST(every_connection_has_its_row),
        TEST(a_reload_that_needs_a_restart_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests_name("gateway_router", tests, NULL, NULL);
}
