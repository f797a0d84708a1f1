/* What a check found: one thing, for a person. */
#ifndef STILE_DIAG_FINDING_H
#define STILE_DIAG_FINDING_H

#include "base/err.h"

enum severity {
    SEVERITY_OK,      /* looked at, and well */
    SEVERITY_NOTICE,  /* worth knowing, or couldn't be looked at */
    SEVERITY_PROBLEM, /* doesn't work, or soon won't: the remedy says what to do */
};

#define FINDINGS_MAX         512
#define FINDING_ID_SIZE      32
#define FINDING_SUBJECT_SIZE 256
#define FINDING_TITLE_SIZE   320
#define FINDING_TEXT_SIZE    768

/* Texts are printable, UTF-8 and without line breaks; what is longer is cut. */
struct finding {
    char id[FINDING_ID_SIZE]; /* what kind of finding: "dns-hijacked"; the same in every version */
    char subject[FINDING_SUBJECT_SIZE]; /* about which zone, profile, link; may be empty */
    enum severity severity;
    char title[FINDING_TITLE_SIZE]; /* one sentence, without the full stop */
    char detail[FINDING_TEXT_SIZE]; /* how it is known; may be empty */
    char remedy[FINDING_TEXT_SIZE]; /* what to do; empty only if there is nothing to do */
};

struct findings {
    struct finding *items; /* owned */
    size_t count;
    size_t size;
    struct finding lost; /* takes what no memory is left for */
};

void findings_init(struct findings *f);
void findings_release(struct findings *f);

/* A new finding, to be filled at once: valid until the next is added. Never NULL: past FINDINGS_MAX, or without memory, it is
 * one that isn't kept. */
struct finding *findings_add(struct findings *f, enum severity severity, const char *id,
                             const char *subject);

PRINTF_LIKE(2, 3) void finding_title(struct finding *f, const char *fmt, ...);
PRINTF_LIKE(2, 3) void finding_detail(struct finding *f, const char *fmt, ...);
PRINTF_LIKE(2, 3) void finding_remedy(struct finding *f, const char *fmt, ...);

/* About the same thing: id and subject. */
bool finding_same(const struct finding *a, const struct finding *b);
enum severity findings_worst(const struct findings *f); /* SEVERITY_OK if there are none */
size_t findings_count(const struct findings *f, enum severity severity);

const char *severity_name(enum severity s); /* "ok", "notice", "problem" */

#endif
