/* Names and addresses taken out of texts, the same one always by the same token: what is related stays recognisable.
 *
 *   alice at 10.1.2.3 asks pg.corp.example   →   name-1 at address-1 asks name-2
 *
 * Replaced, wherever they stand in free text: what was named to redact_name (users, hosts, profiles, clusters, zones), whole words
 * only and in any case; every other domain name of two labels or more; every address of IPv4 and IPv6, also with a prefix length,
 * port, brackets or scope around it. Kept, because they tell of nobody: loopback and unspecified addresses, names of well-known
 * files, services and programs, "root", "localhost", the reverse trees' own names. Local; nothing is looked up.
 */
#ifndef STILE_DIAG_REDACT_H
#define STILE_DIAG_REDACT_H

#include "base/buf.h"
#include "base/err.h"

#define REDACT_TOKENS_MAX 8192

struct redactor;

MUST_CHECK int redactor_new(struct redactor **ret);
void redactor_free(struct redactor *r);

/* A name to be replaced from now on, though it doesn't look like one: "alice", "corp". Empty ones, single
 * letters, which tell of nobody, and those that are kept do nothing. ERR_NOMEM, ERR_LIMIT. */
int redact_name(struct redactor *r, const char *name);

/* Appends the text to out, redacted. Line breaks stay. ERR_NOMEM, ERR_LIMIT (more names than tokens), ERR_TOOBIG (out's cap):
 * out isn't to be shown then. */
int redact_text(struct redactor *r, struct slice text, struct buf *out);

#endif
