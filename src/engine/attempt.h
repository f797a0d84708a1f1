/* One try to connect a program to an app: everything that needs the agent, done by the control thread for a worker.
 *
 * Life: the worker makes it and posts it to the control thread; there the agent is asked whether the connection may proceed, then
 * for the certificate and, at the same time, for a connected socket; then it is posted home with the answer. It has one owner at
 * any moment: who runs it. `canceled` alone may be set by the worker at any time.
 *
 * Happy eyeballs: a program's second address family for the same name and port waits until the worker has told how the first ended
 * (attempts_ended): refused together with it, or tried on its own if the program still wants it.
 */
#ifndef STILE_ENGINE_ATTEMPT_H
#define STILE_ENGINE_ATTEMPT_H

#include <openssl/ssl.h>

#include "engine/agent_client.h"
#include "engine/dial_channel.h"
#include "engine/shared.h"

#define ATTEMPT_REASON_SIZE 256

struct attempt {
    struct task task;
    atomic_bool canceled; /* the program no longer waits */

    /* asked by the worker */
    struct mailbox *home;
    void (*done)(struct attempt *a, void *worker); /* runs at home, which owns it again */
    void *conn;                                    /* the worker's own */
    uint64_t id;
    struct names_app *app; /* a reference */
    uint16_t port;
    struct ip_endpoint client;
    struct ip_endpoint server;
    struct owner owner;

    /* the answer: VERDICT_UNSPECIFIED means go on, with fd, context and certificate */
    Stile__Vnet__V1__Verdict verdict;
    char reason[ATTEMPT_REASON_SIZE];
    int fd; /* connected to the gateway, or -1 */
    SSL_CTX *ctx;
    X509 *cert;

    /* the control thread's */
    struct attempts *attempts;
    struct list node;
    unsigned pending;
};

struct attempts;

/* Control thread. All are borrowed. */
int attempts_new(struct loop *loop, struct shared *shared, struct agent_client *agent,
                 struct dial_channel *dialer, struct attempts **ret);
/* After agent client and dialer were freed. Attempts under way are freed. */
void attempts_free(struct attempts *s);

/* Takes it; sends it home when it is answered. */
void attempts_begin(struct attempts *s, struct attempt *a);
/* How an attempt that was sent home with VERDICT_UNSPECIFIED went on: established, or what it failed with. Once for each. */
void attempts_ended(struct attempts *s, uint64_t id, Stile__Vnet__V1__Verdict verdict,
                    const char *reason);

struct attempt *attempt_new(void);
/* With what it holds. NULL is allowed. */
void attempt_free(struct attempt *a);

#endif
