#include "testing.h"

#include "base/mem.h"
#include "base/str.h"
#include "diag/redact.h"

static int setup(void **state)
{
    struct redactor *r;
    assert_int_equal(redactor_new(&r), 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    redactor_free(*state);
    return 0;
}

static void check(struct redactor *r, const char *text, const char *expected)
{
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(redact_text(r, slice_str(text), &out), 0);
    assert_string_equal(buf_cstr(&out), expected);
    buf_release(&out);
}

static void the_same_name_is_always_the_same_token(void **state)
{
    struct redactor *r = *state;
    check(r, "pg.corp.example and db.corp.example", "name-1 and name-2");
    check(r, "PG.Corp.Example. It is", "name-1. It is");
    check(r, "~corp.example *.corp.example", "~name-3 *.name-3");
}

static void the_same_address_is_always_the_same_token_however_it_is_written(void **state)
{
    struct redactor *r = *state;
    check(r, "10.1.2.3 10.1.2.4 10.1.2.3.", "address-1 address-2 address-1.");
    check(r, "100.64.0.0/10, 10.1.2.3:443", "address-3/10, address-1:443");
    check(r, "FD00:0:0::1 [fd00::1]:80 fd00::1/48 fd00::1, fe80::2%eth0",
          "address-4 [address-4]:80 address-4/48 address-4, address-5%eth0");
    check(r, "dns=::ffff:10.9.9.9 010.001.002.003 999.1.1.1", "dns=address-6 address-7 address-8");
}

static void names_that_were_named_go_wherever_they_stand(void **state)
{
    struct redactor *r = *state;
    assert_int_equal(redact_name(r, "alice"), 0);
    assert_int_equal(redact_name(r, "Box"), 0);
    assert_int_equal(redact_name(r, "corp"), 0);
    check(r, "/home/alice/.config alice@box ALICE's stile-alice_x",
          "/home/name-1/.config name-1@name-2 name-1's stile-name-1_x");
    check(r, "net.ipv4.alice.x alice.service", "net.ipv4.name-1.x name-1.service");
    check(r, "--profile corp (corp) malice boxes", "--profile name-3 (name-3) malice boxes");
}

static void what_tells_of_nobody_is_kept(void **state)
{
    struct redactor *r = *state;
    static const char *const texts[] = {
        "127.0.0.53 ::1 :: 0.0.0.0/0 ::/0 224.0.0.251 ff02::fb",
        "/etc/resolv.conf, /etc/nsswitch.conf. systemd-resolved.service",
        "sysctl net.ipv6.conf.all.disable_ipv6 kernel.unprivileged_userns_clone",
        "Linux 6.1.0-18-amd64, stile 0.1.0, libsystemd.so.0, e.g. i.e. 1.2.3.4.5",
        "at 11:15:00 and 2026-11-22T08:00:00.000000Z; std::vector; a:b",
        "stile run -- CMD; root@localhost; (x) ... -- .. . : %",
    };
    assert_int_equal(redact_name(r, "root"), 0);
    assert_int_equal(redact_name(r, ""), 0);
    assert_int_equal(redact_name(r, "a"), 0); /* a profile; and a word */
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check(r, texts[i], texts[i]);
}

static void reverse_names_hardware_addresses_and_odd_ones_go_too(void **state)
{
    struct redactor *r = *state;
    check(r, "4.3.2.1.in-addr.arpa", "name-1");
    check(r, "in-addr.arpa", "in-addr.arpa");
    check(r, "link/ether 02:42:ac:11:00:02", "link/ether hardware-1");
    check(r,
          "b\xc3\xbc"
          "cher.example _ldap._tcp.corp.example",
          "name-2 name-3");
    check(r, "https://git.corp.example:8443/x?h=pg.corp.example&ip=10.2.2.2",
          "https://name-4:8443/x?h=name-5&ip=address-1");
    check(r, "search a.corp.example\nnameserver 10.2.2.2\n",
          "search name-6\nnameserver address-1\n");
}

static void a_name_longer_than_any_is_not_shown(void **state)
{
    struct redactor *r = *state;
    char text[3000];
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = i % 9 == 8 ? '.' : 'a';
    text[sizeof(text) - 1] = '\0';
    check(r, text, "name-1");
}

static void what_cannot_be_redacted_is_an_error(void **state)
{
    struct redactor *r = *state;
    struct buf out;
    char name[32];
    buf_init(&out, 65536);
    for (unsigned i = 0; i < REDACT_TOKENS_MAX; i++) {
        (void)str_format(name, sizeof(name), "n%u.example", i);
        buf_clear(&out);
        assert_int_equal(redact_text(r, slice_str(name), &out), 0);
    }
    assert_int_equal(redact_text(r, SLICE_LIT("one.more.example"), &out), ERR_LIMIT);
    buf_clear(&out);
    assert_int_equal(redact_text(r, SLICE_LIT("n7.example"), &out), 0);
    assert_string_equal(buf_cstr(&out), "name-8");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(the_same_name_is_always_the_same_token),
        TEST(the_same_address_is_always_the_same_token_however_it_is_written),
        TEST(names_that_were_named_go_wherever_they_stand),
        TEST(what_tells_of_nobody_is_kept),
        TEST(reverse_names_hardware_addresses_and_odd_ones_go_too),
        TEST(a_name_longer_than_any_is_not_shown),
        TEST(what_cannot_be_redacted_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
