/* Stands before the relay of an app that is marked http: the first request's Host must be one of the app's (net/http_host.h).
 *
 * An accepted flow is the guard's until it has judged. ALLOWED: on_allowed gets the bytes that came so far, and the flow is whoever's
 * takes it next. Otherwise the program gets 421 (Misdirected Request, RFC 9110 §15.5.20) or 400 and the end; on_refused is
 * told once, and on_closed when the flow is gone. One worker's own; what it holds is bounded by
 * HTTP_HEAD_MAX and one segment.
 */
#ifndef STILE_ENGINE_HTTP_GUARD_H
#define STILE_ENGINE_HTTP_GUARD_H

#include "base/buf.h"
#include "engine/stack.h"

#define HTTP_GUARD_REASON_SIZE 200

struct http_guard_events {
    /* head is borrowed from the guard, until http_guard_release. The flow has no handler any more: take it at once. */
    void (*on_allowed)(void *arg, struct slice head);
    void (*on_refused)(void *arg, const char *reason); /* a sentence for people */
    void (*on_closed)(void *arg, enum tcp_end why);    /* in any state but ALLOWED */
};

struct http_guard {
    struct flow_handler handler;
    struct tcp_flow *flow; /* NULL once closed, or allowed */
    struct buf head;
    char *const *hosts; /* borrowed */
    size_t host_count;
    bool refused;
    const struct http_guard_events *events;
    void *arg;
};

/* The flow is PENDING: it is accepted here. */
void http_guard_start(struct http_guard *g, struct tcp_flow *flow, char *const *hosts,
                      size_t host_count, const struct http_guard_events *events, void *arg);
/* Resets the flow if the guard has it; no event. */
void http_guard_abort(struct http_guard *g);
void http_guard_release(struct http_guard *g); /* the memory; never started (zeroed) is fine */

#endif
