/* Work for another thread of the engine: posted to its mailbox, run there once. A task is a member of what it carries. */
#ifndef STILE_ENGINE_TASK_H
#define STILE_ENGINE_TASK_H

#include "loop/mailbox.h"

struct task {
    struct mail mail;
    void (*run)(struct task *t, void *receiver); /* receiver: the mailbox's own argument */
};

/* The on_mail of every mailbox of the engine. */
static inline void task_on_mail(void *receiver, struct mail *mail)
{
    struct task *t = CONTAINER_OF(mail, struct task, mail);
    t->run(t, receiver);
}

/* ERR_CLOSED: that thread has ended; the task is still the sender's. */
MUST_CHECK static inline int task_post(struct mailbox *to, struct task *t,
                                       void (*run)(struct task *t, void *receiver))
{
    t->run = run;
    return mailbox_post(to, &t->mail);
}

#endif
