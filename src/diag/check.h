/* A check judges facts. One file each, one table; asks nobody, changes nothing. */
#ifndef STILE_DIAG_CHECK_H
#define STILE_DIAG_CHECK_H

#include "diag/facts.h"
#include "diag/finding.h"

struct check {
    const char *id;      /* in JSON: "dns" */
    const char *heading; /* in the report */
    void (*run)(const struct facts *f, struct findings *ret);
};

extern const struct check check_service, check_stack, check_routes, check_dns, check_resolver,
    check_leftovers, check_vpns, check_gateways, check_clock, check_run;

/* All of them, in the report's order. */
#define CHECKS_COUNT 10
extern const struct check *const checks[CHECKS_COUNT];

#endif
