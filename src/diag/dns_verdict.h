/* What the outcomes of a probe mean: are programs' questions for a zone answered by us, and if not, by whom and why? Pure. */
#ifndef STILE_DIAG_DNS_VERDICT_H
#define STILE_DIAG_DNS_VERDICT_H

#include "diag/facts.h"

enum dns_verdict_kind {
    VERDICT_NONE,      /* nothing was asked */
    VERDICT_OK,        /* our server answered */
    VERDICT_NOT_ASKED, /* the system's resolver doesn't ask us */
    VERDICT_HIJACKED,  /* someone else is asked before us, or answers in our place */
    VERDICT_TIMEOUT,   /* no answer in time */
    VERDICT_FAILED,    /* an error instead of an answer */
};

struct dns_verdict {
    enum dns_verdict_kind kind;
    char who
        [256]; /* HIJACKED: "the interface wg0 (corp.example in systemd-resolved)"; OK: who is asked as well, or empty */
    char why[512];    /* one sentence without the full stop; empty for OK if nobody else is asked */
    char remedy[512]; /* the same */
};

/* family: index, see dns_facts.h. */
void dns_judge(const struct facts *f, const struct dns_probe *p, size_t family,
               struct dns_verdict *ret);

const char *dns_verdict_name(enum dns_verdict_kind kind); /* "hijacked" */

#endif
