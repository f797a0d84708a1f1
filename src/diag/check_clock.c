/* This host's clock against the gateways': certificates hold for a span of time. */
#include <stdlib.h>

#include "diag/check.h"

#define PROBLEM_US (INT64_C(60) * 1000000)
#define NOTICE_US  (INT64_C(10) * 1000000)

#define REMEDY_CLOCK                                                                               \
    "Set this host's clock, best by NTP (timedatectl set-ntp true); if this host is right, the "   \
    "gateway's clock is wrong: tell its administrator"

static void judge(const struct gateway_facts *g, struct findings *ret)
{
    /* Only what is certain counts. */
    int64_t off = llabs(g->skew_us) - g->uncertainty_us;
    enum severity severity = off > PROBLEM_US  ? SEVERITY_PROBLEM
                             : off > NOTICE_US ? SEVERITY_NOTICE
                                               : SEVERITY_OK;
    struct finding *n =
        findings_add(ret, severity, severity == SEVERITY_OK ? "clock" : "clock-skew", g->profile);
    if (severity == SEVERITY_OK) {
        finding_title(n, "The clocks of this host and of gateway %s agree", g->gateway);
        return;
    }
    finding_title(n, "This host's clock is %lld s %s that of gateway %s",
                  (long long)(llabs(g->skew_us) / 1000000), g->skew_us > 0 ? "behind" : "ahead of",
                  g->gateway);
    finding_detail(n,
                   "Certificates hold for a span of time: they count as expired, or as not valid "
                   "yet, when the clocks differ");
    finding_remedy(n, REMEDY_CLOCK);
}

static void run(const struct facts *f, struct findings *ret)
{
    for (size_t i = 0; i < f->gateways.count; i++)
        if (f->gateways.items[i].has_time)
            judge(&f->gateways.items[i], ret);
}

const struct check check_clock = {.id = "clock", .heading = "Clock", .run = run};
