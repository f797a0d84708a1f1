/* DNS messages (RFC 1035, EDNS of RFC 6891): questions are parsed, our own answers built, answers
 * from upstream checked and cut. Bytes in, bytes out; pure, no allocation.
 */
#ifndef STILE_NET_DNS_H
#define STILE_NET_DNS_H

#include "net/ip.h"
#include "net/name.h"

#define DNS_HEADER_SIZE 12
#define DNS_UDP_SIZE    512  /* what every client takes (RFC 1035 §4.2.1) */
#define DNS_EDNS_SIZE   1232 /* what we announce: no fragments on any path */
#define DNS_MESSAGE_MAX 65535

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_ANY = 255,
};

enum { DNS_CLASS_IN = 1 };

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16, /* needs the OPT record (RFC 6891 §6.1.3) */
};

/* A question as a client sent it. Slices are borrowed from the message. */
struct dns_query {
    uint16_t id;
    uint8_t opcode;
    bool recursion_desired;
    bool checking_disabled;
    struct slice question; /* name, type and class as sent: echoed with the client's own case */
    struct name name;
    uint16_t type;
    uint16_t class;
    bool edns;
    bool edns_do;
    uint8_t edns_version;
    uint16_t udp_size; /* most bytes of an answer by UDP, at least 512 */
};

/* 0; ERR_TRUNCATED or ERR_PROTOCOL: not answerable (no whole header, or an answer): drop it;
 * ERR_FORMAT: answer FORMERR (id, opcode and flags are set); ERR_UNSUPPORTED: answer NOTIMP. */
int dns_parse_query(struct slice message, struct dns_query *ret);

/* What we answer on our own authority. */
struct dns_answer {
    enum dns_rcode rcode;
    bool authoritative;
    uint32_t ttl;                  /* seconds, for the records and for negative caching */
    const struct ip_addr *address; /* an A or AAAA record, or NULL */
    const struct name *ptr;        /* a PTR record, or NULL */
    const struct name
        *soa; /* zone named by a SOA record in the authority section (RFC 2308), or NULL */
};

/* Writes the whole answer, with OPT if the question had one. ERR_TOOBIG if it doesn't fit. */
int dns_write_answer(struct wr *w, const struct dns_query *q, const struct dns_answer *a);

/* Cuts an answer to the client's size: header with TC and the question alone (RFC 2181 §9). */
int dns_write_truncated(struct wr *w, const struct dns_query *q, struct slice answer);

/* Is this the answer to that question: same id, same question with the same case (the defence of
 * 0x20), a response. */
bool dns_is_answer(struct slice message, uint16_t id, struct slice question);
bool dns_is_truncated(struct slice message); /* a whole header, with TC */
enum dns_rcode dns_rcode_of(struct slice message);

/* Changes of a message in place; it has a whole header and, for the case, a question of that
 * length. */
void dns_set_id(uint8_t *message, uint16_t id);
/* Letters of the name get random case: one bit of random per letter, repeated. */
void dns_randomise_case(uint8_t *question, size_t len, const uint8_t random[32]);

/* The address that a name under in-addr.arpa or ip6.arpa stands for. ERR_NOTFOUND: no such name. */
int dns_parse_ptr(const struct name *n, struct ip_addr *ret);

/* "A", "AAAA", or "TYPE65" (RFC 3597); for logs. */
#define DNS_TYPE_TEXT_SIZE 12
void dns_type_format(uint16_t type, char text[DNS_TYPE_TEXT_SIZE]);

#endif
