/* A TCP endpoint for the near side of a TUN: passive, sans-I/O, no thread, no clock of its own.
 *
 * Theory of operation
 *
 * A host holds the flows of one worker. Segments go in (tcp_input), application calls go in, the
 * time is an argument; segments come out (events.output) and so do events. Nothing else happens: no
 * system call, no randomness but the secret given at the start. Times are nanoseconds of one
 * monotonic clock.
 *
 * The peer is a kernel on the same machine. So: flow control and retransmission (RFC 9293, 7323,
 * 2018, 6298, 5961, 6528) but no congestion control; what is lost was lost to a full queue, and
 * then less is put in flight for a while.
 *
 *      SYN in ──► PENDING ──tcp_accept──► SYN_RCVD ──► ESTABLISHED ──► … ──► on_closed
 *                    └──────tcp_refuse──► RST, remembered for a while
 *
 * PENDING is ours: nothing is promised to the client until the application knows that the far end
 * has answered. The client repeats its SYN meanwhile; when the next one stays away it has given up,
 * and the flow ends with TCP_END_GAVE_UP.
 *
 * Work in bursts: read packets until the device is empty (or a bound), tcp_input for each, do what
 * the events asked for, then tcp_flush once: it sends one ACK per flow, and data in segments of up
 * to gso_max. tcp_send_commit sends by itself only when a whole such segment is ready. Events come
 * from tcp_input, tcp_flush and tcp_timers only, never from the calls on a flow; a callback may
 * make any call on any flow, but not those three.
 *
 * Received payload is lent to on_data from the packet's own buffer, in order, exactly once, and
 * never more than the room the application granted. What arrives out of order is copied and kept,
 * at most a window of it. Data to send is written by the application into the flow's send ring
 * (tcp_send_space, tcp_send_commit), goes out as slices of it and stays there until acknowledged; a
 * flow with nothing unacknowledged holds no ring.
 */
#ifndef STILE_NET_TCP_H
#define STILE_NET_TCP_H

#include "net/ip.h"

struct tcp_host;
struct tcp_flow;

#define TCP_HEADER_SIZE     20
#define TCP_HEADER_MAX      60
#define TCP_PACKET_HEAD_MAX (IP_HEADER_MAX + TCP_HEADER_MAX)
#define TCP_NEVER           UINT64_MAX

/* A segment on its way out. Valid during the output callback only. */
struct tcp_packet {
    uint8_t head[TCP_PACKET_HEAD_MAX]; /* IP and TCP header, complete */
    size_t head_len;
    struct slice payload[2]; /* parts of a send ring; either may be empty */
    size_t payload_len;      /* of both */
    uint8_t version;         /* 4 or 6 */
    uint16_t
        gso_size; /* payload bytes per segment after the device has cut it; 0: one plain segment */
    uint16_t csum_start;  /* with checksum_offload: where the TCP header starts, and the offset of
                             its checksum */
    uint16_t csum_offset; /* field (which holds the pseudo-header's sum). Else the checksum is
                             complete. */
};

/* Why a flow ended. */
enum tcp_end {
    TCP_END_DONE,    /* both directions were closed in order */
    TCP_END_RESET,   /* the client sent RST */
    TCP_END_TIMEOUT, /* the client stopped answering */
    TCP_END_GAVE_UP, /* while PENDING: the client no longer repeats its SYN, or reset or replaced it
                      */
};

struct tcp_events {
    /* A new flow in PENDING: answer with tcp_accept or tcp_refuse (or tcp_drop), now or later. */
    void (*on_syn)(void *arg, struct tcp_flow *flow);
    void (*on_established)(void *arg, struct tcp_flow *flow);
    /* All of it is taken. */
    void (*on_data)(void *arg, struct tcp_flow *flow, struct slice bytes);
    /* The client's FIN: no more data. Sending goes on. */
    void (*on_end)(void *arg, struct tcp_flow *flow);
    /* There is room in the send ring (again). Asked for by a tcp_send_space that gave 0. */
    void (*on_space)(void *arg, struct tcp_flow *flow);
    /* The flow is gone when this returns. Not called after tcp_refuse, tcp_drop and tcp_abort. */
    void (*on_closed)(void *arg, struct tcp_flow *flow, enum tcp_end why);
    /* 0; ERR_AGAIN: the device is full, tcp_flush will offer it again; any other error: the packet
     * is lost. May not call anything here. */
    int (*output)(void *arg, const struct tcp_packet *packet);
};

struct tcp_config {
    uint8_t secret[16]; /* random: hashes, initial sequence numbers */
    uint16_t mtu;       /* of the link, ≥ 1280 */
    uint32_t gso_max;   /* most payload in one output when the device cuts it into segments; 0: it
                           doesn't */
    bool checksum_offload;     /* the device finishes checksums */
    size_t receive_window_max; /* bytes; also the most that is kept out of order per flow */
    size_t send_ring_size;     /* bytes, a power of two ≥ 65536 */
    size_t max_rings;     /* rings of that size at once; flows beyond get small ones of 16 KiB */
    size_t max_flows;     /* all states but TIME_WAIT; SYNs over it are ignored, as if lost */
    size_t max_pending;   /* of these in PENDING or SYN_RCVD */
    size_t max_time_wait; /* the oldest make room */
    size_t max_refused;   /* refusals remembered; the oldest make room */
    uint64_t refused_ns;  /* for how long */
    uint64_t time_wait_ns;
    uint64_t rto_min_ns; /* bounds of the retransmission time-out (RFC 6298 has 1 s and 60 s) */
    uint64_t rto_max_ns;
    uint64_t give_up_ns;   /* unanswered retransmissions or probes for so long end the flow */
    uint64_t keepalive_ns; /* idle for so long: probe; 0 never */
    uint64_t
        pending_first_ns; /* the second SYN must come within this (Linux 1 s, Windows up to 3 s) */
};

/* Everything but the secret and the device (MTU 1500, no offload). */
void tcp_config_defaults(struct tcp_config *ret_config);

/* events is kept by reference, config is copied. ERR_INVAL, ERR_NOMEM. */
MUST_CHECK int tcp_host_new(const struct tcp_config *config, const struct tcp_events *events,
                            void *arg, struct tcp_host **ret_host);
/* Flows are freed without a word to anyone. */
void tcp_host_free(struct tcp_host *host);
/* Gives what is kept for the next flows back: for quiet times. */
void tcp_host_trim(struct tcp_host *host);
/* RST to every client (a worker that ends in good order), no events. The host is empty afterwards.
 */
void tcp_host_abort_all(struct tcp_host *host, uint64_t now);

/* One TCP packet; its checksum is known to be good or the device vouches for it (else:
 * checksum_l4_is_good first). 0, or ERR_TRUNCATED or ERR_FORMAT for what is no TCP segment;
 * everything else is TCP's own business and gives 0. */
int tcp_input(struct tcp_host *host, const struct ip_packet *packet, uint64_t now);
/* At the end of a burst, and when the device takes output again: ACKs, window updates and data go
 * out. ERR_AGAIN if something still waits for the device. */
int tcp_flush(struct tcp_host *host, uint64_t now);
/* When tcp_timers wants to be called, TCP_NEVER if not at all. May be early, never late. */
uint64_t tcp_next_deadline(const struct tcp_host *host);
/* Retransmissions, probes, ends. Call tcp_flush afterwards. */
void tcp_timers(struct tcp_host *host, uint64_t now);
/* True if a flow (or its TIME_WAIT) with this packet's addresses and ports is here: for packets on
 * another's queue. */
bool tcp_host_has(const struct tcp_host *host, const struct ip_packet *packet);

/* PENDING only. */
void tcp_accept(struct tcp_flow *flow, uint64_t now); /* the SYN-ACK leaves at once */
void tcp_refuse(struct tcp_flow *flow,
                uint64_t now); /* RST, at once and for repeated SYNs; the flow is gone */
/* Any state: the flow is gone and its client isn't told. For clients that are known to be gone
 * themselves. */
void tcp_drop(struct tcp_flow *flow);
/* After tcp_accept: RST; the flow is gone. In PENDING: tcp_refuse. */
void tcp_abort(struct tcp_flow *flow, uint64_t now);

/* The application can take so many bytes beyond those on_data has given it: the window, capped by
 * receive_window_max. 0 stalls the client. A promise once made is kept (RFC 9293 §3.8.6): less
 * takes effect as data arrives. At first it is receive_window_max. What this opens is announced by
 * tcp_flush. */
void tcp_set_receive_room(struct tcp_flow *flow, size_t bytes);

/* Where the next bytes to send go: up to two parts of the ring, total length. 0: no room now,
 * on_space will tell. Valid until the next call on this flow or of tcp_flush. From tcp_accept on; 0
 * after tcp_send_end. */
struct tcp_space {
    uint8_t *data;
    size_t len;
};
size_t tcp_send_space(struct tcp_flow *flow, struct tcp_space ret_space[2]);
/* n of these bytes, from the start, were filled. Leaves at tcp_flush, or now if a whole gso_max is
 * ready. */
void tcp_send_commit(struct tcp_flow *flow, size_t n, uint64_t now);
/* FIN after what was committed. Receiving goes on. Once is enough. */
void tcp_send_end(struct tcp_flow *flow, uint64_t now);

const struct ip_endpoint *tcp_flow_client(const struct tcp_flow *flow); /* the program's side */
const struct ip_endpoint *
tcp_flow_server(const struct tcp_flow *flow); /* ours: the virtual address */
void tcp_flow_set_user(struct tcp_flow *flow, void *user);
void *tcp_flow_user(const struct tcp_flow *flow);
const char *tcp_flow_state_name(const struct tcp_flow *flow); /* "ESTABLISHED" */

struct tcp_flow_stats {
    uint64_t bytes_in;      /* delivered to the application */
    uint64_t bytes_out;     /* acknowledged by the client */
    uint64_t retransmitted; /* bytes sent again */
    uint64_t srtt_ns;       /* smoothed round trip, 0 if not known */
    uint32_t syns;          /* how often the client sent its SYN */
};
void tcp_flow_get_stats(const struct tcp_flow *flow, struct tcp_flow_stats *ret_stats);

struct tcp_host_stats {
    size_t flows, pending, time_wait, refused; /* now */
    size_t rings, small_rings;                 /* in use now */
    size_t reordered_bytes;                    /* kept out of order, now */
    uint64_t segments_in, segments_out;        /* in all */
    uint64_t syns_ignored;                     /* over a limit */
    uint64_t resets_out, challenges_out, retransmits, timeouts;
};
void tcp_host_get_stats(const struct tcp_host *host, struct tcp_host_stats *ret_stats);

#endif
