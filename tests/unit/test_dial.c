#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/stream_pair.h"
#include "tls/dial.h"
#include "tls_helpers.h"

struct fixture {
    struct loop loop;
    struct test_ca ca;
    EVP_PKEY *server_key;
    X509 *server_cert;
    SSL_CTX *server_ctx, *client_ctx;
    struct stream *gateway; /* TLS */
    struct stream *client;  /* the dial's result */
    struct dial *dial;
    struct buf got;
    bool ready, done, ended, have_status;
    int err;
    struct target_status status;
    struct diag diag;
};

static void on_gateway(void *arg, int err, const struct diag *d)
{
    struct fixture *f = arg;
    (void)d;
    f->ready = err == 0;
}

static void on_done(void *arg, int err, const struct target_status *status, struct stream *stream,
                    const struct diag *d)
{
    struct fixture *f = arg;
    assert_false(f->done);
    f->done = true;
    f->err = err;
    f->client = stream;
    f->have_status = status != NULL;
    if (status != NULL)
        f->status = *status;
    if (err != 0)
        f->diag = *d;
}

static void on_data(void *arg, struct slice bytes)
{
    struct fixture *f = arg;
    assert_int_equal(buf_put(&f->got, bytes), 0);
}

static void on_end(void *arg)
{
    ((struct fixture *)arg)->ended = true;
}

static const struct stream_events events = {.on_data = on_data, .on_end = on_end};

static int set_up(void **state)
{
    static const char *const alpn[] = {TARGET_ALPN, NULL};
    struct fixture *f = NEW(struct fixture);
    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    test_ca_init(&f->ca, "Test CA");
    assert_int_equal(key_new(&f->server_key), 0);
    f->server_cert = test_cert(&f->ca, CERT_SERVER, "gw.test", f->server_key, 3600);
    struct tls_identity id = {.cert = f->server_cert, .key = f->server_key};
    assert_int_equal(tls_server_context(&id, slice_of(NULL, 0), false, alpn, &f->server_ctx, NULL),
                     0);
    assert_int_equal(tls_client_context(buf_slice(&f->ca.pem), &f->client_ctx, NULL), 0);
    buf_init(&f->got, 65536);
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(stream_pair_new(&f->loop, 65536, &a, &b), 0);
    struct dial_config config = {.tls = {.ctx = f->client_ctx, .server_name = "gw.test"},
                                 .timeout_ms = 500};
    struct tls_config server = {.ctx = f->server_ctx, .server = true};
    assert_int_equal(dial_start(&f->loop, a, &config, on_done, f, &f->dial), 0);
    assert_int_equal(tls_stream_new(b, &f->loop, &server, on_gateway, f, &f->gateway), 0);
    assert_true(turn_until(&f->loop, &f->ready));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stream_close(f->client);
    stream_close(f->gateway);
    assert_int_equal(loop_release(&f->loop), 0);
    SSL_CTX_free(f->server_ctx);
    SSL_CTX_free(f->client_ctx);
    X509_free(f->server_cert);
    EVP_PKEY_free(f->server_key);
    test_ca_release(&f->ca);
    buf_release(&f->got);
    mem_free(f);
    return 0;
}

static void answer(struct fixture *f, enum target_code code, const char *text, const char *more)
{
    uint8_t message[TARGET_STATUS_LEN];
    struct target_status st;
    target_status_set(&st, code, text);
    target_status_encode(&st, message);
    struct slice parts[] = {slice_of(message, sizeof(message)), slice_str(more)};
    assert_int_equal(stream_write(f->gateway, parts, 2), 0);
}

static void handshake_alone_is_no_answer(void **state)
{
    struct fixture *f = *state;
    turn_some(&f->loop, 50);
    assert_false(f->done);
    answer(f, TARGET_OK, "", "");
    assert_true(turn_until(&f->loop, &f->done));
    assert_int_equal(f->err, 0);
    assert_non_null(f->client);
}

static void bytes_right_behind_the_status_belong_to_the_app(void **state)
{
    struct fixture *f = *state;
    answer(f, TARGET_OK, "", "SSH-2.0-early\r\n");
    assert_int_equal(stream_end(f->gateway), 0);
    assert_true(turn_until(&f->loop, &f->done));
    turn_some(&f->loop, 20);
    assert_int_equal(buf_len(&f->got), 0);
    stream_set_events(f->client, &events, f);
    assert_int_equal(stream_read_start(f->client), 0);
    assert_true(turn_until(&f->loop, &f->ended));
    assert_true(slice_eq_str(buf_slice(&f->got), "SSH-2.0-early\r\n"));
}

static void refusal_carries_its_reason(void **state)
{
    struct fixture *f = *state;
    answer(f, TARGET_REFUSED, "10.1.2.3:5432 refused", "");
    assert_true(turn_until(&f->loop, &f->done));
    assert_int_equal(f->err, ERR_REFUSED);
    assert_null(f->client);
    assert_true(f->have_status);
    assert_string_equal(f->status.text, "10.1.2.3:5432 refused");
    assert_non_null(strstr(f->diag.text, "10.1.2.3:5432 refused"));
}

static void malformed_status_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t message[TARGET_STATUS_LEN] = {1, 99};
    struct slice part = slice_of(message, sizeof(message));
    assert_int_equal(stream_write(f->gateway, &part, 1), 0);
    assert_true(turn_until(&f->loop, &f->done));
    assert_int_equal(f->err, ERR_FORMAT);
    assert_null(f->client);
}

static void end_before_the_status_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct slice part = SLICE_LIT("\1\0\0");
    assert_int_equal(stream_write(f->gateway, &part, 1), 0);
    assert_int_equal(stream_end(f->gateway), 0);
    assert_true(turn_until(&f->loop, &f->done));
    assert_int_equal(f->err, ERR_CLOSED);
}

static void silent_gateway_times_out(void **state)
{
    struct fixture *f = *state;
    assert_true(turn_until(&f->loop, &f->done));
    assert_int_equal(f->err, ERR_TIMEOUT);
}

static void cancelled_dial_says_nothing(void **state)
{
    struct fixture *f = *state;
    dial_cancel(f->dial);
    answer(f, TARGET_OK, "", "");
    turn_some(&f->loop, 50);
    assert_false(f->done);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(handshake_alone_is_no_answer),
        TEST(bytes_right_behind_the_status_belong_to_the_app),
        TEST(refusal_carries_its_reason),
        TEST(malformed_status_is_refused),
        TEST(end_before_the_status_is_an_error),
        TEST(silent_gateway_times_out),
        TEST(cancelled_dial_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
