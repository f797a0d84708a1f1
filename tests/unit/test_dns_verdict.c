#include "made_up_facts.h"

#include "diag/dns_verdict.h"

static int setup(void **state)
{
    static struct made_up m;
    made_up_init(&m);
    *state = &m;
    return 0;
}

static struct dns_verdict judged(const struct made_up *m, size_t family)
{
    struct dns_verdict v;
    dns_judge(&m->f, &m->probe, family, &v);
    return v;
}

static void host_says(struct made_up *m, enum dns_outcome outcome, const char *got)
{
    for (size_t i = 0; i < DNS_FAMILIES; i++) {
        m->probe.host[i] = outcome;
        m->probe.host_got[i] = got != NULL ? made_up_addr(got) : (struct ip_addr){0};
    }
}

static void check(const struct made_up *m, enum dns_verdict_kind kind, const char *who,
                  const char *why)
{
    struct dns_verdict v = judged(m, 0);
    assert_string_equal(dns_verdict_name(v.kind), dns_verdict_name(kind));
    if (strstr(v.who, who) == NULL)
        assert_string_equal(v.who, who);
    if (strstr(v.why, why) == NULL)
        assert_string_equal(v.why, why);
    assert_true(v.remedy[0] != '\0');
}

static void our_own_answer_is_ok_and_an_unasked_family_is_nothing(void **state)
{
    struct made_up *m = *state;
    assert_int_equal(judged(m, 0).kind, VERDICT_OK);
    m->probe.host[1] = DNS_NOT_ASKED;
    assert_int_equal(judged(m, 1).kind, VERDICT_NONE);
}

static void another_link_with_the_same_or_a_longer_domain_hijacks(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_NO_NAME, NULL);
    made_up_domain(m, "wg0", "corp.example");
    check(m, VERDICT_HIJACKED, "wg0 (corp.example in systemd-resolved)", "corp.example");
    /* A shorter one doesn't: the longest match is asked. */
    m->f.host.resolver.domain_count--;
    made_up_domain(m, "wg0", "example");
    made_up_domain(m, "eth0", "");
    made_up_domain(m, "wg1", "badcorp.example");
    check(m, VERDICT_NOT_ASKED, "", "answered otherwise");
}

static void a_longer_zone_is_hijacked_by_the_domain_it_lies_in(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_FOREIGN, "192.0.2.7");
    set_text(m->f.host.resolver.domains[0].domain, "other.example");
    made_up_domain(m, "tailscale0", "example");
    check(m, VERDICT_HIJACKED, "the interface tailscale0 (example in systemd-resolved)", "");
}

static void a_link_without_the_domain_or_a_server_is_not_asked(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_NO_NAME, NULL);
    m->f.host.resolver.link_count = 0;
    check(m, VERDICT_NOT_ASKED, "", "no DNS server for the interface stile0");
    m->f.host.resolver.domain_count = 0;
    made_up_domain(m, "eth0", "");
    check(m, VERDICT_NOT_ASKED, "", "the interface lacks the domain");
}

static void without_resolved_the_order_in_resolv_conf_decides(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_NO_NAME, NULL);
    m->f.host.resolver.resolved_err = ERR_NOTFOUND;
    made_up_resolver(m, "files dns", "10.0.0.1");
    check(m, VERDICT_NOT_ASKED, "", "/etc/resolv.conf names 10.0.0.1, not stile's");
    assert_true(resolvers_add(&m->f.host.resolver.resolvers, SLICE_LIT("100.64.0.2")));
    check(m, VERDICT_NOT_ASKED, "", "another resolver, 10.0.0.1, stands before stile's");
    m->f.host.resolver.resolv_conf = SLICE_LIT("#stile: checksum 0\nnameserver 10.0.0.1\n");
    check(m, VERDICT_NOT_ASKED, "", "another resolver, 10.0.0.1");
    m->f.host.resolver.resolvers.count = 1;
    check(m, VERDICT_NOT_ASKED, "", "names the DNS server of another session, 10.0.0.1");
    m->f.host.resolver.resolvers.count = 2;
    /* resolved runs, but nobody asks it. */
    m->f.host.resolver.resolved_err = 0;
    check(m, VERDICT_NOT_ASKED, "", "another resolver, 10.0.0.1");
}

static void the_resolver_that_said_the_same_is_the_hijacker(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_FOREIGN, "192.0.2.7");
    m->f.host.resolver.resolved_err = ERR_NOTFOUND;
    made_up_resolver(m, "files dns", "10.0.0.1");
    assert_true(resolvers_add(&m->f.host.resolver.resolvers, SLICE_LIT("10.0.0.2")));
    m->probe.other_count = 2;
    m->probe.others[0] = (struct dns_other){.server = "10.0.0.1", .outcome = DNS_NO_NAME};
    m->probe.others[1] = (struct dns_other){
        .server = "10.0.0.2", .outcome = DNS_FOREIGN, .got = made_up_addr("192.0.2.7")};
    check(m, VERDICT_HIJACKED, "the resolver 10.0.0.2 of /etc/resolv.conf (192.0.2.7)", "");
    m->probe.others[1].got = made_up_addr("192.0.2.8");
    check(m, VERDICT_HIJACKED, "someone who answers 192.0.2.7", "");
}

static void the_c_library_may_ask_no_dns_or_multicast_first(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_NO_NAME, NULL);
    made_up_resolver(m, "files myhostname", "127.0.0.53");
    check(m, VERDICT_NOT_ASKED, "", "has no dns");
    made_up_resolver(m, "files mdns4_minimal [NOTFOUND=return] dns", "127.0.0.53");
    set_text(m->probe.zone, "corp.local");
    check(m, VERDICT_HIJACKED, "multicast DNS", ".local");
    made_up_resolver(m, "files dnsx", "127.0.0.53"); /* another word */
    check(m, VERDICT_NOT_ASKED, "", "has no dns");
}

static void silence_and_errors_are_told_apart_and_say_whether_we_answer(void **state)
{
    struct made_up *m = *state;
    host_says(m, DNS_SILENT, NULL);
    check(m, VERDICT_TIMEOUT, "", "though stile's DNS server answers");
    made_up_domain(m, "wg0", "corp.example"); /* whose servers are silent */
    check(m, VERDICT_HIJACKED, "wg0 (corp.example in systemd-resolved)", "");
    m->f.host.resolver.domain_count--;
    m->probe.direct[0][DNS_UDP] = m->probe.direct[0][DNS_TCP] = DNS_SILENT;
    check(m, VERDICT_TIMEOUT, "", "doesn't answer either");
    host_says(m, DNS_FAILED, NULL);
    check(m, VERDICT_FAILED, "", "gets an error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, setup)
        TEST(our_own_answer_is_ok_and_an_unasked_family_is_nothing),
        TEST(another_link_with_the_same_or_a_longer_domain_hijacks),
        TEST(a_longer_zone_is_hijacked_by_the_domain_it_lies_in),
        TEST(a_link_without_the_domain_or_a_server_is_not_asked),
        TEST(without_resolved_the_order_in_resolv_conf_decides),
        TEST(the_resolver_that_said_the_same_is_the_hijacker),
        TEST(the_c_library_may_ask_no_dns_or_multicast_first),
        TEST(silence_and_errors_are_told_apart_and_say_whether_we_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
