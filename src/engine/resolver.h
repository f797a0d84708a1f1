/* Forwards questions to the host's resolvers.
 *
 * Each upstream has a few connected UDP sockets with ports of the kernel's choice, replaced after some use; a question
 * goes out with a random id, random case (0x20) and on a random one of them, and only an answer that repeats all three
 * counts. A try waits 1.2 s, then the next upstream is asked; after three tries the answer is an error. Questions
 * that came by TCP are asked by TCP, and by UDP only if that fails. Sockets come from whoever may open them
 * (resolver_ops). One thread, nothing blocks.
 */
#ifndef STILE_ENGINE_RESOLVER_H
#define STILE_ENGINE_RESOLVER_H

#include <uv.h>

#include "base/slice.h"
#include "loop/loop.h"

#define RESOLVER_UPSTREAMS_MAX 8
#define RESOLVER_QUESTIONS_MAX 4096 /* under way at once; one more gives ERR_LIMIT */

/* err 0: a connected, non-blocking socket, now the resolver's. */
typedef void (*resolver_opened)(void *done_arg, int err, uv_os_sock_t sock);

struct resolver_ops {
    /* Opens a socket to the upstream of this index; calls done exactly once, at once or later. */
    void (*open)(void *arg, unsigned index, bool tcp, resolver_opened done, void *done_arg);
};

/* err 0: the answer as it came, with the asker's id and the asker's case; borrowed. ERR_TIMEOUT, ERR_UNREACHABLE,
 * ERR_LIMIT, ERR_NOMEM, ERR_CANCELED. */
typedef void (*resolver_done)(void *arg, int err, struct slice answer);

struct resolver;

/* ops stays the caller's and outlives the resolver. upstreams may be 0: every question then fails. */
int resolver_new(struct loop *loop, unsigned upstreams, const struct resolver_ops *ops, void *arg,
                 struct resolver **ret);

/* Other upstreams from now on (at most RESOLVER_UPSTREAMS_MAX): sockets are opened anew. Questions under way still take an
 * answer from where they were asked, and what isn't answered there in time is asked of the new ones, as often as a new question. */
void resolver_set_upstreams(struct resolver *r, unsigned upstreams);

/* Questions under way end with ERR_CANCELED; the memory goes with the last handle's close. */
void resolver_free(struct resolver *r);

/* message: a question that dns_parse_query accepted, question: its question section. Calls done exactly once, maybe at
 * once. */
void resolver_ask(struct resolver *r, struct slice message, struct slice question, bool tcp,
                  resolver_done done, void *arg);

#endif
