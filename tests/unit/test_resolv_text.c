/* Our text of /etc/resolv.conf: what it keeps, how it is known, and how it is taken out again. */
#include "testing.h"

#include <string.h>

#include "base/str.h"
#include "net/resolv_conf.h"
#include "netcfg/ops.h"
#include "netcfg/resolv_text.h"

static struct object_dns servers(void)
{
    struct object_dns dns = {.server_count = 2};
    assert_int_equal(ip_addr_parse("100.64.0.2", &dns.servers[0]), 0);
    assert_int_equal(ip_addr_parse("fd00:64::2", &dns.servers[1]), 0);
    return dns;
}

static void make(const char *before, struct buf *out)
{
    struct object_dns dns = servers();
    buf_init(out, RESOLV_TEXT_MAX);
    assert_int_equal(resolv_text_make(&dns, slice_str(before), out), 0);
}

#define USUAL                                                                                      \
    "# by dhclient\ndomain lan\nsearch lan corp.example\n\nnameserver 192.168.1.1\n"               \
    "options edns0 rotate\nsortlist 10.0.0.0\nfamily inet4\n"

static void it_asks_us_alone_and_keeps_search_and_options(void **state)
{
    (void)state;
    struct object_dns dns = servers();
    struct resolvers r = {0};
    CLEANUP(buf_release) struct buf text;
    make(USUAL, &text);
    resolvers_read(buf_slice(&text), &r);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.addrs[0], "100.64.0.2");
    assert_string_equal(r.addrs[1], "fd00:64::2");
    assert_true(resolv_text_asks_us(buf_slice(&text), &dns));
    const char *s = buf_cstr(&text);
    assert_non_null(strstr(s, "\ndomain lan\nsearch lan corp.example\n"));
    assert_non_null(strstr(s, "\noptions edns0 rotate\nsortlist 10.0.0.0\n"));
    assert_null(strstr(s, "\nfamily"));
}

static void taken_out_it_is_what_was_before(void **state)
{
    (void)state;
    static const char *const before[] = {
        "", "\n", USUAL, "nameserver 1.2.3.4\n", "#stile# nested\n#stile: nested\n", "\r\n\t\n"};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        CLEANUP(buf_release) struct buf text;
        CLEANUP(buf_release) struct buf rest;
        make(before[i], &text);
        buf_init(&rest, RESOLV_TEXT_MAX);
        assert_true(resolv_text_is_ours(buf_slice(&text)));
        assert_int_equal(resolv_text_without_ours(buf_slice(&text), NULL, &rest), 0);
        assert_string_equal(buf_cstr(&rest), before[i]);
    }
}

static void any_change_makes_it_not_ours(void **state)
{
    (void)state;
    struct object_dns dns = servers();
    CLEANUP(buf_release) struct buf text;
    make(USUAL, &text);
    for (size_t i = 0; i < buf_len(&text); i++) {
        text.data[text.start + i] ^= 1;
        assert_false(resolv_text_is_ours(buf_slice(&text)));
        assert_true(resolv_text_has_ours(buf_slice(&text), &dns));
        text.data[text.start + i] ^= 1;
        assert_false(resolv_text_is_ours(slice_first(buf_slice(&text), i)));
    }
    assert_int_equal(buf_put_str(&text, "options debug\n"), 0);
    assert_false(resolv_text_is_ours(buf_slice(&text)));
}

static void an_edit_of_ours_keeps_the_edit_and_loses_our_lines(void **state)
{
    (void)state;
    struct object_dns dns = servers();
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf rest;
    make("nameserver 192.168.1.1\nsearch lan\n", &text);
    buf_init(&rest, RESOLV_TEXT_MAX);
    assert_int_equal(buf_put_str(&text, "nameserver 9.9.9.9\nnameserver FD00:64:0::2\n"), 0);
    assert_true(resolv_text_has_ours(buf_slice(&text), &dns));
    assert_true(resolv_text_asks_us(buf_slice(&text), &dns));
    assert_int_equal(resolv_text_without_ours(buf_slice(&text), &dns, &rest), 0);
    assert_string_equal(buf_cstr(&rest),
                        "nameserver 192.168.1.1\nsearch lan\nnameserver 9.9.9.9\n");
}

static void a_text_of_someone_elses_has_nothing_of_ours(void **state)
{
    (void)state;
    struct object_dns dns = servers();
    struct slice text = slice_str("# stile\nnameserver 100.64.0.20\nsearch 100.64.0.2\n");
    assert_false(resolv_text_has_ours(text, &dns));
    assert_false(resolv_text_asks_us(text, &dns));
    assert_false(
        resolv_text_asks_us(slice_str("nameserver 1.1.1.1\nnameserver 100.64.0.2\n"), &dns));
    assert_true(
        resolv_text_has_ours(slice_str("nameserver 1.1.1.1\nnameserver 100.64.0.2\n"), &dns));
}

static void a_cut_write_is_known_at_every_byte(void **state)
{
    (void)state;
    static const char from[] = "nameserver 192.168.1.1\nsearch lan\n",
                      to[] = "#stile: 12\nnameserver 1\n";
    for (int turn = 0; turn < 2; turn++) {
        const char *a = turn == 0 ? from : to, *b = turn == 0 ? to : from;
        for (size_t n = 0; n <= strlen(b); n++) {
            char text[128];
            const char *rest = n < strlen(a) ? a + n : "";
            assert_int_equal(str_format(text, sizeof(text), "%.*s%s", (int)n, b, rest), 0);
            assert_true(resolv_text_is_torn(slice_str(text), slice_str(a), slice_str(b)));
        }
    }
    assert_false(resolv_text_is_torn(slice_str("nameserver 192.168.1.9\nsearch lan\n"),
                                     slice_str(from), slice_str(to)));
    assert_false(resolv_text_is_torn(slice_str(""), slice_str(from), slice_str(to)));
}

static void states_come_back_from_their_bytes(void **state)
{
    (void)state;
    static const struct {
        enum resolv_kind kind;
        uint32_t mode;
        const char *bytes;
    } rows[] = {{RESOLV_ABSENT, 0, ""},
                {RESOLV_FILE, 0640, "nameserver 1.2.3.4"},
                {RESOLV_FILE, 0, ""},
                {RESOLV_LINK, 0, "../run/systemd/resolve/stub-resolv.conf"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct resolv_state s, again;
        CLEANUP(buf_release) struct buf bytes;
        resolv_state_init(&s);
        buf_init(&bytes, OBJECT_UNDO_MAX);
        s.kind = rows[i].kind;
        s.mode = rows[i].mode;
        s.gid = rows[i].kind == RESOLV_FILE ? 7 : 0;
        assert_int_equal(buf_put_str(&s.bytes, rows[i].bytes), 0);
        assert_int_equal(resolv_state_encode(&s, &bytes), 0);
        assert_int_equal(resolv_state_decode(buf_slice(&bytes), &again), 0);
        assert_true(resolv_state_eq(&s, &again));
        again.kind = again.kind == RESOLV_FILE ? RESOLV_ABSENT : RESOLV_FILE;
        assert_false(resolv_state_eq(&s, &again));
        resolv_state_release(&again);
        for (size_t n = 0; n < buf_len(&bytes); n++)
            assert_int_equal(resolv_state_decode(slice_first(buf_slice(&bytes), n), &again),
                             ERR_TRUNCATED);
        assert_int_equal(buf_put_u8(&bytes, 0), 0);
        assert_int_equal(resolv_state_decode(buf_slice(&bytes), &again), ERR_FORMAT);
        bytes.data[bytes.start] = 2;
        assert_int_equal(resolv_state_decode(buf_slice(&bytes), &again), ERR_UNSUPPORTED);
        resolv_state_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_asks_us_alone_and_keeps_search_and_options),
        cmocka_unit_test(taken_out_it_is_what_was_before),
        cmocka_unit_test(any_change_makes_it_not_ours),
        cmocka_unit_test(an_edit_of_ours_keeps_the_edit_and_loses_our_lines),
        cmocka_unit_test(a_text_of_someone_elses_has_nothing_of_ours),
        cmocka_unit_test(a_cut_write_is_known_at_every_byte),
        cmocka_unit_test(states_come_back_from_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
