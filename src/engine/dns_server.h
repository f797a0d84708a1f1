/* The DNS server's slow path: questions that need the agent or an upstream. Control thread only.
 *
 * Questions that dns_answer settled never come here. The same name is asked of the agent once, however many wait for it. Every
 * question ends in exactly one reply: the answer, upstream's answer, or SERVFAIL.
 */
#ifndef STILE_ENGINE_DNS_SERVER_H
#define STILE_ENGINE_DNS_SERVER_H

#include "engine/dns_answer.h"
#include "engine/resolver.h"

#define DNS_SERVER_QUESTIONS_MAX 4096 /* under way at once; one more gets SERVFAIL */

/* err 0: info is the callee's now. ERR_NOTFOUND: no such name. Anything else: the agent can't tell. */
typedef void (*dns_resolved)(void *done_arg, int err, Stile__Vnet__V1__AppInfo *info);

struct dns_server_ops {
    /* Asks the agent what a name in our zones is; calls done exactly once, at once or later. */
    void (*resolve)(void *arg, const struct name *fqdn, dns_resolved done, void *done_arg);
};

/* The whole answer, fit for the transport: by UDP never longer than the question allows. Borrowed; empty: drop it. */
typedef void (*dns_reply)(void *arg, struct slice answer);

struct dns_server;

/* names, resolver and ops stay the caller's and outlive the server. */
int dns_server_new(struct names *names, struct resolver *resolver, const struct dns_server_ops *ops,
                   void *arg, struct dns_server **ret);

/* After the resolver and whoever serves ops have called back all that was under way. */
void dns_server_free(struct dns_server *s);

/* Calls reply exactly once, maybe at once. The message is copied when needed. */
void dns_server_ask(struct dns_server *s, struct slice message, bool tcp, dns_reply reply,
                    void *arg);

#endif
