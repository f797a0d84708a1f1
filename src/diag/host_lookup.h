/* Names looked up as every program of the host does, getaddrinfo(3), many at once and with a limit to the time.
 *
 * Each look-up has a thread of its own. One that doesn't come back in time is left behind: its thread ends by itself when the
 * C library gives up, touching nothing of the caller's.
 */
#ifndef STILE_DIAG_HOST_LOOKUP_H
#define STILE_DIAG_HOST_LOOKUP_H

#include "diag/dns_facts.h"

#define HOST_LOOKUPS_MAX 128

struct host_lookup {
    char name[DNS_PROBE_NAME_SIZE];
    uint8_t version; /* 4 or 6: which addresses are wanted */
    /* The answer: DNS_FOREIGN with the first address, whoever's it is; DNS_NO_NAME, DNS_FAILED, DNS_SILENT. */
    enum dns_outcome outcome;
    struct ip_addr got;
};

/* Blocks until all are answered, timeout_ms at most. */
void host_lookups_run(struct host_lookup *lookups, size_t count, unsigned timeout_ms);

#endif
