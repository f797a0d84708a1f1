#include "loop/stream.h"

void stream_set_events(struct stream *s, const struct stream_events *events, void *arg)
{
    s->events = *events;
    s->arg = arg;
}

int stream_read_start(struct stream *s)
{
    return s->ops->read_start(s);
}

void stream_read_stop(struct stream *s)
{
    s->ops->read_stop(s);
}

int stream_write(struct stream *s, const struct slice *parts, size_t count)
{
    return s->ops->write(s, parts, count);
}

size_t stream_queued(const struct stream *s)
{
    return s->ops->queued(s);
}

void stream_cork(struct stream *s)
{
    s->ops->cork(s);
}

void stream_uncork(struct stream *s)
{
    s->ops->uncork(s);
}

int stream_end(struct stream *s)
{
    return s->ops->end(s);
}

void stream_close(struct stream *s)
{
    if (s != NULL)
        s->ops->close(s, false);
}

void stream_reset(struct stream *s)
{
    if (s != NULL)
        s->ops->close(s, true);
}
