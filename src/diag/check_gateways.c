/* Each profile's gateway: reachable, its certificate, the log-in. */
#include "base/clock.h"
#include "base/str.h"
#include "diag/check.h"

#define DAY_S         (INT64_C(24) * 3600)
#define CERT_SOON_S   (7 * DAY_S)
#define LOG_IN_SOON_S (INT64_C(30) * 60)

static void when_text(int64_t s, char text[CLOCK_TEXT_SIZE])
{
    clock_format(s * 1000000, text);
    text[10] = ' ';
    text[16] = '\0';
}

static void judge_cert(const struct gateway_facts *g, int64_t now_s, struct findings *ret)
{
    char when[CLOCK_TEXT_SIZE];
    if (!g->has_cert)
        return;
    when_text(g->cert_ends_s, when);
    if (now_s > g->cert_ends_s) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "gateway-cert-expired", g->profile);
        finding_title(n, "The certificate of gateway %s has expired: %s UTC", g->gateway, when);
        finding_remedy(n, "Tell the gateway's administrator: it renews its certificate when it is "
                          "restarted. If that date isn't over, this host's clock is wrong");
    } else if (now_s < g->cert_begins_s) {
        when_text(g->cert_begins_s, when);
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "gateway-cert-not-yet", g->profile);
        finding_title(n, "The certificate of gateway %s isn't valid before %s UTC", g->gateway,
                      when);
        finding_remedy(n, "Most likely this host's clock is behind: set it, best by NTP "
                          "(timedatectl set-ntp true)");
    } else if (g->cert_ends_s - now_s < MIN(CERT_SOON_S, (g->cert_ends_s - g->cert_begins_s) / 8)) {
        struct finding *n = findings_add(ret, SEVERITY_NOTICE, "gateway-cert-ends", g->profile);
        finding_title(n, "The certificate of gateway %s ends soon: %s UTC", g->gateway, when);
        finding_remedy(n, "Tell the gateway's administrator if it isn't renewed in time");
    }
}

static void judge_log_in(const struct gateway_facts *g, int64_t now_s, struct findings *ret)
{
    char when[CLOCK_TEXT_SIZE];
    bool over = now_s >= g->log_in_ends_s;
    when_text(g->log_in_ends_s, when);
    if (!over && g->log_in_ends_s - now_s > LOG_IN_SOON_S)
        return;
    struct finding *n = findings_add(ret, over ? SEVERITY_PROBLEM : SEVERITY_NOTICE,
                                     over ? "log-in-expired" : "log-in-ends", g->profile);
    finding_title(n, "The log-in of profile %s %s: %s UTC", g->profile,
                  over ? "has expired" : "ends soon", when);
    finding_remedy(n, "Log in again with: stile login --profile %s", g->profile);
}

static void judge_failure(const struct gateway_facts *g, struct findings *ret)
{
    struct finding *n = NULL;
    switch (g->stage) {
    case GATEWAY_PROFILE:
        n = findings_add(ret, SEVERITY_PROBLEM, "profile-damaged", g->profile);
        finding_title(n, "Profile %s can't be used", g->profile);
        finding_remedy(n, "Log in again with: stile login --profile %s", g->profile);
        break;
    case GATEWAY_CONNECT:
        n = findings_add(ret, SEVERITY_PROBLEM, "gateway-unreachable", g->profile);
        finding_title(n, "Gateway %s of profile %s can't be reached", g->gateway, g->profile);
        finding_remedy(n,
                       "Is this host online, and does a firewall let it through to %s? Else ask "
                       "the gateway's administrator",
                       g->gateway);
        break;
    case GATEWAY_TLS:
        n = findings_add(ret, SEVERITY_PROBLEM, "gateway-untrusted", g->profile);
        finding_title(n, "What answers as gateway %s isn't the one that profile %s trusts",
                      g->gateway, g->profile);
        finding_remedy(n,
                       "Something on the way may stand in for it (a proxy that opens TLS), or "
                       "the gateway has a new CA: ask its administrator, then log in again "
                       "with: stile login --profile %s --ca FILE",
                       g->profile);
        break;
    case GATEWAY_ASK:
    case GATEWAY_DONE:
        n = findings_add(ret, SEVERITY_PROBLEM, "gateway-refuses", g->profile);
        finding_title(n, "Gateway %s doesn't serve profile %s", g->gateway, g->profile);
        finding_remedy(n, "Log in again with: stile login --profile %s", g->profile);
        break;
    }
    finding_detail(n, "%s", g->diag.text);
}

static void judge(const struct gateway_facts *g, int64_t now_s, struct findings *ret)
{
    size_t before = ret->count;
    judge_cert(g, now_s, ret);
    if (g->stage != GATEWAY_PROFILE)
        judge_log_in(g, now_s, ret);
    /* What is told already needn't be told as the refusal that it leads to. */
    if (g->err < 0 && (ret->count == before || g->stage != GATEWAY_ASK))
        judge_failure(g, ret);
    if (g->err < 0)
        return;
    char until[CLOCK_TEXT_SIZE];
    struct finding *n = findings_add(ret, SEVERITY_OK, "gateway", g->profile);
    when_text(g->log_in_ends_s, until);
    finding_title(n, "Gateway %s answers profile %s%s%s (logged in until %s UTC)", g->gateway,
                  g->profile, g->version[0] != '\0' ? ", version " : "", g->version, until);
}

static void run(const struct facts *f, struct findings *ret)
{
    for (size_t i = 0; i < f->gateways.count; i++)
        judge(&f->gateways.items[i], f->taken_us / 1000000, ret);
    if (f->gateways.count > 0 || f->home_err < 0)
        return;
    struct finding *n = findings_add(ret, SEVERITY_NOTICE, "not-logged-in", "");
    finding_title(n, "Not logged in to any gateway: none could be checked");
    finding_remedy(n, "Log in with: stile login --gateway HOST:PORT --user NAME --ca FILE");
}

const struct check check_gateways = {.id = "gateways", .heading = "Gateways", .run = run};
