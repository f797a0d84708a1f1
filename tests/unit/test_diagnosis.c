/* Every check on facts that are made up, and what reports say of them. */
#include "made_up_facts.h"

#include "diag/report.h"
#include "diag/seen.h"

struct world {
    struct made_up m;
    struct diagnosis d;
};

static int setup(void **state)
{
    static struct world w;
    made_up_init(&w.m);
    memset(&w.d, 0, sizeof(w.d));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_release(&w->d.findings[i]);
    return 0;
}

static void judge(struct world *w)
{
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_release(&w->d.findings[i]);
    w->d.facts = w->m.f;
    diagnosis_judge(&w->d);
}

static const struct finding *found(const struct world *w, const char *id)
{
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        for (size_t j = 0; j < w->d.findings[i].count; j++)
            if (str_eq(w->d.findings[i].items[j].id, id))
                return &w->d.findings[i].items[j];
    return NULL;
}

/* The one problem there is: its id, and a text in it. */
static void check_problem(struct world *w, const char *id, const char *text)
{
    judge(w);
    const struct finding *f = found(w, id);
    if (f == NULL) {
        fail_msg("no finding %s", id);
        return;
    }
    assert_int_equal(f->severity, SEVERITY_PROBLEM);
    assert_int_equal(diagnosis_count(&w->d, SEVERITY_PROBLEM), 1);
    if (strstr(f->title, text) == NULL)
        assert_string_equal(f->title, text);
    assert_true(f->remedy[0] != '\0');
}

static void check_notice(struct world *w, const char *id, const char *text)
{
    judge(w);
    const struct finding *f = found(w, id);
    if (f == NULL) {
        fail_msg("no finding %s", id);
        return;
    }
    assert_int_equal(f->severity, SEVERITY_NOTICE);
    assert_int_equal(diagnosis_count(&w->d, SEVERITY_PROBLEM), 0);
    if (strstr(f->title, text) == NULL)
        assert_string_equal(f->title, text);
    assert_true(f->remedy[0] != '\0');
}

static void all_is_well(void **state)
{
    struct world *w = *state;
    judge(w);
    assert_int_equal(diagnosis_count(&w->d, SEVERITY_PROBLEM), 0);
    assert_int_equal(diagnosis_count(&w->d, SEVERITY_NOTICE), 0);
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        assert_true(w->d.findings[i].count > 0); /* each says that it has looked */
}

static void the_service_is_missed_only_by_those_who_need_it(void **state)
{
    struct world *w = *state;
    w->m.f.broker.err = ERR_NOTFOUND;
    set_text(w->m.f.broker.diag.text, "Start it with: stile broker");
    check_problem(w, "service-absent", "can't be reached");
    w->m.f.session_count = w->m.f.probe_count = 0;
    w->m.f.host.view.link_count = w->m.f.host.view.route_count = 0;
    w->m.f.host.resolver.domain_count = 0;
    check_notice(w, "service-absent", "can't be reached");
    w->m.f.broker.err = ERR_DENIED;
    check_notice(w, "service-not-allowed", "may not use");
    check_notice(w, "no-session", "couldn't be checked");
}

static void versions_and_sessions_that_do_not_work(void **state)
{
    struct world *w = *state;
    set_text(w->m.session.version, "0.0.1");
    check_problem(w, "version-differs", "agent is of version 0.0.1");
    set_text(w->m.session.version, STILE_VERSION);
    set_text(w->m.f.broker.status.version, "99.0");
    check_problem(w, "version-differs", "service is of version 99.0");
    set_text(w->m.f.broker.status.version, STILE_VERSION);
    set_text(w->m.session.state, "waiting for a log-in");
    check_notice(w, "session-not-up", "waiting for a log-in");
    set_text(w->m.session.state, "starting again");
    check_problem(w, "session-not-up", "starting again");
    w->m.session.err = ERR_TIMEOUT;
    w->m.f.broker.status.session_count = 1;
    set_text(w->m.f.broker.status.sessions[0].interface_name, "stile0");
    w->m.f.probe_count = 0;
    check_problem(w, "session-silent", "pid 4711");
}

static void what_is_missing_of_the_interface(void **state)
{
    struct world *w = *state;
    struct host_view *v = &w->m.f.host.view;
    v->route_count = 1;
    check_problem(w, "route-missing", "fd00:1:2::/48 over stile0");
    w->m.session.no_ipv6 = true; /* nothing is wanted of a family that is off */
    judge(w);
    assert_null(found(w, "route-missing"));
    w->m.addresses[0].addr = made_up_addr("192.0.2.1");
    check_problem(w, "address-missing", "100.64.0.1");
    w->m.addresses[0].addr = made_up_addr("100.64.0.1");
    w->m.links[0].up = false;
    check_problem(w, "link-down", "stile0");
    v->link_count = v->route_count = v->address_count = 0;
    check_problem(w, "link-missing", "stile0");
}

static void conflicts_in_both_families_name_the_owner(void **state)
{
    struct world *w = *state;
    uint32_t other = made_up_link(&w->m, "wt0", "wireguard")->index;
    struct host_route *r = made_up_route(&w->m, other, "100.100.0.0/16");
    judge(w);
    check_problem(w, "range-conflict", "100.64.0.0/10 collides with");
    assert_non_null(strstr(found(w, "range-conflict")->title, "wt0"));
    assert_int_equal(found(w, "other-vpn")->severity, SEVERITY_NOTICE);
    r->dst = made_up_prefix("fd00:1:2:3::/64");
    check_problem(w, "range-conflict", "fd00:1:2::/48 collides with");
    r->dst = made_up_prefix("0.0.0.0/1");
    judge(w);
    assert_null(found(w, "range-conflict"));
    /* A resolver in the range; but our own server is none. */
    made_up_resolver(&w->m, "files resolve", "100.64.9.9");
    check_problem(w, "range-conflict", "100.64.0.0/10");
    made_up_resolver(&w->m, "files dns", "100.64.0.2");
    judge(w);
    assert_null(found(w, "range-conflict"));
}

static void names_that_go_astray(void **state)
{
    struct world *w = *state;
    struct dns_probe *p = &w->m.probe;
    made_up_domain(&w->m, "wg0", "corp.example");
    check_notice(w, "dns-contested", "asked of the interface wg0");
    p->host[0] = DNS_NO_NAME;
    check_problem(w, "dns-hijacked", "Names in corp.example (A) are hijacked by the interface wg0");
    p->host[1] = DNS_NO_NAME;
    check_problem(w, "dns-hijacked", "Names in corp.example are hijacked"); /* told once for both */
    p->host[0] = p->host[1] = DNS_SILENT;
    w->m.f.host.resolver.domain_count--;
    check_problem(w, "dns-timeout", "gets no answer in time");
    p->host[0] = p->host[1] = DNS_OURS;
    p->direct[1][DNS_TCP] = DNS_SILENT;
    check_problem(w, "dns-server-silent", "fd00:1:2::2, doesn't answer by TCP over IPv6");
}

static void leftovers_are_those_of_nobody(void **state)
{
    struct world *w = *state;
    made_up_link(&w->m, "stile1", "tun");
    made_up_link(&w->m, "stile2", "bridge"); /* someone's own */
    check_problem(w, "leftover-link", "stile1");
    w->m.f.broker.status.other_sessions = 1; /* it may be theirs */
    judge(w);
    assert_null(found(w, "leftover-link"));
    w->m.f.broker.status.other_sessions = 0;
    w->m.f.broker.status.session_count = 1;
    set_text(w->m.f.broker.status.sessions[0].interface_name, "stile1");
    judge(w);
    assert_null(found(w, "leftover-link"));
    uint32_t eth = made_up_link(&w->m, "eth0", "")->index;
    made_up_route(&w->m, eth, "198.18.0.0/15")->ours = true;
    check_problem(w, "leftover-route", "198.18.0.0/15 on eth0");
    w->m.f.host.view.route_count--;
    w->m.f.broker.status.leftovers = 3;
    check_problem(w, "leftover-journal", "3 changes");
}

static void a_resolv_conf_of_ours_without_a_session_is_a_leftover(void **state)
{
    struct world *w = *state;
    w->m.f.host.resolver.resolv_conf =
        SLICE_LIT("#stile: checksum 0123456789abcdef\nnameserver 100.64.0.2\n");
    judge(w);
    assert_null(found(w, "leftover-resolv-conf"));
    w->m.f.probe_count = 0;
    w->m.f.host.view.link_count = w->m.f.host.view.route_count = 0;
    (void)str_format(w->m.f.sessions[0].state, FACTS_TEXT_SIZE, "waiting to start again");
    w->m.f.broker.status.session_count = 0;
    judge(w); /* among what else such a session has wrong */
    assert_non_null(found(w, "leftover-resolv-conf"));
    w->m.f.session_count = 0;
    check_problem(w, "leftover-resolv-conf", "/etc/resolv.conf was written by stile");
}

static void gateways_certificates_and_log_ins(void **state)
{
    struct world *w = *state;
    struct gateway_facts *g = &w->m.gateway;
    g->log_in_ends_s = MADE_UP_NOW_S - 1;
    check_problem(w, "log-in-expired", "profile corp has expired");
    g->log_in_ends_s = MADE_UP_NOW_S + 60;
    check_notice(w, "log-in-ends", "profile corp ends soon");
    g->log_in_ends_s = MADE_UP_NOW_S + 36000;
    g->cert_ends_s = MADE_UP_NOW_S - 1;
    check_problem(w, "gateway-cert-expired", "gw.corp.example");
    g->cert_ends_s = MADE_UP_NOW_S + 3600;
    check_notice(w, "gateway-cert-ends", "ends soon");
    g->cert_begins_s = MADE_UP_NOW_S + 100;
    g->cert_ends_s = MADE_UP_NOW_S + 86400 * 60;
    check_problem(w, "gateway-cert-not-yet", "isn't valid before");
    g->cert_begins_s = MADE_UP_NOW_S - 86400 * 30;
    g->err = ERR_UNREACHABLE;
    g->stage = GATEWAY_CONNECT;
    g->has_time = false;
    check_problem(w, "gateway-unreachable", "gw.corp.example:7443 of profile corp");
    g->stage = GATEWAY_TLS;
    check_problem(w, "gateway-untrusted", "isn't the one that profile corp trusts");
    g->stage = GATEWAY_ASK;
    check_problem(w, "gateway-refuses", "doesn't serve profile corp");
    w->m.f.gateways.count = 0;
    check_notice(w, "not-logged-in", "Not logged in");
}

static void clocks_may_differ_by_a_minute(void **state)
{
    struct world *w = *state;
    struct gateway_facts *g = &w->m.gateway;
    g->skew_us = 61 * INT64_C(1000000);
    check_problem(w, "clock-skew", "61 s behind that of gateway gw");
    g->skew_us = -3600 * INT64_C(1000000);
    check_problem(w, "clock-skew", "3600 s ahead of that of gateway gw");
    g->skew_us = 59 * INT64_C(1000000);
    check_notice(w, "clock-skew", "59 s behind");
    g->skew_us = 61 * INT64_C(1000000);
    g->uncertainty_us = 5 * INT64_C(1000000); /* only what is certain counts */
    check_notice(w, "clock-skew", "61 s behind");
    g->uncertainty_us = 60 * INT64_C(1000000);
    judge(w);
    assert_null(found(w, "clock-skew"));
}

static void the_resolver_and_its_caches(void **state)
{
    struct world *w = *state;
    made_up_resolver(&w->m, "files", "127.0.0.53");
    check_problem(w, "nsswitch-no-dns", "hosts:");
    w->m.f.host.resolver.nsswitch_missing = true;
    judge(w);
    assert_null(found(w, "nsswitch-no-dns"));
    w->m.f.host.caches[CACHE_NSCD] = w->m.f.host.caches[CACHE_SSSD] = true;
    check_notice(w, "name-cache", "nscd keeps answers");
    assert_int_equal(diagnosis_count(&w->d, SEVERITY_NOTICE), 1); /* sssd isn't asked for hosts */
}

static void what_stile_run_needs_is_a_problem_only_without_the_service(void **state)
{
    struct world *w = *state;
    w->m.f.host.namespaces_errno = 1;
    set_text(w->m.f.host.namespaces_why, "user.max_user_namespaces=0");
    check_notice(w, "run-no-namespaces", "can't be made");
    w->m.f.session_count = w->m.f.probe_count = 0;
    w->m.f.host.view.link_count = w->m.f.host.view.route_count = 0;
    w->m.f.broker.err = ERR_NOTFOUND;
    check_problem(w, "run-no-namespaces", "can't be made");
    assert_non_null(strstr(found(w, "run-no-namespaces")->detail, "user.max_user_namespaces=0"));
}

/* ---- reports ---- */

static void reports_have_problems_first_and_a_summary_last(void **state)
{
    struct world *w = *state;
    struct buf out;
    w->m.gateway.log_in_ends_s = 0;
    judge(w);
    buf_init(&out, REPORT_TEXT_MAX);
    assert_int_equal(report_text(&w->d, NULL, &out), 0);
    const char *text = buf_cstr(&out);
    assert_true(str_starts(text, "Gateways\n  PROBLEM  The log-in of profile corp has expired"));
    assert_true(str_ends(text, "\n1 problem.\n"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, 120);
    buf_release(&out);
}

static void put_json(struct buf *out, const json_t *json)
{
    uint8_t *space = NULL;
    size_t size = json_dumpb(json, NULL, 0, 0);
    assert_int_equal(buf_reserve(out, size, &space), 0);
    buf_commit(out, json_dumpb(json, (char *)space, size, 0));
}

static void redacted_reports_name_nobody(void **state)
{
    struct world *w = *state;
    static const char *const secrets[] = {"corp", "alice", "100.64", "fd00", "gw.", "boxen", "bob"};
    struct redactor *r;
    struct buf out;
    int err = 0;
    set_text(w->m.f.host.host_name, "boxen");
    set_text(w->m.f.host.user, "bob");
    w->m.f.host.resolver.resolv_conf =
        SLICE_LIT("search corp.example\nnameserver 10.0.0.1 # boxen\n");
    w->m.gateway.log_in_ends_s = 0;
    judge(w);
    buf_init(&out, REPORT_TEXT_MAX);
    assert_int_equal(redactor_new(&r), 0);
    assert_int_equal(report_prepare_redactor(&w->d, r), 0);
    assert_int_equal(report_text(&w->d, r, &out), 0);
    assert_int_equal(report_facts_text(&w->d, r, &out), 0);
    json_t *json = report_json(&w->d, r, true, &err);
    assert_non_null(json);
    put_json(&out, json);
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (strstr(buf_cstr(&out), secrets[i]) != NULL)
            fail_msg("%s is in %s", secrets[i], buf_cstr(&out));
    assert_non_null(strstr(buf_cstr(&out), "The log-in of profile name-"));
    json_decref(json);
    buf_release(&out);
    redactor_free(r);
}

static void json_can_be_read_back(void **state)
{
    struct world *w = *state;
    struct findings back[CHECKS_COUNT];
    struct buf dump;
    int err = 0;
    w->m.gateway.log_in_ends_s = 0;
    judge(w);
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_init(&back[i]);
    json_t *json = report_json(&w->d, NULL, false, &err);
    buf_init(&dump, REPORT_TEXT_MAX);
    put_json(&dump, json);
    assert_int_equal(report_parse(buf_slice(&dump), back), 0);
    for (size_t i = 0; i < CHECKS_COUNT; i++) {
        assert_int_equal(back[i].count, w->d.findings[i].count);
        for (size_t j = 0; j < back[i].count; j++) {
            assert_memory_equal(&back[i].items[j], &w->d.findings[i].items[j],
                                sizeof(struct finding));
        }
        findings_release(&back[i]);
    }
    static const char *const bad[] = {"", "[]", "{}", "{\"checks\":[{}]}",
                                      "{\"checks\":[{\"id\":\"dns\",\"findings\":[{}]}]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(report_parse(slice_str(bad[i]), back), ERR_FORMAT);
        for (size_t c = 0; c < CHECKS_COUNT; c++)
            findings_release(&back[c]);
    }
    buf_release(&dump);
    json_decref(json);
}

static void texts_of_others_cannot_steer_a_terminal(void **state)
{
    struct world *w = *state;
    set_text(w->m.session.state, "x\x1b[2J\ny\xff");
    check_problem(w, "session-not-up", "x?[2J?y?");
}

/* ---- what was seen ---- */

struct told {
    unsigned count;
    char last[SEEN_TEXT_SIZE];
};

static void tell(void *arg, const char *text)
{
    struct told *t = arg;
    t->count++;
    set_text(t->last, text);
}

static void each_finding_is_told_when_it_comes_and_when_it_has_gone(void **state)
{
    struct world *w = *state;
    struct seen s;
    struct told t = {0};
    seen_init(&s);
    judge(w);
    seen_update(&s, w->d.findings, tell, &t);
    assert_int_equal(t.count, 0);
    for (unsigned round = 0; round < 2; round++) {
        w->m.gateway.log_in_ends_s = 0;
        judge(w);
        seen_update(&s, w->d.findings, tell, &t);
        seen_update(&s, w->d.findings, tell, &t);
        assert_int_equal(t.count, 1);
        assert_true(str_starts(t.last, "Problem: The log-in of profile corp has expired"));
        assert_non_null(strstr(t.last, "What to do: Log in again with"));
        w->m.gateway.log_in_ends_s = MADE_UP_NOW_S + 36000;
        judge(w);
        seen_update(&s, w->d.findings, tell, &t);
        seen_update(&s, w->d.findings, tell, &t);
        assert_int_equal(t.count, 2);
        assert_true(str_starts(t.last, "No more: The log-in of profile corp has expired"));
        t.count = 0;
    }
    seen_release(&s);
}

static void a_check_that_could_not_be_made_says_nothing_of_what_has_gone(void **state)
{
    struct world *w = *state;
    struct seen s;
    struct told t = {0};
    seen_init(&s);
    w->m.gateway.skew_us = 3600 * INT64_C(1000000);
    judge(w);
    seen_update(&s, w->d.findings, tell, &t);
    assert_int_equal(t.count, 1);
    w->m.gateway.has_time = false;
    judge(w);
    seen_update(&s, w->d.findings, tell, &t);
    w->m.gateway.has_time = true;
    judge(w);
    seen_update(&s, w->d.findings, tell, &t);
    assert_int_equal(t.count, 1);
    seen_release(&s);
}

static void failing_memory_loses_findings_and_nothing_else(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 1; i < 40; i++) {
        struct seen s;
        struct told t = {0};
        seen_init(&s);
        w->m.gateway.log_in_ends_s = 0;
        (void)mem_fail_at(i);
        judge(w);
        seen_update(&s, w->d.findings, tell, &t);
        (void)mem_fail_at(0);
        seen_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(all_is_well),
        TEST(the_service_is_missed_only_by_those_who_need_it),
        TEST(versions_and_sessions_that_do_not_work),
        TEST(what_is_missing_of_the_interface),
        TEST(conflicts_in_both_families_name_the_owner),
        TEST(names_that_go_astray),
        TEST(leftovers_are_those_of_nobody),
        TEST(a_resolv_conf_of_ours_without_a_session_is_a_leftover),
        TEST(gateways_certificates_and_log_ins),
        TEST(clocks_may_differ_by_a_minute),
        TEST(the_resolver_and_its_caches),
        TEST(what_stile_run_needs_is_a_problem_only_without_the_service),
        TEST(reports_have_problems_first_and_a_summary_last),
        TEST(redacted_reports_name_nobody),
        TEST(json_can_be_read_back),
        TEST(texts_of_others_cannot_steer_a_terminal),
        TEST(each_finding_is_told_when_it_comes_and_when_it_has_gone),
        TEST(a_check_that_could_not_be_made_says_nothing_of_what_has_gone),
        TEST(failing_memory_loses_findings_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
