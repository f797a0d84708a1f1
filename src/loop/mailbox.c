#include "loop/mailbox.h"

#include "base/err.h"

static struct mail *take_all(struct mailbox *mb)
{
    uv_mutex_lock(&mb->lock);
    struct mail *first = mb->first;
    mb->first = NULL;
    mb->last = NULL;
    uv_mutex_unlock(&mb->lock);
    return first;
}

static void deliver(struct mailbox *mb)
{
    struct mail *mail = take_all(mb);
    while (mail != NULL) {
        /* The reader may free the letter. */
        struct mail *next = mail->next;
        mb->on_mail(mb->arg, mail);
        mail = next;
    }
}

static void on_async(uv_async_t *async)
{
    deliver(async->data);
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *mb = handle->data;
    uv_mutex_destroy(&mb->lock);
    if (mb->on_closed != NULL)
        mb->on_closed(mb->arg);
}

int mailbox_init(struct mailbox *mb, struct loop *loop,
                 void (*on_mail)(void *arg, struct mail *mail), void *arg)
{
    *mb = (struct mailbox){.on_mail = on_mail, .arg = arg};
    int r = uv_mutex_init(&mb->lock);
    if (r < 0)
        return loop_err(r);
    r = uv_async_init(&loop->uv, &mb->async, on_async);
    if (r < 0) {
        uv_mutex_destroy(&mb->lock);
        return loop_err(r);
    }
    mb->async.data = mb;
    return 0;
}

int mailbox_post(struct mailbox *mb, struct mail *mail)
{
    mail->next = NULL;
    uv_mutex_lock(&mb->lock);
    int r = mb->closed ? ERR_CLOSED : 0;
    if (r == 0) {
        if (mb->last != NULL)
            mb->last->next = mail;
        else
            mb->first = mail;
        mb->last = mail;
        /* Under the lock: afterwards the owner may have closed the handle. */
        uv_async_send(&mb->async);
    }
    uv_mutex_unlock(&mb->lock);
    return r;
}

void mailbox_close(struct mailbox *mb, void (*closed)(void *arg))
{
    uv_mutex_lock(&mb->lock);
    mb->closed = true;
    uv_mutex_unlock(&mb->lock);
    deliver(mb);
    mb->on_closed = closed;
    uv_close((uv_handle_t *)&mb->async, on_closed);
}
