/* The whole of it: facts gathered, every check's findings. */
#ifndef STILE_DIAG_DIAGNOSIS_H
#define STILE_DIAG_DIAGNOSIS_H

#include "diag/check.h"

struct diagnosis {
    struct facts facts;
    struct findings findings[CHECKS_COUNT]; /* of checks[i] */
};

/* Blocks, see facts_gather. ERR_NOMEM. */
int diagnosis_run(const char *home, struct diagnosis *ret);
/* The checks alone, on the facts that are there. */
void diagnosis_judge(struct diagnosis *d);
void diagnosis_release(struct diagnosis *d);

size_t diagnosis_count(const struct diagnosis *d, enum severity severity);

#endif
