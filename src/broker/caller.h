/* One caller of the broker; for callers.c and requests.c. */
#ifndef STILE_BROKER_CALLER_H
#define STILE_BROKER_CALLER_H

#include "broker/callers.h"
#include "broker/log_limit.h"
#include "broker/user_log.h"
#include "loop/listener.h"
#include "loop/timer.h"

struct callers {
    struct loop *loop;
    struct callers_config config;
    struct listener *listener; /* NULL: stopped */
    struct list list;
    struct list partings;
    size_t count;
    size_t open; /* connections whose memory the loop still has */
    int64_t started_us;
    struct log_limit log_limit;
    struct cleaning *cleaning; /* that runs; NULL: none */
    bool freed;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* Descriptors of a caller's that are being closed, which may wait for a file system that is his own: not in the loop. Each
 * counts as one of his connections. */
struct parting {
    struct list node;
    struct callers *all;
    uint32_t uid;
    int fds[FDPASS_MAX];
    size_t count;
};

struct caller {
    struct list node;
    struct callers *all;
    int fd;
    uv_poll_t poll;
    struct timer timer; /* until HELLO */
    struct peer peer;
    bool greeted;
    bool closing;
    uint32_t asked_id;   /* of the request that waits for its answer */
    uint32_t asked_type; /* 0: none waits */
    struct session *session;
    struct cleaning *cleaning; /* that it asked for; NULL: none, or done */
};

/* What callers make happen as often as they like. */
#define refused_log(callers, level, uid, ...)                                                      \
    do {                                                                                           \
        if (log_limit_allows(&(callers)->log_limit, uid))                                          \
            user_log(level, uid, __VA_ARGS__);                                                     \
    } while (0)

/* Sends; a caller that has gone or doesn't read is closed. */
void caller_send(struct caller *c, const union broker_message *m, const int *fds, size_t fd_count);
void caller_refuse(struct caller *c, uint32_t id, int err, const char *text);
/* Frees it, later; its session is ended. Again: nothing. */
void caller_close(struct caller *c);

/* Closes what came from the caller and isn't wanted. */
void caller_part_with(struct caller *c, const int *fds, size_t count);

/* What a greeted caller asks: answers now or later. The descriptors are taken. */
void caller_handle(struct caller *c, const union broker_message *m, int *fds, size_t fd_count);

/* One of callers.open has let go. */
void callers_release(struct callers *s);

/* Of a caller that goes: the clean-up goes on, nobody is told. */
void cleaning_forget(struct caller *c);
/* CLEANUP: answers when it is done. */
void cleaning_start(struct caller *c);

/* The answer to what c has asked. */
void caller_answer(struct caller *c, union broker_message *m);
void caller_answer_refused(struct caller *c, int err, const char *text);

#endif
