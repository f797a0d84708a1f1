#include "server.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "lossy.h"
#include "net/checksum.h"
#include "pattern.h"

#define BURST       64 /* packets before a flush */
#define ECHO_MAX    (256 * 1024)
#define STALL_STEP  (64 * 1024)
#define STALL_NS    (20 * NS_PER_MS)
#define PATIENCE_NS (10 * NS_PER_S)
#define SLOW_NS     (300 * NS_PER_MS)

struct server {
    struct link *link;
    bool lossy, failed;
    bool full; /* the device was, at the last write */
    struct tcp_host *host;
    pthread_t thread;
    int stop_fd;
    uint64_t stop_at; /* 0: not asked to */
    struct list apps;
    struct server_result result;
    uint8_t buffer[LINK_BUFFER_SIZE];
};

struct app {
    struct list node;
    struct server *server;
    struct tcp_flow *flow;
    uint16_t port;
    bool bad, ended;
    uint64_t in, out, goal;
    struct buf waiting; /* to be echoed or sent */
    uint8_t question[8];
    uint64_t wake; /* UINT64_MAX: not set */
};

static void push_waiting(struct app *a, uint64_t now)
{
    struct tcp_space space[2];
    while (buf_len(&a->waiting) > 0 && tcp_send_space(a->flow, space) > 0) {
        size_t n = MIN(space[0].len, buf_len(&a->waiting));
        memcpy(space[0].data, buf_slice(&a->waiting).data, n);
        buf_consume(&a->waiting, n);
        tcp_send_commit(a->flow, n, now);
    }
    if (a->ended && buf_len(&a->waiting) == 0)
        tcp_send_end(a->flow, now);
    tcp_set_receive_room(a->flow, ECHO_MAX - buf_len(&a->waiting));
}

static void push_pattern(struct app *a, uint64_t now)
{
    struct tcp_space space[2];
    while (a->out < a->goal && tcp_send_space(a->flow, space) > 0) {
        struct slice bytes = pattern_at(a->out, MIN(space[0].len, a->goal - a->out));
        memcpy(space[0].data, bytes.data, bytes.len);
        a->out += bytes.len;
        tcp_send_commit(a->flow, bytes.len, now);
    }
    if (a->out == a->goal)
        tcp_send_end(a->flow, now);
}

static void report(struct app *a, uint64_t now)
{
    const struct sink_report r = {.bytes = a->in, .good = !a->bad};
    (void)buf_put(&a->waiting, slice_of(&r, sizeof r));
    push_waiting(a, now);
}

static void on_syn(void *arg, struct tcp_flow *flow)
{
    struct server *s = arg;
    uint64_t now = clock_mono_ns();
    uint16_t port = tcp_flow_server(flow)->port;
    struct app *a = port == PORT_REFUSED ? NULL : NEW(struct app);
    if (a == NULL) {
        tcp_refuse(flow, now);
        return;
    }
    *a = (struct app){.server = s, .flow = flow, .port = port, .wake = UINT64_MAX};
    buf_init(&a->waiting, ECHO_MAX + (1U << 20));
    list_push_back(&s->apps, &a->node);
    tcp_flow_set_user(flow, a);
    if (port == PORT_SLOW)
        a->wake = now + SLOW_NS;
    else if (port != PORT_SILENT)
        tcp_accept(flow, now);
}

static void on_established(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    struct app *a = tcp_flow_user(flow);
    if (a->port == PORT_ECHO || a->port == PORT_SLOW)
        tcp_set_receive_room(flow, ECHO_MAX);
    if (a->port == PORT_STALL) {
        tcp_set_receive_room(flow, STALL_STEP);
        a->wake = clock_mono_ns() + STALL_NS;
    }
}

static void take_question(struct app *a, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (a->in + i < 8)
            a->question[a->in + i] = bytes.data[i];
    }
    a->in += bytes.len;
    if (a->in != 8)
        return;
    struct rd r = rd_init(slice_of(a->question, 8));
    a->goal = rd_u64(&r);
    push_pattern(a, clock_mono_ns());
}

static void take_pattern(struct app *a, struct slice bytes)
{
    a->bad |= !pattern_matches(a->in, bytes);
    a->in += bytes.len;
    if (a->port == PORT_SINK)
        tcp_set_receive_room(a->flow, SIZE_MAX);
}

static void on_data(void *arg, struct tcp_flow *flow, struct slice bytes)
{
    struct server *s = arg;
    struct app *a = tcp_flow_user(flow);
    s->result.events_wrong += a->ended;
    switch (a->port) {
    case PORT_SOURCE:
        take_question(a, bytes);
        break;
    case PORT_SINK:
    case PORT_STALL:
        take_pattern(a, bytes);
        break;
    case PORT_ABORT:
        list_remove(&a->node);
        buf_release(&a->waiting);
        mem_free(a);
        tcp_abort(flow, clock_mono_ns());
        break;
    default:
        s->result.events_wrong += buf_put(&a->waiting, bytes) < 0;
        push_waiting(a, clock_mono_ns());
    }
}

static void on_end(void *arg, struct tcp_flow *flow)
{
    struct server *s = arg;
    struct app *a = tcp_flow_user(flow);
    s->result.events_wrong += a->ended;
    a->ended = true;
    if (a->port == PORT_SINK || a->port == PORT_STALL)
        report(a, clock_mono_ns());
    else if (a->port != PORT_SOURCE)
        push_waiting(a, clock_mono_ns());
}

static void on_space(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    struct app *a = tcp_flow_user(flow);
    if (a->port == PORT_SOURCE)
        push_pattern(a, clock_mono_ns());
    else
        push_waiting(a, clock_mono_ns());
}

static void on_closed(void *arg, struct tcp_flow *flow, enum tcp_end why)
{
    struct server *s = arg;
    struct app *a = tcp_flow_user(flow);
    s->result.flows_closed[why]++;
    list_remove(&a->node);
    buf_release(&a->waiting);
    mem_free(a);
}

static int output(void *arg, const struct tcp_packet *p)
{
    struct server *s = arg;
    bool offload = s->link->offload;
    struct link_frame f = {
        .parts = {slice_of(p->head, p->head_len), p->payload[0], p->payload[1]},
        .part_count = 3,
        .version = p->version,
        .gso_size = p->gso_size,
        .header_len = (uint16_t)p->head_len,
        .csum_start = offload ? p->csum_start : 0,
        .csum_offset = offload ? p->csum_offset : 0,
    };
    int r = link_write(s->link, &f);
    s->full = r == ERR_AGAIN;
    return r;
}

static const struct tcp_events events = {
    .on_syn = on_syn,
    .on_established = on_established,
    .on_data = on_data,
    .on_end = on_end,
    .on_space = on_space,
    .on_closed = on_closed,
    .output = output,
};

static void take_packet(struct server *s, struct slice bytes, const struct link_meta *meta)
{
    struct ip_packet packet;
    if (ip_parse(bytes, &packet) < 0 || packet.protocol != IP_TCP)
        return;
    if (meta->csum_partial || meta->csum_valid || checksum_l4_is_good(&packet))
        (void)tcp_input(s->host, &packet, clock_mono_ns());
}

static bool read_burst(struct server *s)
{
    struct link_meta meta;
    struct slice bytes;
    int r = 0;
    for (unsigned i = 0; i < BURST; i++) {
        r = link_read(s->link, s->buffer, &meta, &bytes);
        if (r < 0)
            break;
        take_packet(s, bytes, &meta);
    }
    return r == 0;
}

/* What the slow services do from time to time; when next. */
static uint64_t wake_apps(struct server *s, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    LIST_FOR_EACH (node, &s->apps) {
        struct app *a = LIST_ENTRY(node, struct app, node);
        if (a->wake <= now && a->port == PORT_SLOW) {
            a->wake = UINT64_MAX;
            tcp_accept(a->flow, now);
        } else if (a->wake <= now) {
            a->wake = now + STALL_NS;
            tcp_set_receive_room(a->flow, STALL_STEP);
        }
        next = MIN(next, a->wake);
    }
    return next;
}

static void wait_for_work(struct server *s, uint64_t until)
{
    uint64_t now = clock_mono_ns();
    uint64_t ns = until <= now ? 0 : MIN(until - now, NS_PER_S);
    struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    struct pollfd fds[2] = {
        {.fd = s->link->fd, .events = (short)(POLLIN | (s->full ? POLLOUT : 0))},
        {.fd = s->stop_fd, .events = POLLIN},
    };
    (void)ppoll(fds, 2, &t, NULL);
}

/* Asked to stop, and the last flows have ended, or had their time. */
static bool is_done(struct server *s)
{
    uint64_t count;
    if (read(s->stop_fd, &count, sizeof count) == sizeof count)
        s->stop_at = clock_mono_ns() + PATIENCE_NS;
    return s->stop_at != 0 && (list_empty(&s->apps) || clock_mono_ns() > s->stop_at);
}

static void *run(void *arg)
{
    struct server *s = arg;
    while (!is_done(s)) {
        bool more = read_burst(s);
        uint64_t now = clock_mono_ns();
        uint64_t wake = wake_apps(s, now);
        if (tcp_next_deadline(s->host) <= now)
            tcp_timers(s->host, now);
        (void)tcp_flush(s->host, now);
        if (s->lossy)
            wake = MIN(wake, lossy_pump(s->link));
        if (!more && s->stop_at != 0)
            wake = MIN(wake, now + NS_PER_MS);
        if (!more)
            wait_for_work(s, MIN(wake, tcp_next_deadline(s->host)));
    }
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    s->result.cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return NULL;
}

int server_start(struct link *link, bool lossy, const struct tcp_config *config,
                 struct server **ret_server)
{
    struct server *s = NEW(struct server);
    if (s == NULL)
        return ERR_NOMEM;
    s->link = link;
    s->lossy = lossy;
    list_init(&s->apps);
    s->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int r = tcp_host_new(config, &events, s, &s->host);
    if (r == 0 && pthread_create(&s->thread, NULL, run, s) != 0)
        r = ERR_NOMEM;
    if (r < 0) {
        tcp_host_free(s->host);
        close(s->stop_fd);
        mem_free(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

void server_stop(struct server *server, struct server_result *ret_result)
{
    const uint64_t one = 1;
    (void)!write(server->stop_fd, &one, sizeof one);
    pthread_join(server->thread, NULL);
    tcp_host_get_stats(server->host, &server->result.host);
    *ret_result = server->result;
    LIST_FOR_EACH (node, &server->apps) {
        struct app *a = LIST_ENTRY(node, struct app, node);
        buf_release(&a->waiting);
        mem_free(a);
    }
    tcp_host_free(server->host);
    link_free(server->link);
    close(server->stop_fd);
    mem_free(server);
}
