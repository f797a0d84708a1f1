/* Letters from any thread to a loop: many senders, one reader, in order per sender.
 *
 * A letter is a member of the thing sent; mailbox_post hands it over, and the reader's on_mail gets it in its own thread.
 * Posting never blocks longer than a short lock and never allocates.
 */
#ifndef STILE_LOOP_MAILBOX_H
#define STILE_LOOP_MAILBOX_H

#include "loop/loop.h"

struct mail {
    struct mail *next;
};

struct mailbox {
    uv_async_t async;
    uv_mutex_t lock;
    struct mail *first; /* under lock */
    struct mail *last;
    bool closed; /* under lock */
    void (*on_mail)(void *arg, struct mail *mail);
    void (*on_closed)(void *arg);
    void *arg;
};

int mailbox_init(struct mailbox *mb, struct loop *loop,
                 void (*on_mail)(void *arg, struct mail *mail), void *arg);
/* Any thread. ERR_CLOSED after mailbox_close: the letter is still the sender's. */
MUST_CHECK int mailbox_post(struct mailbox *mb, struct mail *mail);
/* The loop's thread. Letters still inside are delivered before this returns; then closed(arg), once the memory is the
 * owner's again (senders must be gone by then or they touch freed memory). closed may be NULL. */
void mailbox_close(struct mailbox *mb, void (*closed)(void *arg));

#endif
