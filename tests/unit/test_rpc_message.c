#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "rpc/message.h"
#include "stile/access/v1/access.pb-c.h"
#include "stile/vnet/v1/client_application.pb-c.h"

static void a_message_comes_back_as_it_was(UNUSED void **state)
{
    struct buf b;
    char text[] = "1.0";
    struct slice body;
    ProtobufCMessage *message;
    Stile__Vnet__V1__PingRequest ping = STILE__VNET__V1__PING_REQUEST__INIT;
    buf_init(&b, 1000);
    ping.version = text;
    assert_int_equal(rpc_message_pack(&ping.base, &b), 0);
    assert_int_equal(buf_len(&b), RPC_PREFIX_SIZE + 5);
    assert_int_equal(rpc_message_next(buf_slice(&b), 100, &body), 0);
    assert_int_equal(body.len, 5);
    assert_int_equal(rpc_message_unpack(&stile__vnet__v1__ping_request__descriptor, body, &message),
                     0);
    assert_string_equal(((Stile__Vnet__V1__PingRequest *)message)->version, "1.0");
    rpc_message_free(message);
    rpc_message_free(NULL);
    buf_release(&b);
}

static void expect_next(struct slice bytes, size_t max, int want, size_t len)
{
    struct slice body = {NULL, 99};
    assert_int_equal(rpc_message_next(bytes, max, &body), want);
    assert_int_equal(body.len, want == 0 ? len : 99);
}

static void frames_are_taken_apart(UNUSED void **state)
{
    expect_next(SLICE_LIT(""), 10, ERR_AGAIN, 0);
    expect_next(SLICE_LIT("\0\0\0\0"), 10, ERR_AGAIN, 0);
    expect_next(SLICE_LIT("\0\0\0\0\0"), 10, 0, 0);
    expect_next(SLICE_LIT("\0\0\0\0\3ab"), 10, ERR_AGAIN, 0);
    expect_next(SLICE_LIT("\0\0\0\0\3abc"), 10, 0, 3);
    expect_next(SLICE_LIT("\0\0\0\0\3abcd"), 10, 0, 3);
    expect_next(SLICE_LIT("\0\0\0\0\12"), 10, ERR_AGAIN, 0);
    expect_next(SLICE_LIT("\0\0\0\0\13"), 10, ERR_TOOBIG, 0);
    expect_next(SLICE_LIT("\0\377\377\377\377"), RPC_MESSAGE_MAX, ERR_TOOBIG, 0);
    expect_next(SLICE_LIT("\1\0\0\0\3abc"), 10, ERR_UNSUPPORTED, 0);
    expect_next(SLICE_LIT("\2\0\0\0\3abc"), 10, ERR_FORMAT, 0);
}

static void a_buffer_without_room_is_left_as_it_was(UNUSED void **state)
{
    struct buf b;
    Stile__Vnet__V1__PingRequest ping = STILE__VNET__V1__PING_REQUEST__INIT;
    buf_init(&b, 4);
    assert_int_equal(rpc_message_pack(&ping.base, &b), ERR_TOOBIG);
    assert_int_equal(buf_len(&b), 0);
    buf_release(&b);
}

static void expect_format(const ProtobufCMessageDescriptor *type, struct slice body)
{
    ProtobufCMessage *message = NULL;
    assert_int_equal(rpc_message_unpack(type, body, &message), ERR_FORMAT);
    assert_null(message);
}

static void broken_messages_are_refused(UNUSED void **state)
{
    const ProtobufCMessageDescriptor *ping = &stile__vnet__v1__ping_request__descriptor;
    const ProtobufCMessageDescriptor *app = &stile__vnet__v1__resolve_app_info_response__descriptor;
    expect_format(ping, SLICE_LIT("\xff"));
    expect_format(ping, SLICE_LIT("\12\5ab"));
    expect_format(ping, SLICE_LIT("\12\377\377\377\377\17"));
    expect_format(app, SLICE_LIT("\12\3\12\7x"));
}

static void a_message_that_grows_out_of_proportion_is_refused(UNUSED void **state)
{
    /* Empty submessages: 2 bytes each here, more than a hundred each in memory. */
    size_t count = 100000;
    uint8_t *bytes = mem_alloc(2 * count);
    for (size_t i = 0; i < count; i++) {
        bytes[2 * i] = 0x0a;
        bytes[2 * i + 1] = 0;
    }
    expect_format(&stile__vnet__v1__report_connections_request__descriptor,
                  slice_of(bytes, 2 * count));
    /* A few are fine. */
    ProtobufCMessage *message;
    assert_int_equal(rpc_message_unpack(&stile__vnet__v1__report_connections_request__descriptor,
                                        slice_of(bytes, 200), &message),
                     0);
    rpc_message_free(message);
    /* Fields that nobody knows are kept by the library: the same. */
    for (size_t i = 0; i < count; i++) {
        bytes[2 * i] = 0x78;
        bytes[2 * i + 1] = 1;
    }
    expect_format(&stile__vnet__v1__ping_request__descriptor, slice_of(bytes, 2 * count));
    mem_free(bytes);
}

static void ordinary_messages_of_4_mib_are_not_out_of_proportion(UNUSED void **state)
{
    struct buf b;
    struct slice body;
    ProtobufCMessage *message;
    enum { APPS = 60000 };
    Stile__Access__V1__App app = STILE__ACCESS__V1__APP__INIT;
    Stile__Access__V1__PortRange range = STILE__ACCESS__V1__PORT_RANGE__INIT;
    Stile__Access__V1__PortRange *ranges[] = {&range};
    Stile__Access__V1__App **apps = mem_array(APPS, sizeof(*apps));
    Stile__Access__V1__ListAppsResponse list = STILE__ACCESS__V1__LIST_APPS_RESPONSE__INIT;
    char name[] = "app";
    char public_name[] = "app.demo.example.test";
    app.name = name;
    app.public_name = public_name;
    app.ports = ranges;
    app.n_ports = 1;
    range.first = 5432;
    range.last = 5432;
    for (size_t i = 0; i < APPS; i++)
        apps[i] = &app;
    list.apps = apps;
    list.n_apps = APPS;
    buf_init(&b, 2 * RPC_MESSAGE_MAX);
    assert_int_equal(rpc_message_pack(&list.base, &b), 0);
    assert_int_equal(rpc_message_next(buf_slice(&b), RPC_MESSAGE_MAX, &body), 0);
    assert_int_equal(
        rpc_message_unpack(&stile__access__v1__list_apps_response__descriptor, body, &message), 0);
    assert_int_equal(((Stile__Access__V1__ListAppsResponse *)message)->n_apps, APPS);
    rpc_message_free(message);
    buf_release(&b);
    mem_free(apps);
}

static void failing_memory_is_an_error(UNUSED void **state)
{
    static const uint8_t bytes[] = {0x0a, 2, 'a', 'b'};
    for (uint64_t n = 1; n < 100; n++) {
        ProtobufCMessage *message = NULL;
        mem_fail_at(n);
        int r = rpc_message_unpack(&stile__vnet__v1__ping_request__descriptor,
                                   slice_of(bytes, sizeof(bytes)), &message);
        mem_fail_at(0);
        if (r == 0) {
            assert_true(n > 1);
            rpc_message_free(message);
            return;
        }
        assert_null(message);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_was),
        cmocka_unit_test(frames_are_taken_apart),
        cmocka_unit_test(a_buffer_without_room_is_left_as_it_was),
        cmocka_unit_test(broken_messages_are_refused),
        cmocka_unit_test(a_message_that_grows_out_of_proportion_is_refused),
        cmocka_unit_test(ordinary_messages_of_4_mib_are_not_out_of_proportion),
        cmocka_unit_test(failing_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("rpc_message", tests, NULL, NULL);
}
