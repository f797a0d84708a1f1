/* Our client against servers that are not ours: what it sends, and what it makes of every kind of answer. */
#include "raw_h2.h"
#include "rpc_pair.h"

static const char *const grpc_headers[] = {":status", "200", "content-type", "application/grpc",
                                           NULL};

/* PingResponse{version: "ab"} in its frame. */
#define GOOD_BODY SLICE_LIT("\0\0\0\0\4\12\2ab")

static void setup(struct rpc_pair *p, struct raw_h2 *r)
{
    pair_streams(p);
    raw_init(r, STEAL(p->streams[1]), true);
    pair_client(p);
}

static void finish(struct rpc_pair *p, struct raw_h2 *r)
{
    raw_release(r);
    pair_end(p);
}

/* Calls Ping and waits until the server has it whole. */
static void ask(struct rpc_pair *p, struct raw_h2 *r, struct outcome *o)
{
    setup(p, r);
    assert_int_equal(ping(p, "v", 20000, o, NULL), 0);
    TURN_UNTIL(p, r->replies[0].ended);
}

static void expect(struct rpc_pair *p, struct raw_h2 *r, struct outcome *o, enum rpc_status status)
{
    TURN_UNTIL(p, o->ends == 1);
    assert_int_equal(o->status, status);
    assert_int_equal(rpc_client_calls(p->client), 0);
    finish(p, r);
    assert_int_equal(o->ends, 1);
}

/* A response with these headers and body, then END_STREAM. */
static void expect_answer(const char *const *headers, struct slice body, enum rpc_status status,
                          const char *text)
{
    struct rpc_pair p;
    struct raw_h2 r;
    struct outcome o = {0};
    ask(&p, &r, &o);
    raw_send(&r, 1, headers, body, true);
    TURN_UNTIL(&p, o.ends == 1);
    if (text != NULL)
        assert_string_equal(o.text, text);
    else
        assert_true(o.text[0] != '\0');
    expect(&p, &r, &o, status);
}

static void a_request_is_what_grpc_wants(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    struct outcome o = {0};
    ask(&p, &r, &o);
    assert_string_equal(r.replies[0].path, "/stile.vnet.v1.ClientApplicationService/Ping");
    assert_string_equal(r.replies[0].te, "trailers");
    assert_string_equal(r.replies[0].content_type, "application/grpc+proto");
    assert_string_equal(r.replies[0].timeout, "20000m");
    assert_int_equal(r.replies[0].bytes, 8);
    finish(&p, &r);
    assert_int_equal(o.status, RPC_CANCELLED);
}

static void respond_with_trailers(struct raw_h2 *r, struct slice body, const char *const *trailers)
{
    nghttp2_nv nv[RAW_NV_MAX];
    raw_send(r, 1, grpc_headers, body, false);
    nghttp2_submit_trailer(r->session, 1, nv, raw_headers(trailers, nv));
    raw_flush(r);
}

static void expect_trailers(struct slice body, const char *const *trailers, enum rpc_status status,
                            const char *text)
{
    struct rpc_pair p;
    struct raw_h2 r;
    struct outcome o = {0};
    ask(&p, &r, &o);
    respond_with_trailers(&r, body, trailers);
    TURN_UNTIL(&p, o.ends == 1);
    if (text != NULL)
        assert_string_equal(o.text, text);
    if (status == RPC_OK)
        assert_string_equal(o.version, "ab");
    expect(&p, &r, &o, status);
}

static void the_status_is_that_of_the_trailers(UNUSED void **state)
{
    static const char *const ok[] = {"grpc-status", "0", NULL};
    static const char *const ok_with_text[] = {"grpc-status", "0", "grpc-message", "fine", NULL};
    static const char *const not_found[] = {"grpc-status", "5", "grpc-message", "no%20%C3%A4 %zz%4",
                                            NULL};
    static const char *const unknown_number[] = {"grpc-status", "17", NULL};
    static const char *const no_number[] = {"grpc-status", "x", NULL};
    static const char *const none[] = {"x-other", "0", NULL};
    expect_trailers(GOOD_BODY, ok, RPC_OK, "");
    expect_trailers(GOOD_BODY, ok_with_text, RPC_OK, "");
    expect_trailers(SLICE_LIT(""), not_found, RPC_NOT_FOUND, "no \303\244 %zz%4");
    expect_trailers(GOOD_BODY, not_found, RPC_NOT_FOUND, "no \303\244 %zz%4");
    expect_trailers(GOOD_BODY, unknown_number, RPC_UNKNOWN, NULL);
    expect_trailers(GOOD_BODY, no_number, RPC_UNKNOWN, NULL);
    expect_trailers(GOOD_BODY, none, RPC_UNKNOWN, NULL);
}

static void a_success_without_its_one_message_is_internal(UNUSED void **state)
{
    static const char *const ok[] = {"grpc-status", "0", NULL};
    expect_trailers(SLICE_LIT(""), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\0\0\0"), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\0\0\0\0\5\12\2ab"), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\0\0\0\0\4\12\2ab\0\0\0\0\0"), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\0\0\0\0\4\12\7ab"), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\1\0\0\0\4\12\2ab"), ok, RPC_INTERNAL, NULL);
    expect_trailers(SLICE_LIT("\0\177\0\0\0\12\2ab"), ok, RPC_RESOURCE_EXHAUSTED, NULL);
}

static void a_status_in_the_headers_alone_is_one(UNUSED void **state)
{
    static const char *const denied[] = {":status",          "200",         "content-type",
                                         "application/grpc", "grpc-status", "7",
                                         "grpc-message",     "not%20you",   NULL};
    static const char *const bare[] = {":status", "200", "grpc-status", "16", NULL};
    static const char *const both[] = {":status",      "503", "grpc-status", "8",
                                       "grpc-message", "x",   NULL};
    expect_answer(denied, SLICE_LIT(""), RPC_PERMISSION_DENIED, "not you");
    expect_answer(bare, SLICE_LIT(""), RPC_UNAUTHENTICATED, "");
    expect_answer(both, SLICE_LIT(""), RPC_RESOURCE_EXHAUSTED, "x");
}

static void what_isnt_grpc_is_mapped_from_its_http_status(UNUSED void **state)
{
    static const struct {
        const char *http;
        enum rpc_status status;
    } cases[] = {{"400", RPC_INTERNAL},          {"401", RPC_UNAUTHENTICATED},
                 {"403", RPC_PERMISSION_DENIED}, {"404", RPC_UNIMPLEMENTED},
                 {"429", RPC_UNAVAILABLE},       {"502", RPC_UNAVAILABLE},
                 {"503", RPC_UNAVAILABLE},       {"504", RPC_UNAVAILABLE},
                 {"500", RPC_UNKNOWN},           {"200", RPC_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const headers[] = {":status", cases[i].http, "content-type", "text/html", NULL};
        expect_answer(headers, SLICE_LIT("<html>"), cases[i].status, NULL);
        expect_answer(headers, SLICE_LIT(""), cases[i].status, NULL);
    }
}

static void resets_are_mapped(UNUSED void **state)
{
    static const struct {
        uint32_t code;
        enum rpc_status status;
    } cases[] = {{NGHTTP2_NO_ERROR, RPC_UNKNOWN},
                 {NGHTTP2_PROTOCOL_ERROR, RPC_INTERNAL},
                 {NGHTTP2_INTERNAL_ERROR, RPC_INTERNAL},
                 {NGHTTP2_REFUSED_STREAM, RPC_UNAVAILABLE},
                 {NGHTTP2_CANCEL, RPC_CANCELLED},
                 {NGHTTP2_ENHANCE_YOUR_CALM, RPC_RESOURCE_EXHAUSTED},
                 {NGHTTP2_INADEQUATE_SECURITY, RPC_PERMISSION_DENIED},
                 {4711, RPC_INTERNAL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rpc_pair p;
        struct raw_h2 r;
        struct outcome o = {0};
        ask(&p, &r, &o);
        nghttp2_submit_rst_stream(r.session, NGHTTP2_FLAG_NONE, 1, cases[i].code);
        raw_flush(&r);
        expect(&p, &r, &o, cases[i].status);
    }
}

static void the_rest_of_a_large_request_isnt_sent_after_an_early_answer(UNUSED void **state)
{
    static char large[300000];
    static const char *const denied[] = {
        ":status", "200", "content-type", "application/grpc", "grpc-status", "7", NULL};
    struct rpc_pair p;
    struct raw_h2 r;
    struct outcome o = {0};
    Stile__Vnet__V1__PingRequest request = STILE__VNET__V1__PING_REQUEST__INIT;
    memset(large, 'a', sizeof(large) - 1);
    request.version = large;
    setup(&p, &r);
    assert_int_equal(
        rpc_client_call(p.client, &client_application_ping, &request.base, 0, note_reply, &o, NULL),
        0);
    TURN_UNTIL(&p, r.replies[0].header_blocks == 1);
    stream_read_stop(r.stream);
    raw_send(&r, 1, denied, SLICE_LIT(""), true);
    TURN_UNTIL(&p, o.ends == 1);
    assert_int_equal(o.status, RPC_PERMISSION_DENIED);
    assert_int_equal(stream_read_start(r.stream), 0);
    TURN_UNTIL(&p, r.replies[0].reset);
    assert_false(r.replies[0].ended);
    assert_in_range(r.replies[0].bytes, 1, 200000);
    finish(&p, &r);
}

static void goaway_spares_calls_that_the_server_has_taken(UNUSED void **state)
{
    static const char *const ok[] = {"grpc-status", "0", NULL};
    struct rpc_pair p;
    struct raw_h2 r;
    struct outcome o[3] = {0};
    setup(&p, &r);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        assert_int_equal(ping(&p, "v", 0, &o[i], NULL), 0);
    TURN_UNTIL(&p, r.replies[2].ended);
    nghttp2_submit_goaway(r.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
    raw_flush(&r);
    TURN_UNTIL(&p, o[1].ends + o[2].ends == 2);
    assert_int_equal(o[1].status, RPC_UNAVAILABLE);
    assert_int_equal(o[2].status, RPC_UNAVAILABLE);
    assert_int_equal(o[0].ends, 0);
    assert_int_equal(p.client_closed, 1);
    respond_with_trailers(&r, GOOD_BODY, ok);
    TURN_UNTIL(&p, p.client_closed != 1);
    assert_int_equal(o[0].status, RPC_OK);
    assert_int_equal(p.client_closed, ERR_CLOSED);
    finish(&p, &r);
}

static void what_isnt_http2_ends_the_connection(UNUSED void **state)
{
    static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                        "\x15\x03\x03\x00\x02\x02\x46",
                                        "SSH-2.0-OpenSSH_9.2p1 and then some\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct rpc_pair p;
        struct outcome o = {0};
        struct slice text = slice_str(texts[i]);
        pair_streams(&p);
        pair_client(&p);
        assert_int_equal(ping(&p, "v", 0, &o, NULL), 0);
        assert_int_equal(stream_write(p.streams[1], &text, 1), 0);
        assert_int_equal(stream_end(p.streams[1]), 0);
        TURN_UNTIL(&p, p.client_closed != 1);
        assert_int_equal(o.ends, 1);
        assert_int_equal(o.status, RPC_UNAVAILABLE);
        pair_end(&p);
    }
}

static void too_many_headers_are_resource_exhausted(UNUSED void **state)
{
    const char *headers[2 * 80 + 1] = {0};
    memcpy(headers, grpc_headers, sizeof(grpc_headers));
    for (size_t i = ARRAY_LEN(grpc_headers) - 1; i + 2 < ARRAY_LEN(headers); i += 2) {
        headers[i] = "x-more";
        headers[i + 1] = "yes";
    }
    expect_answer(headers, SLICE_LIT(""), RPC_RESOURCE_EXHAUSTED, NULL);
}

static void an_endless_message_is_cut_off(UNUSED void **state)
{
    static uint8_t much[6 * 1024 * 1024] = {0, 0, 0x3f, 0xff, 0xff};
    static const char *const ok[] = {"grpc-status", "0", NULL};
    expect_trailers(slice_of(much, sizeof(much)), ok, RPC_INTERNAL, NULL); /* 4 MiB and then more */
    much[1] = 0x7f;
    expect_trailers(slice_of(much, sizeof(much)), ok, RPC_RESOURCE_EXHAUSTED, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_what_grpc_wants),
        cmocka_unit_test(the_status_is_that_of_the_trailers),
        cmocka_unit_test(a_success_without_its_one_message_is_internal),
        cmocka_unit_test(a_status_in_the_headers_alone_is_one),
        cmocka_unit_test(what_isnt_grpc_is_mapped_from_its_http_status),
        cmocka_unit_test(resets_are_mapped),
        cmocka_unit_test(the_rest_of_a_large_request_isnt_sent_after_an_early_answer),
        cmocka_unit_test(goaway_spares_calls_that_the_server_has_taken),
        cmocka_unit_test(what_isnt_http2_ends_the_connection),
        cmocka_unit_test(too_many_headers_are_resource_exhausted),
        cmocka_unit_test(an_endless_message_is_cut_off),
    };
    return cmocka_run_group_tests_name("rpc_client", tests, NULL, NULL);
}
