/* A command's or agent's end of the broker's socket.
 *
 * connecting → (WELCOME) ready ⇄ waiting (one request) → closed by broker_client_free, always by the owner, once.
 *
 * Whoever has the socket's name must be root: a program of another user that took it first is noticed (ERR_PERM) before a
 * byte is said. Nothing blocks but broker_ask. One loop, one thread.
 */
#ifndef STILE_BROKER_CLIENT_H
#define STILE_BROKER_CLIENT_H

#include "base/err.h"
#include "broker/messages.h"
#include "loop/loop.h"

struct broker_client;

struct broker_client_events {
    /* Once, when requests may be made. w is borrowed until the client is freed. */
    void (*on_welcome)(void *arg, const struct broker_welcome *w);
    void (*on_event)(void *arg, const struct broker_event *event);
    /* At most once, the last: the broker refused us (ERR_DENIED, ERR_VERSION, ERR_LIMIT…: its text), has gone (ERR_CLOSED), or
     * didn't answer (ERR_TIMEOUT). A session of ours is over. A waiting request gets no answer. Wants broker_client_free. */
    void (*on_closed)(void *arg, int err, const struct diag *d);
};

/* Once for a request: its answer, or REFUSED. fd: of LOG, the receiver's; else -1. */
typedef void broker_answer_fn(void *arg, const union broker_message *answer, int fd);

/* path NULL: $STILE_BROKER_SOCKET, else BROKER_SOCKET_PATH. ERR_NOTFOUND, ERR_REFUSED (no broker runs), ERR_PERM (not root's),
 * each with the remedy. */
int broker_client_new(struct loop *loop, const char *path,
                      const struct broker_client_events *events, void *arg,
                      struct broker_client **ret, struct diag *d);
void broker_client_free(
    struct broker_client *c); /* in any event; no event after it. NULL: nothing */

/* m comes from broker_message_init; its id is set here. The descriptors stay the caller's. ERR_BUSY: one waits already, or no
 * WELCOME yet; ERR_CLOSED; ERR_INVAL: a message the broker would refuse. */
int broker_client_request(struct broker_client *c, union broker_message *m, const int *fds,
                          size_t fd_count, broker_answer_fn *answer, void *arg);

/* For a command: connects, asks once, closes. Blocks, for 30 s at most. A refusal is the returned error and its text in d. ret_fd
 * may be NULL if none is expected. */
int broker_ask(const char *path, union broker_message *request, union broker_message *ret_answer,
               int *ret_fd, struct diag *d);

#endif
