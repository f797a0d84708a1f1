/* Headers of what goes out. What is the same in all packets of a flow is made once. */
#ifndef STILE_NET_TCP_PACKET_H
#define STILE_NET_TCP_PACKET_H

#include "net/tcp.h"
#include "net/tcp_segment.h"

struct tcp_host;

struct tcp_head {
    uint8_t bytes[IP_HEADER_MAX + TCP_HEADER_SIZE]; /* addresses and ports set, the rest zero */
    uint8_t ip_len;
    uint64_t ip_sum, pseudo_sum; /* of what is set, see checksum.h */
};

/* What is different. Host order, payload and options borrowed. */
struct tcp_fields {
    uint32_t seq, ack;
    uint16_t window;
    uint8_t flags;
    struct slice options; /* a multiple of four bytes */
    struct slice payload[2];
    size_t payload_len;
    uint16_t gso_size;
};

void tcp_head_init(struct tcp_head *h, const struct ip_endpoint *from,
                   const struct ip_endpoint *to);

/* Builds the packet and gives it to the device: what events.output says. */
int tcp_packet_send(struct tcp_host *host, const struct tcp_head *head,
                    const struct tcp_fields *fields);

/* RST for a segment that has no connection (RFC 9293 §3.5.2, group 1). None for an RST. */
void tcp_packet_reset_reply(struct tcp_host *host, const struct ip_packet *packet,
                            const struct tcp_segment *s);

#endif
