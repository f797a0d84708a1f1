/* What the agent tells the person in front of it: one line on standard error, not the same one again and again. */
#ifndef STILE_AGENT_NOTICES_H
#define STILE_AGENT_NOTICES_H

#include "base/compiler.h"

#define NOTICE_SIZE     640
#define NOTICES_KEPT    16
#define NOTICE_REPEAT_S 30 /* the same text is not told again for so long */

struct notices {
    struct notice {
        uint64_t told_ns;
        char text[NOTICE_SIZE];
    } told[NOTICES_KEPT];
    size_t next;
    void (*show)(void *arg, const char *text); /* NULL: standard error. For tests */
    void *arg;
};

PRINTF_LIKE(2, 3) void notices_tell(struct notices *n, const char *fmt, ...);
/* All may be told again. */
void notices_forget(struct notices *n);

#endif
