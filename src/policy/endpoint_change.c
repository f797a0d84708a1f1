#include "policy/endpoint.h"

/* A request for 4096 policies with their sets is a few megabytes. */
#define SENT_MAX  ((size_t)64 * 1024 * 1024)
#define NOTES_MAX ((size_t)4 * 1024 * 1024)

void endpoint_change_init(struct endpoint_change *c)
{
    *c = (struct endpoint_change){0};
    buf_init(&c->sent, SENT_MAX);
    buf_init(&c->notes, NOTES_MAX);
}

void endpoint_change_begin(struct endpoint_change *c)
{
    buf_clear(&c->sent);
    buf_clear(&c->notes);
    c->added = c->removed = c->unchanged = 0;
    c->drifted = c->blocked = false;
}

void endpoint_change_release(struct endpoint_change *c)
{
    buf_release(&c->sent);
    buf_release(&c->notes);
}
