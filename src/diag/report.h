/* A diagnosis shown: to a person, as JSON, with the facts that a bug report needs. With a redactor nothing is shown that wasn't
 * redacted (diag/redact.h). */
#ifndef STILE_DIAG_REPORT_H
#define STILE_DIAG_REPORT_H

#include <jansson.h>

#include "diag/diagnosis.h"
#include "diag/redact.h"

#define REPORT_TEXT_MAX ((size_t)8 * 1024 * 1024)

/* What the host's people and machines are called, told to the redactor. Before anything is shown with it. ERR_NOMEM, ERR_LIMIT. */
int report_prepare_redactor(const struct diagnosis *d, struct redactor *r);

/* Appended to out, whose cap counts. Groups with problems come first, a summary last. r may be NULL. Errors: see redact_text. */
int report_text(const struct diagnosis *d, struct redactor *r, struct buf *out);
/* Versions, system, links, addresses, routes, resolver. */
int report_facts_text(const struct diagnosis *d, struct redactor *r, struct buf *out);

/* with_facts: host, links, addresses, routes and resolver too. NULL: ERR_* in ret_err. */
json_t *report_json(const struct diagnosis *d, struct redactor *r, bool with_facts, int *ret_err);

/* What report_json made, back into the findings of each check, which are initialised and the caller's in every case. Checks that
 * aren't known are passed over. ERR_FORMAT, ERR_NOMEM. */
int report_parse(struct slice json, struct findings ret[CHECKS_COUNT]);

/* For the two above: the text as it may be shown. Valid until the next call with the same memory; NULL on failure. */
const char *report_shown(struct redactor *r, const char *text, struct buf *memory);

/* "2 problems, 1 notice" */
#define REPORT_SUMMARY_SIZE 96
void report_summary(const struct diagnosis *d, char text[REPORT_SUMMARY_SIZE]);

#endif
