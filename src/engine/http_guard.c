#include "engine/http_guard.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/http_host.h"

/* An unfinished head, and behind it the segment that finishes it with whatever follows. */
#define HEAD_CAP (HTTP_HEAD_MAX + LINK_PACKET_MAX)

#define RESPONSE(status, length, text)                                                             \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nContent-Length: " length                   \
    "\r\nConnection: close\r\n\r\n" text

static const char misdirected[] = RESPONSE(
    "421 Misdirected Request", "53", "This app is not reached by the name in the request.\r\n");
static const char bad_request[] =
    RESPONSE("400 Bad Request", "35", "This app takes HTTP requests only.\n");

static struct http_guard *guard_of(struct flow_handler *h)
{
    return CONTAINER_OF(h, struct http_guard, handler);
}

/* The whole text fits into any send ring. What the program sends from now on is dropped. */
static void respond(struct http_guard *g, const char *text)
{
    struct tcp_space space[2];
    struct slice rest = slice_str(text);
    uint64_t now = clock_mono_ns();

    (void)tcp_send_space(g->flow, space);
    for (size_t i = 0; i < 2 && rest.len > 0; i++) {
        size_t n = MIN(rest.len, space[i].len);
        if (n == 0)
            break;
        memcpy(space[i].data, rest.data, n);
        tcp_send_commit(g->flow, n, now);
        rest = slice_from(rest, n);
    }
    tcp_send_end(g->flow, now);
}

static void refuse(struct http_guard *g, const char *response, const char *reason)
{
    g->refused = true;
    buf_release(&g->head);
    respond(g, response);
    g->events->on_refused(g->arg, reason);
}

static void refuse_host(struct http_guard *g, struct slice host)
{
    char reason[HTTP_GUARD_REASON_SIZE];
    bool shown = host.len > 0 && host.len < 100 && str_is_printable(host);

    (void)str_format(reason, sizeof(reason),
                     "the request's Host%s%.*s is not one that the app answers to",
                     shown ? " " : "", shown ? (int)host.len : 0, (const char *)host.data);
    refuse(g, misdirected, reason);
}

static void judge(struct http_guard *g)
{
    struct slice head = buf_slice(&g->head);
    struct slice host;

    switch (http_host_check(head, g->hosts, g->host_count, &host)) {
    case HTTP_HOST_MORE:
        tcp_set_receive_room(g->flow, HTTP_HEAD_MAX);
        break;
    case HTTP_HOST_ALLOWED:
        g->flow = NULL;
        g->events->on_allowed(g->arg, head);
        break;
    case HTTP_HOST_FOREIGN:
        refuse_host(g, host);
        break;
    case HTTP_HOST_MALFORMED:
        refuse(g, bad_request, "the app takes HTTP only, and this was none");
        break;
    }
}

static void on_data(struct flow_handler *h, struct slice bytes)
{
    struct http_guard *g = guard_of(h);

    if (g->refused) {
        tcp_set_receive_room(g->flow,
                             HTTP_HEAD_MAX); /* dropped: it may send on until it reads the answer */
        return;
    }
    if (buf_put(&g->head, bytes) < 0)
        refuse(g, bad_request, "the request's head is too long");
    else
        judge(g);
}

static void on_end(struct flow_handler *h)
{
    struct http_guard *g = guard_of(h);

    if (!g->refused)
        refuse(g, bad_request, "the program ended before its request was whole");
}

static void on_space(struct flow_handler *h)
{
    (void)h;
}

static void on_closed(struct flow_handler *h, enum tcp_end why)
{
    struct http_guard *g = guard_of(h);

    g->flow = NULL;
    g->events->on_closed(g->arg, why);
}

void http_guard_start(struct http_guard *g, struct tcp_flow *flow, char *const *hosts,
                      size_t host_count, const struct http_guard_events *events, void *arg)
{
    *g = (struct http_guard){
        .handler = {.on_data = on_data,
                    .on_end = on_end,
                    .on_space = on_space,
                    .on_closed = on_closed},
        .flow = flow,
        .hosts = hosts,
        .host_count = host_count,
        .events = events,
        .arg = arg,
    };
    buf_init(&g->head, HEAD_CAP);
    stack_take(flow, &g->handler);
    tcp_accept(flow, clock_mono_ns());
}

void http_guard_abort(struct http_guard *g)
{
    struct tcp_flow *flow = STEAL(g->flow);

    if (flow != NULL)
        tcp_abort(flow, clock_mono_ns());
}

void http_guard_release(struct http_guard *g)
{
    buf_release(&g->head);
}
