/* The broker's log, for those who ask for it: root has all of it, a user the lines that are about him or her.
 *
 * A line is about a user when it was written with user_log, which gives it the field "uid". What isn't marked is root's alone.
 */
#ifndef STILE_BROKER_USER_LOG_H
#define STILE_BROKER_USER_LOG_H

#include "base/err.h"
#include "base/log.h"
#include "base/slice.h"

#define USER_LOG_FIELD "uid"

/* user_log(LOG_INFO, uid, "Session on %s", name) */
#define user_log(level, user, ...)                                                                 \
    log_write_with((level), &(struct log_field){.name = USER_LOG_FIELD, .number = (user)},         \
                   __VA_ARGS__)

/* A line as it is kept, in JSON: whether this user may read it. */
bool user_log_may_read(uint32_t uid, struct slice line);

/* What is kept and this user may read, in memory that can't be changed any more (a sealed memfd, at its start). The descriptor
 * is the caller's. */
int user_log_open(uint32_t uid, int *ret_fd, struct diag *d);

#endif
