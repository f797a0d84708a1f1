/* The control thread: agent, dials, DNS upstreams, and the list of attempts. What it does for workers comes and goes as tasks.
 *
 * The functions marked "any thread" only post; what they post is answered by a task to its home mailbox, or freed when that has
 * closed. Everything else belongs to the control thread.
 */
#ifndef STILE_ENGINE_CONTROL_H
#define STILE_ENGINE_CONTROL_H

#include "engine/attempt.h"
#include "net/dns.h"
#include "tls/remote_key.h"

struct control;

struct control_events {
    /* The dial channel's first message: addresses, ranges, resolvers. ERR_*: the engine can't go on with it. */
    int (*on_setup)(void *arg, const struct channel_setup *setup);
    /* Once: the agent is gone or broke a rule. Only control_free may follow. */
    void (*on_closed)(void *arg, int err, const char *why);
};

/* Both descriptors are taken in any case. shared->names is set by on_setup. */
int control_new(struct loop *loop, struct shared *shared, int rpc_fd, int dial_fd,
                const struct control_events *events, void *arg, struct control **ret,
                struct diag *d);
void control_free(struct control *c);
/* After on_setup: what the agent is told. */
void control_report_stack(struct control *c, const char *interface_name);

/* ---- any thread ---- */

/* Takes the attempt on success. */
int control_begin(struct shared *shared, struct attempt *a);

/* A connection's state, to be told to the agent and to attempts that wait for it. Best effort. */
struct control_report {
    struct task task;
    struct shared *shared;
    struct names_app *app; /* a reference, or NULL */
    struct agent_report report;
    char fqdn[256];
    char reason[ATTEMPT_REASON_SIZE];
    bool invalid_port; /* the agent's OnInvalidLocalPort is called too */
    bool ends_attempt; /* the worker's word on an attempt that was sent home */
};
/* Copies app (by reference), fqdn and reason from the report. */
void control_tell(struct shared *shared, struct names_app *app, const struct agent_report *report,
                  bool invalid_port, bool ends_attempt);

/* A DNS question on its way and back. Allocated by the asker with room for the message; freed by it when it is home. */
struct control_question {
    struct task task;
    struct mailbox *home;
    void (*done)(struct control_question *q, void *worker);
    void *flow;                  /* the asker's: a DNS connection; NULL by UDP */
    struct ip_endpoint from, to; /* by UDP: the server's and the client's */
    bool tcp;
    uint8_t *answer; /* owned; answer_len 0: no answer */
    size_t answer_len;
    size_t len;
    uint8_t message[];
};
int control_ask(struct shared *shared, struct control_question *q);
void control_question_free(struct control_question *q);

/* A signature on its way and back. */
struct control_sign {
    struct task task;
    struct mailbox *home;
    struct names_app *app; /* a reference */
    uint16_t port;
    struct sign_request request; /* its digest points into this struct */
    uint8_t digest[1024];
    struct remote_sign *job;
    int err;
    char reason[ATTEMPT_REASON_SIZE];
    uint8_t signature[REMOTE_SIGNATURE_MAX];
    size_t signature_len;
};
int control_sign(struct shared *shared, struct control_sign *s);
void control_sign_free(struct control_sign *s);

#endif
