/* The TCP endpoint under any sequence of segments, application calls, device states and time. What must hold whatever
 * happens: bytes come out in order, once and right (world.c checks them, both ways); nothing is sent beyond a window a
 * client has offered, nothing acknowledged that wasn't sent; limits hold; time-outs move on; and once everybody is silent,
 * everything ends and nothing is held. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

#define PORTS     3
#define OPS_MAX   400
#define NEAR      3000 /* bytes around an interesting number */
#define MAX_FLOWS 3

struct side {          /* what a client has said, at the most generous */
    int64_t sent_end;  /* its highest number */
    int64_t right;     /* the highest number it takes */
    int64_t acked_max; /* what we acknowledged */
    uint8_t shift;
};

struct fuzz {
    struct world world;
    struct side sides[PORTS];
    struct rd in;
};

static struct fuzz fuzz;

static void check(bool good)
{
    if (!good)
        abort();
}

static struct side *side_of(uint16_t port)
{
    return &fuzz.sides[(port - WORLD_PORT) % PORTS];
}

static void check_segment(const struct seg *s)
{
    struct side *side = side_of(s->port);
    if (s->flags & TCP_RST)
        return;
    if (s->ack >= 0)
        check(s->ack <= side->sent_end);
    if (s->len > 0)
        check(s->seq + s->len <= side->right);
    if (s->gso > 0)
        check(s->len > s->gso);
}

static void check_world(void)
{
    struct world *w = &fuzz.world;
    struct tcp_host_stats stats;
    check(w->problem[0] == '\0');
    for (size_t i = 0; i < w->seen_count; i++)
        check_segment(&w->seen[i]);
    w->seen_count = 0;
    w->event_count = 0;
    tcp_host_get_stats(w->host, &stats);
    check(stats.flows <= w->config.max_flows && stats.pending <= w->config.max_pending);
    check(stats.time_wait <= w->config.max_time_wait && stats.refused <= w->config.max_refused);
    check(stats.rings <= w->config.max_rings);
    check(stats.reordered_bytes <= stats.flows * w->config.receive_window_max);
}

/* A number near one of the interesting ones. */
static int64_t near(const int64_t *points, size_t count)
{
    uint8_t which = rd_u8(&fuzz.in);
    int64_t base = points[which % count];
    if (which < 192)
        return base;
    return base + (int16_t)rd_u16(&fuzz.in) % NEAR;
}

static void note_client(const struct seg *s)
{
    struct side *side = side_of(fuzz.world.current->port);
    int64_t end = s->seq + MAX(s->len, 0) + (s->flags & TCP_FIN ? 1 : 0) + (s->flags & TCP_SYN);
    /* One that may open a flow: the client's numbers start anew with it. */
    bool opens = (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    if (opens)
        side->right = MAX(side->right, 1 + s->win);
    side->sent_end = MAX(side->sent_end, opens ? MAX(end, 2) : end);
    int64_t window = s->flags & TCP_SYN ? s->win : s->win << side->shift;
    if (s->flags & TCP_ACK)
        side->right = MAX(side->right, s->ack + window);
}

static void input_syn(void)
{
    struct client *c = fuzz.world.current;
    struct side *side = side_of(c->port);
    uint8_t options = rd_u8(&fuzz.in);
    int64_t points[] = {0, side->sent_end + 1, 0, 1};
    struct seg s = {.flags = TCP_SYN, .win = rd_u16(&fuzz.in), .mss = -1, .ws = -1};
    s.seq = near(points, ARRAY_LEN(points));
    s.mss = options & 1 ? 500 : 1460;
    s.ws = options & 2 ? options >> 5 : -1;
    s.sackok = options >> 2 & 1;
    struct tcp_flow *before = c->flow;
    world_input(&fuzz.world, &s);
    if (c->flow != NULL && (c->flow != before || c->received == 0))
        *side = (struct side){.sent_end = MAX(1, side->sent_end),
                              .right = MAX(side->right, 1 + s.win),
                              .shift = (uint8_t)MAX(side->shift, MAX(s.ws, 0))};
    side->sent_end = MAX(side->sent_end, 1);
}

static void input_sack(struct seg *s, const struct client *c)
{
    uint8_t count = rd_u8(&fuzz.in);
    int64_t points[] = {s->ack, (int64_t)c->sent / 2, (int64_t)c->sent, s->ack + 1000};
    s->sack_count = count % (TCP_SACK_MAX + 1);
    for (size_t i = 0; i < s->sack_count; i++) {
        s->sack[i].start = (uint32_t)near(points, ARRAY_LEN(points));
        s->sack[i].end = s->sack[i].start + rd_u16(&fuzz.in);
    }
}

static void input_segment(void)
{
    struct client *c = fuzz.world.current;
    const struct side *side = side_of(c->port);
    uint8_t kind = rd_u8(&fuzz.in);
    int64_t next = 1 + (int64_t)c->received;
    int64_t sent = 1 + (int64_t)c->sent;
    int64_t seqs[] = {next, next, side->sent_end, next + 1000};
    int64_t acks[] = {sent, sent + 1, 1 + (int64_t)c->sent / 2, 1};
    struct seg s = {.flags = TCP_ACK, .mss = -1, .ws = -1, .win = rd_u16(&fuzz.in)};
    s.seq = near(seqs, ARRAY_LEN(seqs));
    s.ack = near(acks, ARRAY_LEN(acks));
    if (kind & 1)
        s.len = rd_u16(&fuzz.in) % NEAR;
    if (kind & 2)
        input_sack(&s, c);
    if ((kind >> 2) % 8 == 0)
        s.flags |= TCP_FIN;
    if ((kind >> 2) % 16 == 1)
        s.flags = rd_u8(&fuzz.in) & 0x1f;
    /* world.c knows bytes by their position; there are none before the first. */
    if (s.seq < 1)
        s.len = 0;
    note_client(&s);
    world_input(&fuzz.world, &s);
}

static void act(void)
{
    struct world *w = &fuzz.world;
    struct client *c = w->current;
    uint8_t what = rd_u8(&fuzz.in);
    if (c->flow == NULL)
        return;
    switch (what % 8) {
    case 0:
    case 1:
        tcp_accept(c->flow, w->now);
        break;
    case 2:
        (void)world_send(w, rd_u16(&fuzz.in));
        break;
    case 3:
        (void)world_send(w, rd_u16(&fuzz.in) * 16U);
        break;
    case 4:
        tcp_set_receive_room(c->flow, rd_u16(&fuzz.in));
        break;
    case 5:
        tcp_send_end(c->flow, w->now);
        break;
    case 6:
        tcp_set_receive_room(c->flow, SIZE_MAX);
        break;
    default:
        if (what < 128)
            return;
        if (what < 192)
            tcp_abort(c->flow, w->now);
        else
            tcp_drop(c->flow);
        c->flow = NULL;
    }
}

static void step(void)
{
    struct world *w = &fuzz.world;
    uint8_t op = rd_u8(&fuzz.in);
    w->current = world_client(w, (uint16_t)(WORLD_PORT + (op >> 4) % PORTS));
    switch (op % 16) {
    case 0:
        input_syn();
        break;
    case 1:
    case 2:
    case 3:
        act();
        break;
    case 4:
        world_advance(w, rd_u8(&fuzz.in) * (10 * NS_PER_MS));
        break;
    case 5:
        /* A full device is tried every few milliseconds: that much time would take long. */
        world_advance(w, rd_u8(&fuzz.in) * (w->full ? NS_PER_MS : NS_PER_S / 4));
        break;
    case 6:
        w->full = rd_u8(&fuzz.in) % 4 == 0;
        break;
    case 7:
    case 8:
        (void)tcp_flush(w->host, w->now);
        break;
    default:
        input_segment();
    }
    check_world();
}

/* Nobody says anything any more: everything ends. */
static void end(void)
{
    struct world *w = &fuzz.world;
    struct tcp_host_stats stats;
    w->full = false;
    for (unsigned i = 0; i < 100; i++) {
        world_advance(w, 10 * NS_PER_S);
        (void)tcp_flush(w->host, w->now);
        check_world();
    }
    tcp_host_get_stats(w->host, &stats);
    check(stats.flows == 0 && stats.pending == 0 && stats.time_wait == 0 && stats.refused == 0);
    check(stats.rings == 0 && stats.small_rings == 0 && stats.reordered_bytes == 0);
    check(tcp_next_deadline(w->host) == TCP_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    memset(fuzz.sides, 0, sizeof fuzz.sides);
    world_init(&fuzz.world, data[0] & 1 ? 6 : 4);
    struct tcp_config *c = &fuzz.world.config;
    c->gso_max = data[0] & 2 ? 65535 : 0;
    c->checksum_offload = (data[0] & 4) == 0;
    fuzz.world.unchecked = 100;
    c->receive_window_max = data[0] & 8 ? 200000 : 10000;
    c->send_ring_size = 65536;
    c->max_rings = 1;
    c->max_flows = MAX_FLOWS;
    c->max_pending = 2;
    c->max_time_wait = 2;
    c->max_refused = 2;
    fuzz.world.follow_isn = true;
    fuzz.in = rd_init(slice_of(data + 1, size - 1));
    check(world_start(&fuzz.world) == 0);
    for (unsigned i = 0; i < OPS_MAX && rd_left(&fuzz.in) > 0; i++)
        step();
    end();
    world_release(&fuzz.world);
    return 0;
}
