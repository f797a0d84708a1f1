/* journald's own socket: datagrams with fields, which the journal keeps apart (levels, components), where standard error has
 * lines alone. Elsewhere than on Linux there is none. */
#ifndef STILE_BASE_LOG_JOURNAL_H
#define STILE_BASE_LOG_JOURNAL_H

#include "base/slice.h"

#define LOG_JOURNAL_PATH "/run/systemd/journal/socket"

/* Whether standard error leads to the journal: systemd tells its device and inode in JOURNAL_STREAM. */
bool log_journal_is_stderr(void);

/* For log_journal_send, from now on. Returns 0, ERR_TOOBIG, or an error of the socket's. May be called again. */
int log_journal_open(const char *path);
void log_journal_close(void);

/* Doesn't block. False: it isn't open, nobody listens, or its queue is full. */
bool log_journal_send(struct slice datagram);

#endif
