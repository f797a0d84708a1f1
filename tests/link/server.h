/* The endpoint under test at work: a TCP host on a link in a thread of its own, with small services on it. */
#ifndef STILE_TESTS_LINK_SERVER_H
#define STILE_TESTS_LINK_SERVER_H

#include "engine/link.h"
#include "net/tcp.h"

enum server_port {
    PORT_REFUSED = 1, /* tcp_refuse at once */
    PORT_SILENT = 2,  /* never answers */
    PORT_SLOW = 3,    /* accepts after 300 ms, then as PORT_ECHO */
    PORT_ECHO = 7,    /* half-close is echoed too */
    PORT_SINK = 9,    /* takes a pattern; at its end answers with a struct sink_report and FIN */
    PORT_STALL = 10,  /* the same, but takes 64 KiB each 20 ms only */
    PORT_ABORT = 11,  /* RST at the first byte */
    PORT_SOURCE =
        19, /* takes 8 bytes (how many, big-endian), sends so many of the pattern, then FIN */
};

struct sink_report {
    uint64_t bytes; /* received; host order, the reader is the same program */
    uint64_t good;  /* 1: every one was right */
};

struct server;

/* lossy: the link is one (see lossy.h). Takes the link. */
int server_start(struct link *link, bool lossy, const struct tcp_config *config,
                 struct server **ret_server);

struct server_result {
    struct tcp_host_stats host;
    size_t flows_closed[4]; /* by enum tcp_end */
    size_t events_wrong;    /* events that came after the end, or twice */
    double cpu_s;           /* used by the thread */
};
/* Ends the thread, frees everything. */
void server_stop(struct server *server, struct server_result *ret_result);

#endif
