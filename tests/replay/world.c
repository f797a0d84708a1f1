#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "net/checksum.h"

#define START_NS  (1000 * NS_PER_S)
#define STEPS_MAX 100000 /* time-outs in one advance: more is a loop */

#define PERIOD 65521 /* a prime: nothing that is moved goes unnoticed */
#define RUN    70000 /* bytes in one piece from any position */

static const uint8_t *bytes_at(uint64_t position)
{
    static uint8_t bytes[PERIOD + RUN];
    if (bytes[0] == 0) {
        uint32_t x = 1;
        for (size_t i = 0; i < PERIOD; i++) {
            x = x * 1664525 + 1013904223;
            bytes[i] = (uint8_t)(x >> 24) | (i == 0 ? 1 : 0);
        }
        for (size_t i = PERIOD; i < sizeof bytes; i++)
            bytes[i] = bytes[i - PERIOD];
    }
    return bytes + position % PERIOD;
}

static void problem(struct world *w, const char *text)
{
    if (w->problem[0] == '\0')
        (void)str_format(w->problem, sizeof w->problem, "%s", text);
}

static struct ip_endpoint client_endpoint(const struct world *w, uint16_t port)
{
    static const uint8_t v6[16] = {0xfd, 0x77, [15] = 1};
    struct ip_addr a = w->version == 4 ? ip_addr_v4(10, 77, 0, 1) : ip_addr_from(6, v6);
    return (struct ip_endpoint){a, port};
}

static struct ip_endpoint server_endpoint(const struct world *w)
{
    static const uint8_t v6[16] = {0xfd, 0x77, [15] = 5};
    struct ip_addr a = w->version == 4 ? ip_addr_v4(10, 77, 0, 5) : ip_addr_from(6, v6);
    return (struct ip_endpoint){a, 443};
}

struct client *world_client(struct world *w, uint16_t port)
{
    for (size_t i = 0; i < w->client_count; i++) {
        if (w->clients[i].port == port)
            return &w->clients[i];
    }
    if (w->client_count == WORLD_CLIENTS)
        return NULL;
    struct client *c = &w->clients[w->client_count++];
    *c = (struct client){.port = port, .isn = 100000};
    return c;
}

static struct client *client_of(struct world *w, const struct tcp_flow *flow)
{
    return world_client(w, tcp_flow_client(flow)->port);
}

PRINTF_LIKE(3, 4)
static void record(struct world *w, struct tcp_flow *flow, const char *fmt, ...)
{
    if (w->event_count == WORLD_SEEN) {
        problem(w, "too many events");
        return;
    }
    struct event *e = &w->events[w->event_count++];
    e->port = tcp_flow_client(flow)->port;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e->text, sizeof e->text, fmt, args);
    va_end(args);
    if (w->hook != NULL)
        w->hook(w, flow, e->text);
}

static void on_syn(void *arg, struct tcp_flow *flow)
{
    struct world *w = arg;
    struct client *c = client_of(arg, flow);
    if (c == NULL)
        return;
    c->flow = flow;
    if (w->follow_isn)
        c->isn += (uint32_t)w->last_seq;
    c->received = 0;
    c->sent = 0;
    c->has_iss = false;
    record(arg, flow, "syn");
}

static void on_established(void *arg, struct tcp_flow *flow)
{
    record(arg, flow, "established");
}

static void on_data(void *arg, struct tcp_flow *flow, struct slice bytes)
{
    struct client *c = client_of(arg, flow);
    if (c == NULL)
        return;
    if (!slice_eq(bytes, slice_of(bytes_at(c->received), bytes.len)))
        problem(arg, "on_data gave a wrong byte");
    c->received += bytes.len;
    record(arg, flow, "data %zu", bytes.len);
}

static void on_end(void *arg, struct tcp_flow *flow)
{
    record(arg, flow, "end");
}

static void on_space(void *arg, struct tcp_flow *flow)
{
    record(arg, flow, "space");
}

static void on_closed(void *arg, struct tcp_flow *flow, enum tcp_end why)
{
    static const char *const names[] = {"DONE", "RESET", "TIMEOUT", "GAVE_UP"};
    struct client *c = client_of(arg, flow);
    if (c != NULL)
        c->flow = NULL;
    record(arg, flow, "closed %s", names[why]);
}

static void check_payload(struct world *w, const struct seg *s, struct slice payload)
{
    if (payload.len > 0 &&
        !slice_eq(payload, slice_of(bytes_at((uint64_t)(s->seq - 1)), payload.len)))
        problem(w, "a segment holds a wrong byte");
}

static void describe(struct world *w, struct client *c, const struct tcp_segment *t, struct seg *s)
{
    struct tcp_offer offer;
    if ((t->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
        c->iss = t->seq;
        c->has_iss = true;
    }
    /* The SYN-ACK never came out, but the client had guessed its number: the one of the connection before. */
    if ((t->flags & (TCP_SYN | TCP_RST)) == 0)
        c->has_iss = true;
    *s = (struct seg){.port = c->port, .flags = t->flags, .mss = -1, .ws = -1};
    s->seq = c->has_iss ? t->seq - c->iss : t->seq;
    s->ack = t->flags & TCP_ACK ? (int64_t)(t->ack - c->isn) : -1;
    s->len = (int64_t)t->payload.len;
    s->win = t->window;
    s->sack_count = tcp_options_parse_sack(t->options, s->sack);
    for (size_t i = 0; i < s->sack_count; i++) {
        s->sack[i].start -= c->isn;
        s->sack[i].end -= c->isn;
    }
    if (t->flags & TCP_SYN) {
        tcp_options_parse_syn(t->options, &offer);
        s->mss = offer.mss;
        s->ws = offer.has_shift ? offer.shift : -1;
        s->sackok = offer.has_sack;
    }
    check_payload(w, s, t->payload);
}

/* The parts of a packet in one piece, its checksum finished if that was left to the device. */
static struct slice assemble(struct world *w, const struct tcp_packet *p)
{
    struct wr wr = wr_init(w->packet, sizeof w->packet);
    wr_bytes(&wr, slice_of(p->head, p->head_len));
    wr_bytes(&wr, p->payload[0]);
    wr_bytes(&wr, p->payload[1]);
    size_t len = wr_len(&wr);
    if (w->config.checksum_offload && (w->unchecked == 0 || p->payload_len <= w->unchecked)) {
        struct checksum c = {0};
        checksum_add(&c, slice_of(w->packet + p->csum_start, len - p->csum_start));
        checksum_put(&c, w->packet + p->csum_start + p->csum_offset);
    }
    return slice_of(w->packet, len);
}

static int output(void *arg, const struct tcp_packet *p)
{
    struct world *w = arg;
    struct ip_packet ip;
    struct tcp_segment t;
    if (w->full)
        return ERR_AGAIN;
    struct slice bytes = assemble(w, p);
    bool check = w->unchecked == 0 || p->payload_len <= w->unchecked;
    if (ip_parse(bytes, &ip) < 0 || (check && !checksum_l4_is_good(&ip)) ||
        ip.whole.len != bytes.len || tcp_segment_parse(ip.l4, &t) < 0 ||
        t.payload.len != p->payload_len)
        problem(w, "a malformed packet came out");
    else if (w->seen_count == WORLD_SEEN)
        problem(w, "too many segments");
    else {
        struct client *c = world_client(w, t.dst_port);
        if (c == NULL)
            return 0;
        struct seg *s = &w->seen[w->seen_count++];
        describe(w, c, &t, s);
        s->gso = p->gso_size;
    }
    return 0;
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

void world_init(struct world *w, uint8_t version)
{
    memset(w, 0, sizeof *w);
    tcp_config_defaults(&w->config);
    memcpy(w->config.secret, "0123456789abcdef", sizeof w->config.secret);
    w->version = version;
    w->now = START_NS;
    w->current = world_client(w, WORLD_PORT);
}

int world_start(struct world *w)
{
    return w->host != NULL ? 0 : tcp_host_new(&w->config, &events, w, &w->host);
}

void world_release(struct world *w)
{
    tcp_host_free(w->host);
    w->host = NULL;
}

static size_t write_options(const struct world *w, const struct seg *s, uint8_t *options)
{
    if (s->flags & TCP_SYN) {
        struct tcp_offer offer = {.mss = (uint16_t)MAX(s->mss, 0),
                                  .has_shift = s->ws >= 0,
                                  .shift = (uint8_t)MAX(s->ws, 0),
                                  .has_sack = s->sackok == 1};
        return tcp_options_write_syn(options, &offer);
    }
    if (s->sack_count == 0)
        return 0;
    struct tcp_block blocks[TCP_SACK_MAX];
    for (size_t i = 0; i < s->sack_count; i++) {
        blocks[i].start = s->sack[i].start + w->current->iss;
        blocks[i].end = s->sack[i].end + w->current->iss;
    }
    return tcp_options_write_sack(options, blocks, s->sack_count);
}

void world_input(struct world *w, const struct seg *s)
{
    const struct client *c = w->current;
    w->last_seq = s->seq;
    struct ip_endpoint from = client_endpoint(w, c->port);
    struct ip_endpoint to = server_endpoint(w);
    uint8_t options[TCP_OPTIONS_MAX];
    size_t options_len = write_options(w, s, options);
    size_t len = (size_t)MAX(s->len, 0);
    size_t l4_len = TCP_HEADER_SIZE + options_len + len;
    size_t ip_len = ip_write_header(w->packet, &from.addr, &to.addr, IP_TCP, l4_len);
    struct wr wr = wr_init(w->packet + ip_len, sizeof w->packet - ip_len);
    wr_u16(&wr, from.port);
    wr_u16(&wr, to.port);
    wr_u32(&wr, (uint32_t)s->seq + c->isn);
    wr_u32(&wr, s->flags & TCP_ACK ? (uint32_t)s->ack + c->iss : 0);
    wr_u8(&wr, (uint8_t)((TCP_HEADER_SIZE + options_len) / 4 << 4));
    wr_u8(&wr, s->flags);
    wr_u16(&wr, (uint16_t)s->win);
    wr_u32(&wr, 0);
    wr_bytes(&wr, slice_of(options, options_len));
    if (len > 0)
        wr_bytes(&wr, slice_of(bytes_at((uint64_t)(s->seq - 1)), len));
    struct ip_packet packet;
    if (ip_parse(slice_of(w->packet, ip_len + l4_len), &packet) < 0)
        problem(w, "the scenario's segment isn't one");
    else
        (void)tcp_input(w->host, &packet, w->now);
}

void world_advance(struct world *w, uint64_t ns)
{
    uint64_t until = w->now + ns;
    unsigned steps = 0;
    while (tcp_next_deadline(w->host) <= until) {
        if (++steps > STEPS_MAX) {
            problem(w, "time-outs without end");
            return;
        }
        w->now = MAX(w->now, tcp_next_deadline(w->host));
        tcp_timers(w->host, w->now);
        (void)tcp_flush(w->host, w->now);
    }
    w->now = until;
}

size_t world_send(struct world *w, size_t n)
{
    struct client *c = w->current;
    struct tcp_space space[2];
    size_t done = 0;
    while (done < n && c->flow != NULL && tcp_send_space(c->flow, space) > 0) {
        size_t part = MIN(MIN(n - done, space[0].len), (size_t)RUN);
        memcpy(space[0].data, bytes_at(c->sent), part);
        tcp_send_commit(c->flow, part, w->now);
        c->sent += part;
        done += part;
    }
    return done;
}
