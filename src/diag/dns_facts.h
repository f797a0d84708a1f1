/* How names of the zones are answered on this host: asked of our DNS server directly, of the system's resolver as programs do,
 * and of those it may have asked instead.
 */
#ifndef STILE_DIAG_DNS_FACTS_H
#define STILE_DIAG_DNS_FACTS_H

#include "base/err.h"
#include "net/ip.h"
#include "net/resolv_conf.h"

/* What came of one question. */
enum dns_outcome {
    DNS_NOT_ASKED, /* it wasn't asked: the family is off */
    DNS_OURS,      /* the address that only our server answers */
    DNS_FOREIGN,   /* another address */
    DNS_NO_NAME,   /* no such name, or no such record */
    DNS_FAILED,    /* an error instead of an answer */
    DNS_SILENT,    /* nothing within the time limit */
};

#define DNS_FAMILIES        2 /* 0: A over IPv4, 1: AAAA over IPv6 */
#define DNS_ZONE_SIZE       256
#define DNS_PROBE_NAME_SIZE 320
#define DNS_INTERFACE_SIZE  16

enum dns_transport { DNS_UDP, DNS_TCP, DNS_TRANSPORTS };

/* What another resolver of the host said to the same question. */
struct dns_other {
    char server[RESOLVER_TEXT];
    enum dns_outcome outcome;
    struct ip_addr got;
};

struct dns_probe {
    size_t session; /* index into facts.sessions */
    char zone[DNS_ZONE_SIZE];
    char name[DNS_PROBE_NAME_SIZE];    /* what was asked: stile-diag-RANDOM.ZONE */
    struct ip_addr ours[DNS_FAMILIES]; /* the right answers; version 0: the family is off */
    enum dns_outcome direct[DNS_FAMILIES][DNS_TRANSPORTS];
    enum dns_outcome host[DNS_FAMILIES]; /* through the system's resolver */
    struct ip_addr host_got[DNS_FAMILIES];
    size_t other_count;
    struct dns_other
        others[RESOLVERS_MAX]; /* of resolv.conf; only when the host's answer wasn't ours */
};

/* A domain that systemd-resolved sends to the servers of one link. */
struct resolved_domain {
    uint32_t link_index;
    char interface_name[DNS_INTERFACE_SIZE];
    char domain[DNS_ZONE_SIZE]; /* without the last dot; empty: "~.", everything */
};

#define RESOLVED_DOMAINS_MAX 256
#define RESOLVED_LINKS_MAX   64

/* How the system's resolver is set up. */
struct resolver_facts {
    struct resolvers resolvers;  /* of resolv.conf, in order */
    struct slice resolv_conf;    /* its text, owned; empty if it can't be read */
    struct slice nsswitch_hosts; /* the words of nsswitch.conf's line hosts:, owned */
    bool nsswitch_missing;       /* no such line: the C library's default */
    int resolved_err;            /* 0: resolved runs, and was asked */
    size_t domain_count;
    struct resolved_domain domains[RESOLVED_DOMAINS_MAX];
    size_t link_count; /* links with DNS servers of their own, in resolved */
    uint32_t links[RESOLVED_LINKS_MAX];
};

void resolver_facts_load(struct resolver_facts *ret);
void resolver_facts_release(struct resolver_facts *r);

/* Whether programs' questions come to resolved: by nss, or by its stub in resolv.conf. */
bool resolver_uses_resolved(const struct resolver_facts *r);
/* Whether resolv.conf is the text that a session's back-end wrote. */
bool resolver_was_written_by_stile(const struct resolver_facts *r);
/* Whether the word ("dns", "resolve", "mdns4_minimal") stands in the line hosts:. With prefix: or begins a word there. */
bool resolver_has_service(const struct resolver_facts *r, const char *word, bool prefix);

/* Asks all of them at once: fills in direct, host and others of the probes, whose zone, name and ours are set. Blocks, for about
 * DNS_PROBE_MS altogether. A look-up of the system's resolver that lasts longer is left to itself. */
#define DNS_PROBE_MS 4000
void dns_probes_ask(struct dns_probe *probes, size_t count, const struct resolver_facts *r);

#endif
