#include "net/tcp_packet.h"

#include <string.h>

#include "base/err.h"
#include "net/checksum.h"
#include "net/tcp_internal.h"

#define CSUM_OFFSET 16 /* in the TCP header */

static void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, (uint16_t)(v >> 16));
    put_u16(p + 2, (uint16_t)v);
}

void tcp_head_init(struct tcp_head *h, const struct ip_endpoint *from, const struct ip_endpoint *to)
{
    memset(h, 0, sizeof *h);
    h->ip_len = (uint8_t)ip_write_header(h->bytes, &from->addr, &to->addr, IP_TCP, 0);
    put_u16(h->bytes + h->ip_len, from->port);
    put_u16(h->bytes + h->ip_len + 2, to->port);
    if (from->addr.version == 4) {
        memset(h->bytes + 2, 0, 2);
        memset(h->bytes + 10, 0, 2);
        struct checksum ip = {0};
        checksum_add(&ip, slice_of(h->bytes, IP4_HEADER_SIZE));
        h->ip_sum = ip.sum;
    }
    struct checksum pseudo = {0};
    checksum_add_pseudo(&pseudo, &from->addr, &to->addr, IP_TCP, 0);
    h->pseudo_sum = pseudo.sum;
}

static void finish_ip(struct tcp_packet *p, const struct tcp_head *head, size_t l4_len)
{
    uint8_t *ip = p->head;
    if (p->version == 6) {
        put_u16(ip + 4, (uint16_t)l4_len);
        return;
    }
    put_u16(ip + 2, (uint16_t)(IP4_HEADER_SIZE + l4_len));
    struct checksum c = {.sum = head->ip_sum};
    checksum_add(&c, slice_of(ip + 2, 2));
    checksum_put(&c, ip + 10);
}

static void finish_checksum(struct tcp_packet *p, const struct tcp_head *head, size_t l4_len,
                            bool offload)
{
    uint8_t length[2];
    put_u16(length, (uint16_t)l4_len);
    struct checksum c = {.sum = head->pseudo_sum};
    checksum_add(&c, slice_of(length, 2));
    uint8_t *tcp = p->head + head->ip_len;
    if (offload) {
        checksum_put_partial(&c, tcp + CSUM_OFFSET);
        return;
    }
    checksum_add(&c, slice_of(tcp, p->head_len - head->ip_len));
    checksum_add(&c, p->payload[0]);
    checksum_add(&c, p->payload[1]);
    checksum_put(&c, tcp + CSUM_OFFSET);
}

int tcp_packet_send(struct tcp_host *host, const struct tcp_head *head,
                    const struct tcp_fields *fields)
{
    struct tcp_packet *p = &host->packet;
    memcpy(p->head, head->bytes, sizeof head->bytes);
    uint8_t *tcp = p->head + head->ip_len;
    size_t tcp_len = TCP_HEADER_SIZE + fields->options.len;
    put_u32(tcp + 4, fields->seq);
    put_u32(tcp + 8, fields->ack);
    tcp[12] = (uint8_t)(tcp_len / 4 << 4);
    tcp[13] = fields->flags;
    put_u16(tcp + 14, fields->window);
    if (fields->options.len > 0)
        memcpy(tcp + TCP_HEADER_SIZE, fields->options.data, fields->options.len);
    p->head_len = head->ip_len + tcp_len;
    p->payload[0] = fields->payload[0];
    p->payload[1] = fields->payload[1];
    p->payload_len = fields->payload_len;
    p->version = head->ip_len == IP4_HEADER_SIZE ? 4 : 6;
    p->gso_size = fields->gso_size;
    p->csum_start = head->ip_len;
    p->csum_offset = CSUM_OFFSET;
    finish_ip(p, head, tcp_len + fields->payload_len);
    finish_checksum(p, head, tcp_len + fields->payload_len, host->config.checksum_offload);
    int r = host->events->output(host->arg, p);
    if (r == ERR_AGAIN) {
        host->blocked = true;
        return ERR_AGAIN;
    }
    host->stats.segments_out++;
    return 0;
}

void tcp_packet_reset_reply(struct tcp_host *host, const struct ip_packet *packet,
                            const struct tcp_segment *s)
{
    if (s->flags & TCP_RST)
        return;
    struct ip_endpoint client = {packet->src, s->src_port};
    struct ip_endpoint server = {packet->dst, s->dst_port};
    struct tcp_head head;
    tcp_head_init(&head, &server, &client);
    struct tcp_fields fields = {.flags = TCP_RST | TCP_ACK, .ack = s->end};
    if (s->flags & TCP_ACK)
        fields = (struct tcp_fields){.flags = TCP_RST, .seq = s->ack};
    (void)tcp_packet_send(host, &head, &fields);
    host->stats.resets_out++;
}
