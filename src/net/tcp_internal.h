/* What the parts of the TCP endpoint share. Read net/tcp.h first.
 *
 *   tcp_segment  parsing, options            tcp_table    4-tuple → flow or ghost
 *   tcp_host     the host, its limits        tcp_heap     deadlines
 *   tcp_flow     a flow's life, app calls    tcp_ring     bytes to send
 *   tcp_pending  SYN, accept, refuse         tcp_reorder  bytes ahead of their turn
 *   tcp_input    segments of a flow          tcp_board    losses among the bytes in flight
 *   tcp_ack      their acknowledgments       tcp_ghost    TIME_WAIT, refusals: 4-tuples without a flow
 *   tcp_output   what a flow sends           tcp_packet   headers
 *   tcp_timer    time-outs                   tcp_loss     what to do about losses
 *
 * A flow's memory lives until the outermost call into the host ends (tcp_host_enter, tcp_host_leave), so code that made
 * a callback looks at flow->state: TCP_CLOSED means that the application, or the event itself, has ended the flow.
 */
#ifndef STILE_NET_TCP_INTERNAL_H
#define STILE_NET_TCP_INTERNAL_H

#include "base/list.h"
#include "net/tcp.h"
#include "net/tcp_board.h"
#include "net/tcp_heap.h"
#include "net/tcp_packet.h"
#include "net/tcp_reorder.h"
#include "net/tcp_ring.h"
#include "net/tcp_segment.h"
#include "net/tcp_seq.h"
#include "net/tcp_table.h"

/* RFC 9293 §3.3.2, with PENDING in front; LISTEN, SYN_SENT and TIME_WAIT are never a flow's. */
#define TCP_STATE_LIST(X)                                                                          \
    X(PENDING)     /* SYN seen, nothing answered */                                                \
    X(SYN_RCVD)    /* SYN-ACK sent */                                                              \
    X(ESTABLISHED) /* both directions open */                                                      \
    X(FIN_WAIT_1)  /* our FIN sent */                                                              \
    X(FIN_WAIT_2)  /* and acknowledged */                                                          \
    X(CLOSE_WAIT)  /* the client's FIN received */                                                 \
    X(CLOSING)     /* both, ours not acknowledged; ours was first */                               \
    X(LAST_ACK)    /* both, ours not acknowledged; the client's was first */                       \
    X(CLOSED)      /* gone; only its memory is left */

enum tcp_state {
#define TCP_STATE_ENUM(name) TCP_##name,
    TCP_STATE_LIST(TCP_STATE_ENUM)
#undef TCP_STATE_ENUM
        TCP_STATE_COUNT
};

#define TCP_DUPACKS         3
#define TCP_SYNACK_TRIES    5
#define TCP_KEEPALIVE_TRIES 6
#define TCP_NO_CAP          UINT32_MAX /* flight_cap: as much as the client's window takes */

struct tcp_flow {
    struct tcp_entry entry; /* first: the table finds it */
    struct tcp_host *host;
    void *user;
    enum tcp_state state;
    bool sack_ok;   /* the client takes and gives SACK */
    bool has_shift; /* and scaled windows */
    bool ack_due;   /* an ACK goes out with tcp_flush */
    bool synack_due;
    bool fin_queued; /* tcp_send_end was called */
    bool fin_sent;
    bool peer_fin; /* its FIN was seen, maybe ahead of its turn, at peer_fin_seq */
    bool wants_space;
    bool timing; /* a round trip is being measured: the byte before rtt_seq, sent at rtt_at */
    uint8_t rcv_shift, snd_shift;
    uint8_t backoff; /* time-outs in a row */
    uint8_t keepalive_tries;
    uint8_t dupacks;
    uint16_t mss;           /* of what we send: payload and options */
    struct list flush_node; /* in host->flush_list */

    /* Receiving. rcv_nxt ≤ rcv_adv: the window we promised. room_edge: what the application can take. */
    uint32_t irs, rcv_nxt, rcv_adv, room_edge, peer_fin_seq;
    struct tcp_reorder reorder;

    /* Sending. The ring holds [snd_end - its length, snd_end). iss is the SYN's number, snd_end the FIN's. */
    uint32_t iss, snd_una, snd_max, snd_end;
    uint32_t snd_wnd, snd_wnd_max, snd_wl1, snd_wl2;
    struct tcp_ring *ring;   /* NULL: nothing to send or to repeat */
    struct tcp_board *board; /* NULL: nothing lost */
    uint32_t recover;        /* the loss episode is over when this is acknowledged */
    uint64_t recover_place;  /* sent_place when it began */
    uint32_t flight_cap;     /* bytes; less than the window after losses */
    uint64_t sent_place;     /* bytes transmitted, see tcp_board.h */

    /* Time (ns). TCP_NEVER: not set. */
    uint64_t
        rexmit_at; /* PENDING: given up; SYN_RCVD, data in flight: retransmission; else window probe */
    uint64_t keepalive_at;
    uint64_t space_at;         /* try again for a ring */
    uint64_t heard_at;         /* the last acceptable segment */
    uint64_t unanswered_since; /* the first time-out in a row */
    uint64_t challenge_at;     /* the next challenge ACK not before */
    uint64_t rtt_at, srtt, rttvar, rto;
    uint32_t rtt_seq;
    struct tcp_heap_node timer;

    uint32_t syns;
    uint64_t syn_at; /* the latest SYN */
    uint64_t bytes_in, bytes_out, retransmitted;
    struct ip_endpoint client, server;
    struct tcp_head head; /* of every packet of this flow */
};

/* A 4-tuple that is remembered without a flow. */
struct tcp_ghost {
    struct tcp_entry entry; /* first */
    struct list node;       /* in its queue, oldest first */
    uint64_t until;
    uint32_t snd_nxt, rcv_nxt;
};

struct tcp_ghost_queue {
    struct list list;
    size_t count, max;
    uint64_t ttl;
};

struct tcp_host {
    struct tcp_config config;
    const struct tcp_events *events;
    void *arg;
    struct tcp_table table;
    struct tcp_heap timers;
    struct tcp_ring_pool rings;
    struct tcp_reorder_account reordered;
    struct tcp_ghost_queue time_wait, refused;
    struct list flush_list; /* flows with something to send */
    struct list dead;       /* flows to be freed by tcp_host_leave, by flush_node */
    unsigned depth;         /* of calls that may run callbacks */
    bool blocked;           /* the device was full */
    uint64_t now;           /* of the latest call */
    uint64_t blocked_at;
    uint64_t isn_secret[2];
    uint8_t rcv_shift; /* of the windows we promise */
    struct tcp_host_stats stats;
    struct tcp_packet packet; /* on its way out */
};

static inline struct tcp_flow *tcp_flow_of_entry(struct tcp_entry *e)
{
    return CONTAINER_OF(e, struct tcp_flow, entry);
}

/* tcp_host */
void tcp_host_enter(struct tcp_host *h, uint64_t now);
void tcp_host_leave(struct tcp_host *h); /* frees the flows that ended meanwhile */
/* RFC 6528, and beyond what an earlier connection of this 4-tuple used, if `floor` says so. */
uint32_t tcp_host_isn(const struct tcp_host *h, const struct tcp_key *key, const uint32_t *floor);

/* tcp_flow */
struct tcp_flow *tcp_flow_new(struct tcp_host *h, const struct tcp_key *key,
                              const struct ip_packet *packet, const struct tcp_segment *syn);
void tcp_flow_become(struct tcp_flow *f, enum tcp_state state);
void tcp_flow_end(struct tcp_flow *f); /* no event; memory freed now or by tcp_host_leave */
void tcp_flow_finish(struct tcp_flow *f, enum tcp_end why); /* on_closed, then the same */
void tcp_flow_time_wait(struct tcp_flow *f);                /* the same, with a ghost left behind */
void tcp_flow_flush_later(struct tcp_flow *f);              /* tcp_flush will look at it */
void tcp_flow_ack_later(struct tcp_flow *f);
uint32_t tcp_flow_flight(const struct tcp_flow *f); /* sequence numbers sent and not acknowledged */
uint32_t tcp_flow_unsent(const struct tcp_flow *f); /* bytes committed and not sent */
bool tcp_flow_may_send(const struct tcp_flow *f);   /* data and FIN */
void tcp_flow_offer_space(struct tcp_flow *f);      /* on_space, if it was asked for and there is */

/* tcp_pending */
void tcp_syn_input(struct tcp_host *h, const struct tcp_key *key, const struct ip_packet *packet,
                   const struct tcp_segment *syn, const uint32_t *isn_floor);
void tcp_pending_input(struct tcp_flow *f, const struct ip_packet *packet,
                       const struct tcp_segment *s);

/* tcp_input */
void tcp_flow_input(struct tcp_flow *f, const struct tcp_segment *s);

/* tcp_ack: false if the segment is to be dropped (or the flow is gone). */
bool tcp_ack_input(struct tcp_flow *f, const struct tcp_segment *s);

/* tcp_output: 0 or ERR_AGAIN. */
int tcp_output_flush(struct tcp_flow *f); /* all that may go */
int tcp_output_bulk(struct tcp_flow *f);  /* only whole superpackets */
int tcp_output_synack(struct tcp_flow *f);
int tcp_output_ack(struct tcp_flow *f);
int tcp_output_front(struct tcp_flow *f); /* the oldest unacknowledged bytes, once more */
int tcp_output_probe(struct tcp_flow *f); /* makes the client answer */
void tcp_output_reset(struct tcp_flow *f);
void tcp_output_challenge(struct tcp_flow *f);             /* RFC 5961 §7: seldom enough */
void tcp_output_refusal(struct tcp_flow *f, uint32_t seq); /* RST with this number */
uint32_t tcp_output_segment_max(const struct tcp_flow *f); /* payload of one output */

/* tcp_timer */
void tcp_timer_update(struct tcp_flow *f); /* after one of the flow's times was set */
void tcp_timer_start_rexmit(struct tcp_flow *f);
void tcp_timer_stop_rexmit(struct tcp_flow *f);
void tcp_timer_measured(struct tcp_flow *f, uint64_t rtt_ns); /* RFC 6298 §2 */

/* tcp_ghost */
void tcp_ghost_queue_init(struct tcp_ghost_queue *q, size_t max, uint64_t ttl);
void tcp_ghost_add(struct tcp_host *h, enum tcp_entry_kind kind, const struct tcp_flow *f);
void tcp_ghost_remove(struct tcp_host *h, struct tcp_ghost *g);
void tcp_ghost_expire(struct tcp_host *h);
uint64_t tcp_ghost_deadline(const struct tcp_host *h);
void tcp_ghost_input(struct tcp_host *h, struct tcp_ghost *g, const struct ip_packet *packet,
                     const struct tcp_segment *s);

/* tcp_loss: what a flow does when something was lost */
void tcp_loss_sacked(struct tcp_flow *f, const struct tcp_block *blocks, size_t count);
void tcp_loss_dupack(struct tcp_flow *f);
void tcp_loss_acked(struct tcp_flow *f, uint32_t acked);
void tcp_loss_timeout(struct tcp_flow *f);

#endif
