/* How many lines about a user's refused connections and requests go into the log: 10 a minute, and at its end one that says how many more there
 * were. Without it, a loop of refused ones would fill the journal. Users beyond the first few of a minute share one
 * count, so that a user with many uids gains nothing.
 *
 * On a loop; allocates nothing.
 */
#ifndef STILE_BROKER_LOG_LIMIT_H
#define STILE_BROKER_LOG_LIMIT_H

#include "loop/timer.h"

#define LOG_LIMIT_LINES     10
#define LOG_LIMIT_WINDOW_MS 60000
#define LOG_LIMIT_USERS     16

struct log_limit_count {
    uint32_t uid;
    uint32_t lines;    /* written */
    uint64_t left_out; /* not written */
};

struct log_limit {
    struct timer timer; /* active: a window is open */
    uint64_t window_ms;
    struct log_limit_count users[LOG_LIMIT_USERS];
    size_t user_count;
    struct log_limit_count others;
};

void log_limit_init(struct log_limit *l, struct loop *loop, uint64_t window_ms);
/* Writes what is still to be said. The memory is the caller's again after closed(arg). */
void log_limit_close(struct log_limit *l, void (*closed)(void *arg), void *arg);

/* Whether a line about this user may be written; else it is counted. */
bool log_limit_allows(struct log_limit *l, uint32_t uid);

#endif
