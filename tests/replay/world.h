/* A TCP host in a world of its own: a clock that is set, a device that remembers, clients that are known by their port.
 * Sequence numbers are relative to the initial ones of each side, so that a scenario can be read. Payload is known by its
 * position, and checked wherever it comes out. */
#ifndef STILE_TESTS_REPLAY_WORLD_H
#define STILE_TESTS_REPLAY_WORLD_H

#include "net/tcp.h"
#include "net/tcp_segment.h"

#define WORLD_CLIENTS 16
#define WORLD_SEEN    1024
#define WORLD_PORT    40000 /* of the first client */

/* A segment, either way. Relative numbers; unset fields are -1. */
struct seg {
    uint16_t port; /* the client's */
    uint8_t flags;
    int64_t seq, ack, len, win, mss, ws, gso;
    int sackok; /* 0 no, 1 yes */
    size_t sack_count;
    struct tcp_block sack[TCP_SACK_MAX];
};

struct event {
    uint16_t port;
    char text[48];
};

struct client {
    uint16_t port;
    uint32_t isn; /* the client's */
    uint32_t iss; /* ours, once has_iss */
    bool has_iss;
    uint64_t received; /* by the application */
    uint64_t sent;     /* committed by it */
    struct tcp_flow *flow;
};

struct world {
    struct tcp_config config;
    struct tcp_host *host; /* NULL until world_start */
    uint8_t version;
    uint64_t now;
    bool full;       /* the device takes nothing */
    bool follow_isn; /* a client's numbers start anew with each SYN that makes a flow */
    size_t
        unchecked; /* checksums of payloads longer than this aren't looked at: for speed; 0: all are */
    int64_t last_seq; /* of the latest segment from a client */
    struct client clients[WORLD_CLIENTS];
    size_t client_count;
    struct client *current;
    struct seg seen[WORLD_SEEN]; /* what came out and hasn't been expected yet */
    size_t seen_first, seen_count;
    struct event events[WORLD_SEEN];
    size_t event_first, event_count;
    /* Called for each event, after it was recorded: may do what an application may do in a callback. */
    void (*hook)(struct world *w, struct tcp_flow *flow, const char *event);
    char problem[160]; /* what must never be; empty: nothing */
    uint8_t packet[70000];
};

void world_init(struct world *w, uint8_t version);
int world_start(struct world *w);
void world_release(struct world *w);

struct client *world_client(struct world *w, uint16_t port); /* made if it is new; NULL: too many */
void world_input(struct world *w, const struct seg *s);      /* from the current client */
void world_advance(struct world *w, uint64_t ns); /* with all time-outs on the way, in order */
size_t world_send(struct world *w, size_t n);     /* the application sends; how much it could */

#endif
