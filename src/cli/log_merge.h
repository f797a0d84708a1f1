/* Logs of several processes as one, in order of time. */
#ifndef STILE_CLI_LOG_MERGE_H
#define STILE_CLI_LOG_MERGE_H

#include "agent/log_entry.h"
#include "base/buf.h"
#include "diag/redact.h"

struct log_merge {
    struct log_entry **entries; /* owned */
    size_t count;
    size_t size;
};

void log_merge_init(struct log_merge *m);
void log_merge_release(struct log_merge *m);

/* JSON, one object per line, of the process with this pid, which every line then tells as the field "pid" (0: none does). What is
 * no line of a log is left out. ERR_NOMEM. */
int log_merge_add(struct log_merge *m, struct slice lines, uint32_t pid);

/* Appends all lines, the oldest first, as text or JSON. r, if it isn't NULL, replaces names and addresses in them. ERR_NOMEM,
 * ERR_TOOBIG (out's cap), ERR_LIMIT (more names than can be redacted). */
int log_merge_write(struct log_merge *m, enum log_format format, struct redactor *r,
                    struct buf *out);

#endif
