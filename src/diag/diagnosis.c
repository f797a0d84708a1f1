#include "diag/diagnosis.h"

const struct check *const checks[CHECKS_COUNT] = {
    &check_service,   &check_stack, &check_dns,      &check_resolver, &check_routes,
    &check_leftovers, &check_vpns,  &check_gateways, &check_clock,    &check_run,
};

int diagnosis_run(const char *home, struct diagnosis *ret)
{
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_init(&ret->findings[i]);
    int err = facts_gather(home, &ret->facts);
    if (err < 0) {
        facts_release(&ret->facts);
        return err;
    }
    diagnosis_judge(ret);
    return 0;
}

void diagnosis_judge(struct diagnosis *d)
{
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        checks[i]->run(&d->facts, &d->findings[i]);
}

void diagnosis_release(struct diagnosis *d)
{
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_release(&d->findings[i]);
    facts_release(&d->facts);
}

size_t diagnosis_count(const struct diagnosis *d, enum severity severity)
{
    size_t count = 0;
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        count += findings_count(&d->findings[i], severity);
    return count;
}
