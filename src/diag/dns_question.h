/* Questions of DNS to given servers, many at once: a small client that asks and waits. */
#ifndef STILE_DIAG_DNS_QUESTION_H
#define STILE_DIAG_DNS_QUESTION_H

#include "diag/dns_facts.h"

struct dns_question {
    const char *server; /* "10.0.0.1", "fe80::1%eth0"; borrowed, and so is name */
    uint16_t port;      /* 0: 53 */
    enum dns_transport transport;
    const char *name;
    uint16_t type; /* A or AAAA */
    /* The answer: DNS_FOREIGN with the first address, whoever's it is; DNS_NO_NAME, DNS_FAILED, DNS_SILENT. */
    enum dns_outcome outcome;
    struct ip_addr got;
};

/* Blocks until all are answered, timeout_ms at most. A datagram is sent again after half of it. */
void dns_questions_ask(struct dns_question *questions, size_t count, unsigned timeout_ms);

/* What a response says: DNS_FOREIGN with the first record of this type, DNS_NO_NAME, or DNS_FAILED. Pure. The response was matched to
 * its question (dns_is_answer), of that length. */
enum dns_outcome dns_reply_read(struct slice message, size_t question_len, uint16_t type,
                                struct ip_addr *ret_got);

#endif
