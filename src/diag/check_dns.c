/* Names of the session's zones: asked of our DNS server directly, and as every program asks. */
#include "base/str.h"
#include "diag/check.h"
#include "diag/dns_verdict.h"

static const char *const family_names[DNS_FAMILIES] = {"IPv4", "IPv6"};
static const char *const record_names[DNS_FAMILIES] = {"A", "AAAA"};
static const char *const transport_names[DNS_TRANSPORTS] = {"UDP", "TCP"};

static const char *outcome_text(enum dns_outcome o)
{
    switch (o) {
    case DNS_NOT_ASKED:
        return "wasn't asked";
    case DNS_OURS:
        return "answers";
    case DNS_FOREIGN:
        return "answers with another address";
    case DNS_NO_NAME:
        return "says that there is no such name";
    case DNS_FAILED:
        return "can't be reached, or answers with an error";
    case DNS_SILENT:
        break;
    }
    return "doesn't answer";
}

/* Of our own server. One finding for a way that fails, about the first zone that shows it: the others would repeat it. */
static bool judge_direct(const struct facts *f, size_t family, enum dns_transport transport,
                         struct findings *ret)
{
    for (size_t i = 0; i < f->probe_count; i++) {
        const struct dns_probe *p = &f->probes[i];
        enum dns_outcome o = p->direct[family][transport];
        char server[IP_ADDR_TEXT_SIZE], subject[FINDING_SUBJECT_SIZE];
        if (o == DNS_NOT_ASKED || o == DNS_OURS)
            continue;
        ip_addr_format(&p->ours[family], server);
        (void)str_format(subject, sizeof(subject), "%s %s", family_names[family],
                         transport_names[transport]);
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "dns-server-silent", subject);
        finding_title(n, "stile's DNS server, %s, %s by %s over %s", server, outcome_text(o),
                      transport_names[transport], family_names[family]);
        finding_detail(n, "Asked for %s", p->name);
        finding_remedy(n,
                       "See that no firewall of this host drops packets on %s, and that %s is "
                       "routed there; then start the session anew: stile down, then stile up",
                       f->sessions[p->session].interface_name, server);
        return false;
    }
    return true;
}

static void tell_ok(const struct dns_probe *p, struct findings *ret)
{
    bool both = p->host[0] != DNS_NOT_ASKED && p->host[1] != DNS_NOT_ASKED;
    struct finding *n = findings_add(ret, SEVERITY_OK, "dns", p->zone);
    finding_title(n, "Programs get names in %s from stile (%s)", p->zone,
                  both                          ? "A and AAAA"
                  : p->host[0] != DNS_NOT_ASKED ? "A; IPv6 is off"
                                                : "AAAA; IPv4 is off");
}

/* Two are asked at once, and the first answer counts. */
static void tell_contest(const struct dns_probe *p, const struct dns_verdict *v,
                         struct findings *ret)
{
    struct finding *n = findings_add(ret, SEVERITY_NOTICE, "dns-contested", p->zone);
    finding_title(n, "Names in %s are asked of %s as well: they may go astray now and then",
                  p->zone, v->who);
    finding_detail(n, "%s", v->why);
    finding_remedy(n, "%s", v->remedy);
}

static void tell_wrong(const struct dns_probe *p, const struct dns_verdict *v, const char *records,
                       struct findings *ret)
{
    char id[FINDING_ID_SIZE];
    (void)str_format(id, sizeof(id), "dns-%s", dns_verdict_name(v->kind));
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, id, p->zone);
    if (v->kind == VERDICT_HIJACKED)
        finding_title(n, "Names in %s%s are hijacked by %s", p->zone, records, v->who);
    else if (v->kind == VERDICT_NOT_ASKED)
        finding_title(n, "stile isn't asked for names in %s%s: %s", p->zone, records, v->why);
    else
        finding_title(n, "Names in %s%s aren't answered: %s", p->zone, records, v->why);
    finding_detail(n, "Asked for %s%s%s", p->name, v->kind == VERDICT_HIJACKED ? "; " : "",
                   v->kind == VERDICT_HIJACKED ? v->why : "");
    finding_remedy(n, "%s", v->remedy);
}

static void judge_probe(const struct facts *f, const struct dns_probe *p, struct findings *ret)
{
    struct dns_verdict v[DNS_FAMILIES];
    bool wrong[DNS_FAMILIES];
    for (size_t i = 0; i < DNS_FAMILIES; i++) {
        dns_judge(f, p, i, &v[i]);
        wrong[i] = v[i].kind != VERDICT_NONE && v[i].kind != VERDICT_OK;
    }
    if (!wrong[0] && !wrong[1]) {
        if (v[0].kind != VERDICT_NONE || v[1].kind != VERDICT_NONE)
            tell_ok(p, ret);
        if (v[0].who[0] != '\0' || v[1].who[0] != '\0')
            tell_contest(p, v[0].who[0] != '\0' ? &v[0] : &v[1], ret);
        return;
    }
    bool same = wrong[0] && wrong[1] && v[0].kind == v[1].kind;
    for (size_t i = 0; i < DNS_FAMILIES; i++) {
        char records[32] = "";
        if (!wrong[i] || (same && i > 0))
            continue;
        if (!same)
            (void)str_format(records, sizeof(records), " (%s)", record_names[i]);
        tell_wrong(p, &v[i], records, ret);
    }
}

static void run(const struct facts *f, struct findings *ret)
{
    bool well = f->probe_count > 0;
    for (size_t i = 0; i < DNS_FAMILIES * DNS_TRANSPORTS; i++)
        well = judge_direct(f, i / DNS_TRANSPORTS, (enum dns_transport)(i % DNS_TRANSPORTS), ret) &&
               well;
    if (well)
        finding_title(findings_add(ret, SEVERITY_OK, "dns-server", ""),
                      "stile's DNS server answers by UDP and TCP");
    for (size_t i = 0; i < f->probe_count; i++)
        judge_probe(f, &f->probes[i], ret);
    if (f->zones_not_probed == 0)
        return;
    struct finding *n = findings_add(ret, SEVERITY_NOTICE, "dns-not-all", "");
    finding_title(n, "%zu more zones weren't asked about", f->zones_not_probed);
    finding_remedy(n, "Nothing needs to be done: what is wrong with one is mostly wrong with all");
}

const struct check check_dns = {.id = "dns", .heading = "Names", .run = run};
