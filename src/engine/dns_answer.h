/* What can be said to a question at once, from what the session knows. Any thread; nothing blocks. */
#ifndef STILE_ENGINE_DNS_ANSWER_H
#define STILE_ENGINE_DNS_ANSWER_H

#include "engine/names.h"
#include "net/dns.h"

#define DNS_ANSWER_TTL_S 10
/* stile-diag-ANYTHING.ZONE, in each zone of the session, has the DNS server's own addresses: whoever gets them has asked
 * this server. For `stile diag`; such names are never the agent's or upstream's business. */
#define DNS_PROBE_PREFIX "stile-diag-"
/* What the agent said of a name holds so long; then it is asked again. */
#define DNS_FRESH_NS UINT64_C(10000000000)
/* No answer of our own is longer. */
#define DNS_ANSWER_SIZE 2048

enum dns_step {
    DNS_DROP,    /* no question; an answer would feed a loop */
    DNS_REPLY,   /* the answer is written */
    DNS_FORWARD, /* upstream knows */
    DNS_RESOLVE, /* the agent knows; then dns_answer_app or DNS_FORWARD */
};

/* Parses the message into ret_query, which borrows from it, and decides. The answer goes to out (DNS_REPLY only). A
 * debug line is written for everything that is decided here. */
enum dns_step dns_answer(struct names *n, struct slice message, uint64_t now_ns,
                         struct dns_query *ret_query, struct wr *out);

/* The answer for an app, whatever was asked of it. */
void dns_answer_app(struct names *n, const struct dns_query *q, const struct names_app *app,
                    struct wr *out);

/* SERVFAIL, FORMERR and the like. */
void dns_answer_error(const struct dns_query *q, enum dns_rcode rcode, struct wr *out);

/* One debug line per question: name, type, zone, verdict. zone may be NULL. */
void dns_log(const struct dns_query *q, const struct name *zone, const char *verdict);

#endif
