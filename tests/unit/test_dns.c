#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "net/dns.h"

/* A question for "Pg.Demo." of this type, optionally with OPT of this size. */
static struct slice make_query(uint8_t *memory, size_t cap, uint16_t type, uint16_t edns_size)
{
    struct wr w = wr_init(memory, cap);

    wr_u16(&w, 0x1234);
    wr_u16(&w, 0x0100);
    wr_u16(&w, 1);
    wr_u32(&w, 0);
    wr_u16(&w, edns_size > 0);
    wr_bytes(&w, SLICE_LIT("\002Pg\004Demo\000"));
    wr_u16(&w, type);
    wr_u16(&w, DNS_CLASS_IN);
    if (edns_size > 0) {
        wr_u8(&w, 0);
        wr_u16(&w, DNS_TYPE_OPT);
        wr_u16(&w, edns_size);
        wr_u32(&w, 0x8000);
        wr_u16(&w, 0);
    }
    assert_int_equal(wr_end(&w), 0);
    return slice_of(memory, wr_len(&w));
}

static void test_question_is_parsed_with_edns(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct dns_query q;
    struct slice m = make_query(memory, sizeof(memory), DNS_TYPE_AAAA, 4096);

    assert_int_equal(dns_parse_query(m, &q), 0);
    assert_int_equal(q.id, 0x1234);
    assert_true(q.recursion_desired);
    assert_string_equal(q.name.text, "pg.demo");
    assert_int_equal(q.type, DNS_TYPE_AAAA);
    assert_true(q.edns && q.edns_do);
    assert_int_equal(q.udp_size, 4096);
    assert_int_equal(q.question.len, 13);

    m = make_query(memory, sizeof(memory), DNS_TYPE_A, 100);
    assert_int_equal(dns_parse_query(m, &q), 0);
    assert_int_equal(q.udp_size, DNS_UDP_SIZE); /* less than 512 counts as 512 */
}

static void test_every_cut_question_is_refused(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct dns_query q;
    struct slice m = make_query(memory, sizeof(memory), DNS_TYPE_A, 4096);

    for (size_t len = 0; len < m.len; len++) {
        int err = dns_parse_query(slice_first(m, len), &q);
        assert_int_equal(err, len < DNS_HEADER_SIZE ? ERR_TRUNCATED : ERR_FORMAT);
    }
    memory[m.len] = 0;
    assert_int_equal(dns_parse_query(slice_of(memory, m.len + 1), &q), ERR_FORMAT);
}

static void test_answers_other_opcodes_and_two_questions_are_refused(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct dns_query q;
    struct slice m = make_query(memory, sizeof(memory), DNS_TYPE_A, 0);

    memory[2] = 0x81;
    assert_int_equal(dns_parse_query(m, &q), ERR_PROTOCOL);
    memory[2] = 0x29; /* UPDATE */
    assert_int_equal(dns_parse_query(m, &q), ERR_UNSUPPORTED);
    assert_int_equal(q.id, 0x1234);
    memory[2] = 0x01;
    memory[5] = 2;
    assert_int_equal(dns_parse_query(m, &q), ERR_FORMAT);
}

static void test_address_answer_is_exact(void **state)
{
    (void)state;
    uint8_t memory[128];
    uint8_t out[128];
    struct wr w = wr_init(out, sizeof(out));
    struct dns_query q;
    struct ip_addr a;

    assert_int_equal(dns_parse_query(make_query(memory, sizeof(memory), DNS_TYPE_A, 0), &q), 0);
    assert_int_equal(ip_addr_parse("100.68.51.151", &a), 0);
    assert_int_equal(
        dns_write_answer(&w, &q,
                         &(struct dns_answer){.authoritative = true, .ttl = 10, .address = &a}),
        0);
    static const uint8_t want[] = {
        0x12, 0x34, 0x85, 0x80, 0,   1,   0,   1,   0, 0,  0, 0,    /* AA, RD, RA */
        2,    'P',  'g',  4,    'D', 'e', 'm', 'o', 0, 0,  1, 0, 1, /* the client's own case */
        0xc0, 12,   0,    1,    0,   1,   0,   0,   0, 10, 0, 4, 100, 68, 51, 151};
    assert_int_equal(wr_len(&w), sizeof(want));
    assert_memory_equal(out, want, sizeof(want));
}

static void test_answer_that_does_not_fit_says_so(void **state)
{
    (void)state;
    uint8_t memory[128];
    uint8_t out[40];
    struct wr w = wr_init(out, sizeof(out));
    struct dns_query q;
    struct ip_addr a;

    assert_int_equal(dns_parse_query(make_query(memory, sizeof(memory), DNS_TYPE_A, 0), &q), 0);
    assert_int_equal(ip_addr_parse("::1", &a), 0);
    assert_int_equal(dns_write_answer(&w, &q, &(struct dns_answer){.address = &a}), ERR_TOOBIG);
}

static void test_nodata_carries_soa_and_opt(void **state)
{
    (void)state;
    uint8_t memory[128];
    uint8_t out[512];
    struct wr w = wr_init(out, sizeof(out));
    struct dns_query q;
    struct name zone;

    assert_int_equal(name_parse("demo", &zone), 0);
    assert_int_equal(dns_parse_query(make_query(memory, sizeof(memory), 16, 1232), &q), 0);
    assert_int_equal(
        dns_write_answer(&w, &q,
                         &(struct dns_answer){.authoritative = true, .ttl = 10, .soa = &zone}),
        0);
    static const uint8_t soa[] = {4, 'd', 'e', 'm', 'o', 0, 0, 6, 0, 1, 0, 0, 0, 10, 0, 43};
    assert_memory_equal(out + 25, soa, sizeof(soa));
    static const uint8_t opt[] = {0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0};
    assert_memory_equal(out + wr_len(&w) - sizeof(opt), opt, sizeof(opt));
    assert_int_equal(wr_len(&w), 25 + sizeof(soa) + 43 + sizeof(opt));
    assert_int_equal(out[9], 1);  /* authority */
    assert_int_equal(out[11], 1); /* additional */
}

static void test_bad_version_uses_the_extended_rcode(void **state)
{
    (void)state;
    uint8_t memory[128];
    uint8_t out[128];
    struct wr w = wr_init(out, sizeof(out));
    struct dns_query q;

    assert_int_equal(dns_parse_query(make_query(memory, sizeof(memory), 1, 1232), &q), 0);
    assert_int_equal(dns_write_answer(&w, &q, &(struct dns_answer){.rcode = DNS_BADVERS}), 0);
    assert_int_equal(out[3] & 0xf, 0);
    assert_int_equal(out[wr_len(&w) - 6], 1);
}

static void test_only_the_same_question_with_the_same_case_is_an_answer(void **state)
{
    (void)state;
    uint8_t asked[128];
    uint8_t answer[128];
    struct dns_query q;
    struct slice m = make_query(asked, sizeof(asked), DNS_TYPE_A, 0);

    assert_int_equal(dns_parse_query(m, &q), 0);
    memcpy(answer, asked, m.len);
    struct slice a = slice_of(answer, m.len);
    assert_false(dns_is_answer(a, q.id, q.question)); /* a question is no answer */
    answer[2] |= 0x80;
    assert_true(dns_is_answer(a, q.id, q.question));
    assert_false(dns_is_answer(a, q.id + 1, q.question));
    answer[13] ^= 0x20;
    assert_false(dns_is_answer(a, q.id, q.question));
    assert_false(dns_is_answer(slice_first(a, m.len - 1), q.id, q.question));
}

static void test_random_case_changes_letters_of_the_name_only(void **state)
{
    (void)state;
    uint8_t question[] = "\002Pg\004d-1o\000\000\101\000\001";
    uint8_t random[32];

    memset(random, 0xff, sizeof(random));
    dns_randomise_case(question, sizeof(question) - 1, random);
    assert_memory_equal(question, "\002pG\004D-1O\000\000\101\000\001", sizeof(question) - 1);
}

static void test_truncated_answer_keeps_the_question(void **state)
{
    (void)state;
    uint8_t asked[128];
    uint8_t out[64];
    struct wr w = wr_init(out, sizeof(out));
    struct dns_query q;
    static const uint8_t answer[600] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 40};

    assert_int_equal(dns_parse_query(make_query(asked, sizeof(asked), DNS_TYPE_A, 0), &q), 0);
    assert_int_equal(dns_write_truncated(&w, &q, slice_of(answer, sizeof(answer))), 0);
    assert_true(dns_is_truncated(slice_of(out, wr_len(&w))));
    assert_true(dns_is_answer(slice_of(out, wr_len(&w)), 0x1234, q.question));
    assert_int_equal(wr_len(&w), DNS_HEADER_SIZE + q.question.len);
}

static void test_reverse_names_give_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *address;
    } good[] = {
        {"151.51.68.100.in-addr.arpa", "100.68.51.151"},
        {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.2.3.4.c.e.7.6.0.6.d.f.ip6.arpa",
         "fd60:67ec:4325::1"},
    };
    static const char *const bad[] = {"in-addr.arpa",
                                      "68.100.in-addr.arpa",
                                      "256.1.1.1.in-addr.arpa",
                                      "1.1.1.1.1.in-addr.arpa",
                                      "x.1.1.1.in-addr.arpa",
                                      "1.ip6.arpa",
                                      "pg.demo"};
    struct name n;
    struct ip_addr got;
    char text[IP_ADDR_TEXT_SIZE];

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(name_parse(good[i].name, &n), 0);
        assert_int_equal(dns_parse_ptr(&n, &got), 0);
        ip_addr_format(&got, text);
        assert_string_equal(text, good[i].address);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(name_parse(bad[i], &n), 0);
        assert_int_equal(dns_parse_ptr(&n, &got), ERR_NOTFOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_is_parsed_with_edns),
        cmocka_unit_test(test_every_cut_question_is_refused),
        cmocka_unit_test(test_answers_other_opcodes_and_two_questions_are_refused),
        cmocka_unit_test(test_address_answer_is_exact),
        cmocka_unit_test(test_answer_that_does_not_fit_says_so),
        cmocka_unit_test(test_nodata_carries_soa_and_opt),
        cmocka_unit_test(test_bad_version_uses_the_extended_rcode),
        cmocka_unit_test(test_only_the_same_question_with_the_same_case_is_an_answer),
        cmocka_unit_test(test_random_case_changes_letters_of_the_name_only),
        cmocka_unit_test(test_truncated_answer_keeps_the_question),
        cmocka_unit_test(test_reverse_names_give_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
