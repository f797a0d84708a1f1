/* What comes in from a link, sorted: TCP into this worker's host, DNS questions to the DNS server, echo requests answered, every other
 * datagram told at once that nobody is there. And the way back.
 *
 * One worker's own; nothing blocks. A flow's events go to the handler that took it, which is the first member of the flow's
 * user struct.
 */
#ifndef STILE_ENGINE_STACK_H
#define STILE_ENGINE_STACK_H

#include "engine/link.h"
#include "engine/names.h"
#include "net/tcp.h"
#include "net/udp.h"

struct stack;

/* What a flow belongs to: set with stack_take. on_closed is the last event. */
struct flow_handler {
    void (*on_data)(struct flow_handler *h, struct slice bytes);
    void (*on_end)(struct flow_handler *h);
    void (*on_space)(struct flow_handler *h);
    void (*on_closed)(struct flow_handler *h, enum tcp_end why);
};

struct stack_events {
    /* PENDING: take it, then accept or refuse it now or later; or refuse it without taking. */
    void (*on_syn)(void *arg, struct tcp_flow *flow);
    /* A question by UDP to the DNS server's address. Borrowed. */
    void (*on_dns)(void *arg, const struct udp_datagram *datagram);
    /* A segment of a flow that isn't here, and doesn't begin one. True: another worker has it now. */
    bool (*on_stray)(void *arg, struct slice packet);
};

int stack_new(struct link *link, struct names *names, const struct stack_events *events, void *arg,
              struct stack **ret); /* link and names are borrowed */
/* RST to every client; no events. NULL is allowed. */
void stack_free(struct stack *s);

/* Reads at most STACK_BURST_PACKETS packets or STACK_BURST_BYTES. ret_more: the device may have more. 0 or the device's error. */
#define STACK_BURST_PACKETS 64
#define STACK_BURST_BYTES   ((size_t)1024 * 1024)
int stack_read(struct stack *s, bool *ret_more);
/* A packet that another worker's link brought. */
void stack_adopt(struct stack *s, struct slice packet);
/* After a burst of anything: what waits goes out. ERR_AGAIN: call again when the link is writable. */
int stack_flush(struct stack *s);
/* Runs what is due. Returns when to come next (monotonic ns), TCP_NEVER for never. */
uint64_t stack_timers(struct stack *s);
uint64_t stack_next_deadline(const struct stack *s);

void stack_take(struct tcp_flow *flow, struct flow_handler *h);

/* The answer to a datagram: from its destination to its source. */
void stack_reply_udp(struct stack *s, const struct ip_endpoint *from, const struct ip_endpoint *to,
                     struct slice payload);

struct tcp_host *stack_tcp(struct stack *s);

struct stack_stats {
    uint64_t packets_in;
    uint64_t malformed;
    uint64_t bad_checksum;
    uint64_t lost_out; /* refused by the device */
};
const struct stack_stats *stack_stats(const struct stack *s);

#endif
