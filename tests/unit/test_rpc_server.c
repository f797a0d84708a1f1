/* Our server against peers that are not our client: other gRPC, no gRPC, no HTTP/2, malice. */
#include "raw_h2.h"
#include "rpc_pair.h"

#define PING_PATH "/stile.vnet.v1.ClientApplicationService/Ping"

static const struct rpc_handler echo_handlers[] = {{&client_application_ping, echo}};
static const struct rpc_server_config echo_config = {.handlers = echo_handlers, .handler_count = 1};

static const char *const good_headers[] = {
    ":method", "POST",    ":authority", "x",        ":scheme",      "http",
    ":path",   PING_PATH, "te",         "trailers", "content-type", "application/grpc",
    NULL};

#define REQUEST_START ":method", "POST", ":authority", "x", ":scheme", "https", ":path", PING_PATH

/* PingRequest{version: "ab"} in its frame. */
#define GOOD_BODY SLICE_LIT("\0\0\0\0\4\12\2ab")

static void setup_with(struct rpc_pair *p, struct raw_h2 *r, const struct rpc_server_config *config)
{
    pair_streams(p);
    pair_server(p, config);
    raw_init(r, STEAL(p->streams[0]), false);
}

static void setup(struct rpc_pair *p, struct raw_h2 *r)
{
    setup_with(p, r, &echo_config);
}

static void finish(struct rpc_pair *p, struct raw_h2 *r)
{
    raw_release(r);
    pair_end(p);
}

static bool done(const struct raw_h2 *r, size_t i)
{
    return r->replies[i].ended || r->replies[i].reset || r->ended;
}

/* One request, and the gRPC status it must get; then the connection must still serve. */
static void expect_status(const char *const *headers, struct slice body, const char *grpc_status)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    raw_send(&r, 0, headers, body, true);
    TURN_UNTIL(&p, done(&r, 0));
    assert_string_equal(r.replies[0].http_status, "200");
    assert_string_equal(r.replies[0].grpc_status, grpc_status);
    raw_send(&r, 0, good_headers, GOOD_BODY, true);
    TURN_UNTIL(&p, done(&r, 1));
    assert_string_equal(r.replies[1].grpc_status, "0");
    TURN_UNTIL(&p, rpc_server_conn_calls(p.conn) == 0);
    finish(&p, &r);
}

static void a_reply_has_headers_message_and_trailers(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    raw_send(&r, 0, good_headers, GOOD_BODY, true);
    TURN_UNTIL(&p, done(&r, 0));
    assert_string_equal(r.replies[0].http_status, "200");
    assert_string_equal(r.replies[0].content_type, "application/grpc");
    assert_string_equal(r.replies[0].grpc_status, "0");
    assert_int_equal(r.replies[0].bytes, GOOD_BODY.len);
    assert_int_equal(r.replies[0].header_blocks, 2);
    assert_true(r.replies[0].ended);
    assert_false(r.replies[0].reset);
    finish(&p, &r);
}

static void an_error_alone_is_one_header_block(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    static const char *const headers[] = {
        ":method",  "POST",         ":authority",       "x", ":scheme", "http", ":path",
        "/no/such", "content-type", "application/grpc", NULL};
    setup(&p, &r);
    raw_send(&r, 0, headers, GOOD_BODY, true);
    TURN_UNTIL(&p, done(&r, 0));
    assert_string_equal(r.replies[0].grpc_status, "12");
    assert_int_equal(r.replies[0].header_blocks, 1);
    assert_int_equal(r.replies[0].bytes, 0);
    finish(&p, &r);
}

static void requests_that_are_no_message_are_invalid_argument(UNUSED void **state)
{
    expect_status(good_headers, SLICE_LIT(""), "3");                     /* no message */
    expect_status(good_headers, SLICE_LIT("\0\0\0"), "3");               /* half a prefix */
    expect_status(good_headers, SLICE_LIT("\0\0\0\0\5\12\2ab"), "3");    /* cut */
    expect_status(good_headers, SLICE_LIT("\0\0\0\0\4\12\2abx"), "3");   /* a byte over */
    expect_status(good_headers, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0"), "3"); /* two messages */
    expect_status(good_headers, SLICE_LIT("\0\0\0\0\4\12\7ab"), "3");    /* a field over the end */
    expect_status(good_headers, SLICE_LIT("\2\0\0\0\4\12\2ab"), "3");    /* no such flag */
    expect_status(good_headers, SLICE_LIT("\0\0\0\0\1\xff"), "3");       /* no field */
}

static void a_compressed_request_is_unimplemented(UNUSED void **state)
{
    expect_status(good_headers, SLICE_LIT("\1\0\0\0\4abcd"), "12");
}

static void a_length_over_the_cap_is_resource_exhausted_before_it_is_sent(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    raw_send(&r, 0, good_headers, SLICE_LIT("\0\177\377\377\377x"), false);
    TURN_UNTIL(&p, r.replies[0].reset);
    assert_string_equal(r.replies[0].grpc_status, "8");
    assert_int_equal(r.replies[0].reset_code, NGHTTP2_NO_ERROR);
    TURN_UNTIL(&p, rpc_server_conn_calls(p.conn) == 0);
    finish(&p, &r);
}

static void header_variants(UNUSED void **state)
{
    static const char *const proto[] = {REQUEST_START, "content-type", "application/grpc+proto",
                                        NULL};
    static const char *const params[] = {REQUEST_START,  "content-type", "application/grpc;x=y",
                                         "grpc-timeout", "10S",          NULL};
    static const char *const bad_timeout[] = {REQUEST_START,  "content-type", "application/grpc",
                                              "grpc-timeout", "10x",          NULL};
    expect_status(proto, GOOD_BODY, "0");
    expect_status(params, GOOD_BODY, "0");
    expect_status(bad_timeout, GOOD_BODY, "3");
}

static void expect_http(const char *const *headers, const char *http_status)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    raw_send(&r, 0, headers, GOOD_BODY, true);
    TURN_UNTIL(&p, done(&r, 0));
    assert_string_equal(r.replies[0].http_status, http_status);
    assert_string_equal(r.replies[0].grpc_status, "");
    finish(&p, &r);
}

static void what_isnt_grpc_gets_an_http_status(UNUSED void **state)
{
    static const char *const get[] = {":method", "GET",   ":authority", "x", ":scheme",
                                      "http",    ":path", PING_PATH,    NULL};
    static const char *const json[] = {REQUEST_START, "content-type", "application/json", NULL};
    static const char *const none[] = {REQUEST_START, NULL};
    static const char *const other[] = {REQUEST_START, "content-type", "application/grpc-web",
                                        NULL};
    expect_http(get, "405");
    expect_http(json, "415");
    expect_http(none, "415");
    expect_http(other, "415");
}

static void too_many_headers_are_resource_exhausted(UNUSED void **state)
{
    const char *headers[2 * 80 + 1] = {0};
    memcpy(headers, good_headers, sizeof(good_headers));
    for (size_t i = ARRAY_LEN(good_headers) - 1; i + 2 < ARRAY_LEN(headers); i += 2) {
        headers[i] = "x-more";
        headers[i + 1] = "yes";
    }
    expect_status(headers, GOOD_BODY, "8");
}

static void too_many_header_bytes_are_resource_exhausted(UNUSED void **state)
{
    static char large[9000];
    const char *headers[ARRAY_LEN(good_headers) + 4] = {0};
    memcpy(headers, good_headers, sizeof(good_headers));
    memset(large, 'a', sizeof(large) - 1);
    size_t n = ARRAY_LEN(good_headers) - 1;
    headers[n] = "x-a";
    headers[n + 1] = large;
    expect_status(headers, GOOD_BODY, "0");
    headers[n + 2] = "x-b";
    headers[n + 3] = large;
    expect_status(headers, GOOD_BODY, "8");
}

static void a_request_must_end_in_time(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    struct rpc_server_config config = echo_config;
    config.request_ms = 30;
    setup_with(&p, &r, &config);
    raw_send(&r, 0, good_headers, SLICE_LIT("\0\0\0"), false);
    uint64_t until = clock_mono_ns() + 30 * NS_PER_S;
    while (!r.replies[0].reset && clock_mono_ns() < until)
        loop_turn(&p.loop, true);
    assert_string_equal(r.replies[0].grpc_status, "4");
    TURN_UNTIL(&p, rpc_server_conn_calls(p.conn) == 0);
    finish(&p, &r);
}

static bool turn_until_closed(struct rpc_pair *p)
{
    uint64_t until = clock_mono_ns() + 30 * NS_PER_S;
    while (p->server_closed == 1 && clock_mono_ns() < until)
        loop_turn(&p->loop, true);
    return p->server_closed != 1;
}

static struct rpc_call *kept;

static void keep(struct rpc_call *call, UNUSED const ProtobufCMessage *request, UNUSED void *arg)
{
    kept = call;
}

static const struct rpc_handler keep_handlers[] = {{&client_application_ping, keep}};

static void a_silent_caller_is_noticed_while_its_call_is_open(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    const struct rpc_server_config config = {
        .handlers = keep_handlers, .handler_count = 1, .keepalive_ms = 30};
    kept = NULL;
    setup_with(&p, &r, &config);
    raw_send(&r, 0, good_headers, GOOD_BODY, true);
    TURN_UNTIL(&p, kept != NULL);
    stream_read_stop(r.stream);
    assert_true(turn_until_closed(&p));
    assert_int_equal(p.server_closed, ERR_TIMEOUT);
    assert_true(rpc_call_canceled(kept));
    rpc_call_fail(kept, RPC_ABORTED, "x");
    finish(&p, &r);
}

/* PingRequest with a version of 90 000 letters. */
static struct slice large_body(void)
{
    static uint8_t body[9 + 90000];
    struct wr w = wr_init(body, sizeof(body));
    wr_u8(&w, 0);
    wr_u32(&w, 90004);
    wr_u32(&w, 0x0a90bf05);
    memset(w.next, 'a', 90000);
    return slice_of(body, sizeof(body));
}

static void an_answer_must_be_taken_in_time(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    struct rpc_server_config config = echo_config;
    config.request_ms = 1000;
    setup_with(&p, &r, &config);
    pair_turns(&p, 10);
    /* More than the peer's window lets back. */
    raw_send(&r, 0, good_headers, large_body(), true);
    uint64_t until = clock_mono_ns() + 30 * NS_PER_S;
    while (r.body.len > 0 && clock_mono_ns() < until) /* our reads open its window to us */
        loop_turn(&p.loop, false);
    stream_read_stop(r.stream);
    TURN_UNTIL(&p, rpc_server_conn_calls(p.conn) == 1);
    until = clock_mono_ns() + 30 * NS_PER_S;
    while (rpc_server_conn_calls(p.conn) > 0 && clock_mono_ns() < until)
        loop_turn(&p.loop, true);
    assert_int_equal(rpc_server_conn_calls(p.conn), 0);
    assert_int_equal(p.server_closed, 1);
    finish(&p, &r);
}

static void a_peer_that_takes_no_goodbye_is_left(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    pair_turns(&p, 10);
    raw_send(&r, 0, good_headers, large_body(), true);
    while (r.body.len > 0)
        loop_turn(&p.loop, false);
    /* The answer and refusals fill what the stream takes; then comes a mistake that ends the connection. */
    stream_read_stop(r.stream);
    for (int i = 0; i < 80; i++)
        raw_send(&r, 0, good_headers, GOOD_BODY, true);
    pair_turns(&p, 10);
    raw_bytes(&r, SLICE_LIT("\0\0\1\6\0\0\0\0\0x"));
    uint64_t start = clock_mono_ns();
    assert_true(turn_until_closed(&p));
    assert_true(clock_mono_ns() - start > NS_PER_S);
    assert_int_equal(p.server_closed, ERR_CLOSED);
    finish(&p, &r);
}

static void what_isnt_http2_ends_the_connection(UNUSED void **state)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxx"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct rpc_pair p;
        struct slice text = slice_str(texts[i]);
        pair_streams(&p);
        pair_server(&p, &echo_config);
        assert_int_equal(stream_write(p.streams[0], &text, 1), 0);
        TURN_UNTIL(&p, p.server_closed != 1);
        assert_int_equal(p.server_closed, i == 2 ? ERR_CLOSED : ERR_PROTOCOL);
        pair_end(&p);
    }
}

static void pings_are_acknowledged(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    nghttp2_submit_ping(r.session, NGHTTP2_FLAG_NONE, NULL);
    raw_flush(&r);
    TURN_UNTIL(&p, r.pings_acked == 1);
    finish(&p, &r);
}

/* A peer that sends without reading: the same frame over and over, until the server has had enough. */
static void flood(struct slice frame, size_t count, int want)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    pair_turns(&p, 10);
    stream_read_stop(r.stream);
    for (size_t i = 0; i < count && p.server_closed == 1; i++) {
        raw_bytes(&r, frame);
        loop_turn(&p.loop, false);
        if (stream_queued(r.stream) > 60000)
            pair_turns(&p, 10);
    }
    pair_turns(&p, 50);
    assert_int_equal(p.server_closed, want);
    finish(&p, &r);
}

static void a_ping_flood_ends_the_connection(UNUSED void **state)
{
    flood(SLICE_LIT("\0\0\10\6\0\0\0\0\0abcdefgh"), 200000, ERR_LIMIT);
}

static void a_settings_flood_ends_the_connection(UNUSED void **state)
{
    flood(SLICE_LIT("\0\0\0\4\0\0\0\0\0"), 200000, ERR_LIMIT);
}

static void a_reset_flood_ends_the_connection(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    setup(&p, &r);
    pair_turns(&p, 10);
    for (int i = 0; i < 20000 && p.server_closed == 1; i++) {
        int32_t id = raw_send(&r, 0, good_headers, GOOD_BODY, false);
        nghttp2_submit_rst_stream(r.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        raw_flush(&r);
        pair_turns(&p, 2);
    }
    assert_true(p.server_closed < 0);
    finish(&p, &r);
}

static void keep_none(struct rpc_call *call, UNUSED const ProtobufCMessage *request,
                      UNUSED void *arg)
{
    rpc_call_fail(call, RPC_ABORTED, "x");
}

static void unread_refusals_end_the_connection(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    static const struct rpc_handler handlers[] = {{&client_application_ping, keep_none}};
    const struct rpc_server_config config = {
        .handlers = handlers, .handler_count = 1, .calls_max = 1};
    setup_with(&p, &r, &config);
    stream_read_stop(r.stream);
    /* Its limit is one call, and we never heard of that: every other one costs it a frame that we don't read. */
    for (int i = 0; i < 400000 && p.server_closed == 1 && !r.ended; i++) {
        raw_send(&r, 0, good_headers, SLICE_LIT("x"), false);
        loop_turn(&p.loop, false);
    }
    pair_turns(&p, 50);
    assert_int_equal(p.server_closed, ERR_LIMIT);
    finish(&p, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_headers_message_and_trailers),
        cmocka_unit_test(an_error_alone_is_one_header_block),
        cmocka_unit_test(requests_that_are_no_message_are_invalid_argument),
        cmocka_unit_test(a_compressed_request_is_unimplemented),
        cmocka_unit_test(a_length_over_the_cap_is_resource_exhausted_before_it_is_sent),
        cmocka_unit_test(header_variants),
        cmocka_unit_test(what_isnt_grpc_gets_an_http_status),
        cmocka_unit_test(too_many_headers_are_resource_exhausted),
        cmocka_unit_test(too_many_header_bytes_are_resource_exhausted),
        cmocka_unit_test(a_request_must_end_in_time),
        cmocka_unit_test(a_silent_caller_is_noticed_while_its_call_is_open),
        cmocka_unit_test(an_answer_must_be_taken_in_time),
        cmocka_unit_test(a_peer_that_takes_no_goodbye_is_left),
        cmocka_unit_test(what_isnt_http2_ends_the_connection),
        cmocka_unit_test(pings_are_acknowledged),
        cmocka_unit_test(a_ping_flood_ends_the_connection),
        cmocka_unit_test(a_settings_flood_ends_the_connection),
        cmocka_unit_test(a_reset_flood_ends_the_connection),
        cmocka_unit_test(unread_refusals_end_the_connection),
    };
    return cmocka_run_group_tests_name("rpc_server", tests, NULL, NULL);
}
