#include "engine/stack.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/checksum.h"
#include "net/icmp.h"

#define RECEIVE_WINDOW ((size_t)1024 * 1024)
#define SEND_RING_SIZE ((size_t)1024 * 1024)
#define RINGS_MAX      256
#define FLOWS_MAX      16384 /* per worker */
#define GSO_MAX        65160 /* with its headers under 64 KiB, and 45 segments of 1448 bytes */
#define DNS_PORT       53

struct stack {
    struct link *link;
    struct names *names;
    struct tcp_host *tcp;
    const struct stack_events *events;
    void *arg;
    struct stack_stats stats;
    uint8_t *buffer; /* LINK_BUFFER_SIZE */
};

/* ---- out ---- */

static int send_frame(struct stack *s, const struct link_frame *frame)
{
    int r = link_write(s->link, frame);
    if (r < 0 && r != ERR_AGAIN)
        s->stats.lost_out++;
    return r;
}

static int output(void *arg, const struct tcp_packet *p)
{
    struct stack *s = arg;
    const struct link_frame frame = {
        .parts = {slice_of(p->head, p->head_len), p->payload[0], p->payload[1]},
        .part_count = 3,
        .version = p->version,
        .gso_size = p->gso_size,
        .header_len = (uint16_t)p->head_len,
        .csum_start = s->link->offload ? p->csum_start : 0,
        .csum_offset = p->csum_offset,
    };
    return send_frame(s, &frame);
}

/* A whole packet with complete checksums. What the device doesn't take is lost, as datagrams may be. */
static void send_whole(struct stack *s, uint8_t version, const uint8_t *packet, size_t len)
{
    const struct link_frame frame = {
        .parts = {slice_of(packet, len)}, .part_count = 1, .version = version};
    (void)send_frame(s, &frame);
}

void stack_reply_udp(struct stack *s, const struct ip_endpoint *from, const struct ip_endpoint *to,
                     struct slice payload)
{
    const struct udp_datagram datagram = {.src = *from, .dst = *to, .payload = payload};
    size_t size = payload.len + UDP_HEADER_SIZE + IP_HEADER_MAX;
    size_t len = 0;
    CLEANUP(mem_freep) uint8_t *packet = mem_alloc(size);
    if (packet == NULL || udp_write(packet, size, &datagram, &len) < 0)
        return;
    if (len <= s->link->mtu)
        send_whole(s, from->addr.version, packet, len);
}

/* ---- in ---- */

static bool is_ours(const struct stack *s, const struct ip_addr *addr)
{
    if (names_is_dns(s->names, addr))
        return true;
    struct names_app *app = names_by_addr(s->names, addr);
    bool known = app != NULL;
    names_app_unref(app);
    return known;
}

static void input_icmp(struct stack *s, const struct ip_packet *p)
{
    size_t size = p->whole.len + IP_HEADER_MAX;
    size_t len = 0;
    if (!icmp_is_echo_request(p) || !is_ours(s, &p->dst))
        return;
    CLEANUP(mem_freep) uint8_t *packet = mem_alloc(size);
    if (packet != NULL && icmp_write_echo_reply(packet, size, p, &len) == 0)
        send_whole(s, p->version, packet, len);
}

static void tell_unreachable(struct stack *s, const struct ip_packet *p, enum icmp_unreachable why)
{
    uint8_t packet[ICMP_ERROR_MAX];
    size_t len = 0;
    if (icmp_write_unreachable(packet, sizeof(packet), p, why, &len) == 0)
        send_whole(s, p->version, packet, len);
}

static void input_udp(struct stack *s, const struct ip_packet *p)
{
    struct udp_datagram datagram;
    if (udp_parse(p, &datagram) < 0) {
        s->stats.malformed++;
        return;
    }
    /* Names are for programs of this host: whoever asks through it has another source. */
    if (datagram.dst.port == DNS_PORT && names_is_dns(s->names, &p->dst) &&
        names_is_tun(s->names, &p->src))
        s->events->on_dns(s->arg, &datagram);
    else if (names_in_ranges(s->names, &p->dst))
        tell_unreachable(s, p, ICMP_PORT_UNREACHABLE);
}

/* The bits of a TCP header's flags byte: a segment that begins a flow has SYN alone of the two. */
static bool begins_flow(const struct ip_packet *p)
{
    return p->l4.len >= TCP_HEADER_SIZE && (p->l4.data[13] & 0x12) == 0x02;
}

static void input_tcp(struct stack *s, const struct ip_packet *p)
{
    if (s->events->on_stray != NULL && !begins_flow(p) && !tcp_host_has(s->tcp, p) &&
        s->events->on_stray(s->arg, p->whole))
        return;
    if (tcp_input(s->tcp, p, clock_mono_ns()) < 0)
        s->stats.malformed++;
}

static void input(struct stack *s, struct slice packet, const struct link_meta *meta)
{
    struct ip_packet p;
    s->stats.packets_in++;
    if (ip_parse(packet, &p) < 0) {
        s->stats.malformed++;
        return;
    }
    if (!meta->csum_partial && !meta->csum_valid && !checksum_l4_is_good(&p)) {
        s->stats.bad_checksum++;
        return;
    }
    if (p.protocol == IP_TCP)
        input_tcp(s, &p);
    else if (p.protocol == IP_UDP)
        input_udp(s, &p);
    else if (p.protocol == IP_ICMP || p.protocol == IP_ICMP6)
        input_icmp(s, &p);
}

int stack_read(struct stack *s, bool *ret_more)
{
    size_t bytes = 0;
    for (size_t n = 0; n < STACK_BURST_PACKETS && bytes < STACK_BURST_BYTES; n++) {
        struct link_meta meta = {0};
        struct slice packet = {0};
        int r = link_read(s->link, s->buffer, &meta, &packet);
        if (r == ERR_AGAIN) {
            *ret_more = false;
            return 0;
        }
        if (r < 0)
            return r;
        bytes += packet.len;
        input(s, packet, &meta);
    }
    *ret_more = true;
    return 0;
}

void stack_adopt(struct stack *s, struct slice packet)
{
    struct ip_packet p;
    if (ip_parse(packet, &p) == 0 && p.protocol == IP_TCP)
        (void)tcp_input(s->tcp, &p, clock_mono_ns());
}

int stack_flush(struct stack *s)
{
    return tcp_flush(s->tcp, clock_mono_ns());
}

uint64_t stack_timers(struct stack *s)
{
    uint64_t now = clock_mono_ns();
    if (tcp_next_deadline(s->tcp) <= now)
        tcp_timers(s->tcp, now);
    return tcp_next_deadline(s->tcp);
}

uint64_t stack_next_deadline(const struct stack *s)
{
    return tcp_next_deadline(s->tcp);
}

/* ---- events of TCP ---- */

static void on_syn(void *arg, struct tcp_flow *flow)
{
    struct stack *s = arg;
    s->events->on_syn(s->arg, flow);
}

static void on_established(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    (void)flow;
}

static void on_data(void *arg, struct tcp_flow *flow, struct slice bytes)
{
    (void)arg;
    struct flow_handler *h = tcp_flow_user(flow);
    h->on_data(h, bytes);
}

static void on_end(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    struct flow_handler *h = tcp_flow_user(flow);
    h->on_end(h);
}

static void on_space(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    struct flow_handler *h = tcp_flow_user(flow);
    h->on_space(h);
}

static void on_closed(void *arg, struct tcp_flow *flow, enum tcp_end why)
{
    (void)arg;
    struct flow_handler *h = tcp_flow_user(flow);
    h->on_closed(h, why);
}

static const struct tcp_events tcp_events = {
    .on_syn = on_syn,
    .on_established = on_established,
    .on_data = on_data,
    .on_end = on_end,
    .on_space = on_space,
    .on_closed = on_closed,
    .output = output,
};

void stack_take(struct tcp_flow *flow, struct flow_handler *h)
{
    tcp_flow_set_user(flow, h);
}

/* ---- life ---- */

static int tcp_new(struct stack *s)
{
    struct tcp_config config;
    tcp_config_defaults(&config);
    random_bytes(config.secret, sizeof(config.secret));
    config.mtu = (uint16_t)s->link->mtu;
    config.gso_max = s->link->offload ? GSO_MAX : 0;
    config.checksum_offload = s->link->offload;
    config.receive_window_max = RECEIVE_WINDOW;
    config.send_ring_size = SEND_RING_SIZE;
    config.max_rings = RINGS_MAX;
    config.max_flows = FLOWS_MAX;
    return tcp_host_new(&config, &tcp_events, s, &s->tcp);
}

int stack_new(struct link *link, struct names *names, const struct stack_events *events, void *arg,
              struct stack **ret)
{
    struct stack *s = NEW(struct stack);
    if (s == NULL)
        return ERR_NOMEM;
    s->link = link;
    s->names = names;
    s->events = events;
    s->arg = arg;
    s->buffer = mem_alloc(LINK_BUFFER_SIZE);
    int r = s->buffer == NULL ? ERR_NOMEM : tcp_new(s);
    if (r < 0) {
        stack_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void stack_free(struct stack *s)
{
    if (s == NULL)
        return;
    if (s->tcp != NULL) {
        tcp_host_abort_all(s->tcp, clock_mono_ns());
        tcp_host_free(s->tcp);
    }
    mem_free(s->buffer);
    mem_free(s);
}

struct tcp_host *stack_tcp(struct stack *s)
{
    return s->tcp;
}

const struct stack_stats *stack_stats(const struct stack *s)
{
    return &s->stats;
}
