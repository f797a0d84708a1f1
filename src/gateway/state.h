/* What the gateway remembers: users and their groups, log-in tries, issued certificates, past connections.
 *
 * The interface is asynchronous: a request returns at once, its callback comes from the loop, exactly once, also when the
 * caller has lost interest meanwhile (it keeps `arg` alive until then). A request that returns an error (ERR_NOMEM,
 * ERR_CLOSED) has no callback. Requests are done in the order in which they were made. What a callback is given is borrowed
 * until it returns.
 *
 * Several processes may use one state: `stile gateway user …` changes it while the gateway runs, and the next connection
 * sees the change. Certificates are valid only while they stand here: removing a user, or changing a password, removes
 * that user's.
 *
 * Theory of operation: one job of libuv's pool at a time takes all waiting requests and runs them on the store
 * (state_sqlite.h) in one transaction, so that the store is used by one thread at a time and a burst of writes is flushed
 * once.
 */
#ifndef STILE_GATEWAY_STATE_H
#define STILE_GATEWAY_STATE_H

#include "base/err.h"
#include "gateway/texts.h"
#include "loop/loop.h"

struct state;

#define STATE_NAME_SIZE   65  /* users */
#define STATE_HASH_SIZE   160 /* argon2's encoded form */
#define STATE_SERIAL_SIZE 48  /* lower-case hex */
#define STATE_ADDR_SIZE   64

/* Wrong passwords within the window before a user, or an address, has to wait. */
#define STATE_TRIES_WINDOW_S 900
#define STATE_TRIES_USER     10
#define STATE_TRIES_ADDR     50

struct state_user {
    char name[STATE_NAME_SIZE];
    char hash[STATE_HASH_SIZE];
    struct texts groups;   /* without "everyone" */
    int64_t created_s;     /* Unix time */
    int64_t retry_after_s; /* with ERR_LIMIT: seconds to wait */
};

struct state_cert {
    char serial[STATE_SERIAL_SIZE];
    char user[STATE_NAME_SIZE];
    char app[64];               /* empty: a log-in certificate */
    uint16_t port;              /* 0: a log-in certificate */
    char addr[STATE_ADDR_SIZE]; /* of the client that asked */
    int64_t issued_s;
    int64_t expires_s;
};

struct state_connection {
    char user[STATE_NAME_SIZE];
    char app[64];
    uint16_t port;
    char addr[STATE_ADDR_SIZE];
    char verdict[16]; /* ok, denied, refused, unreachable, failed */
    char reason[128];
    int64_t start_us;
    int64_t end_us;
    uint64_t bytes_up;   /* from the client */
    uint64_t bytes_down; /* to the client */
};

/* Oldest connections are forgotten over this many. */
#define STATE_CONNECTIONS_KEPT 100000

typedef void state_done_fn(void *arg, int err);
typedef void state_user_fn(void *arg, int err,
                           const struct state_user *user); /* NULL on errors but ERR_LIMIT */
typedef void state_users_fn(void *arg, int err, const struct state_user *users, size_t count);

/* Opens the file, making it (0600) if it isn't there. Blocks. The diag names the remedy for a state that is locked, damaged,
 * from a newer version, or readable by others. */
int state_open(struct loop *loop, const char *path, struct state **ret, struct diag *d);

/* What was asked before is still done; closed (may be NULL) comes from the loop. NULL is fine. */
void state_close(struct state *s, void (*closed)(void *arg), void *arg);

/* ---- users (commands) ---- */
int state_add_user(struct state *s, const char *name, const char *hash, const struct texts *groups,
                   state_done_fn *done, void *arg); /* ERR_EXISTS */
int state_remove_user(struct state *s, const char *name, state_done_fn *done,
                      void *arg); /* ERR_NOTFOUND */
/* Ends the user's log-ins: the certificates are no longer valid. ERR_NOTFOUND */
int state_set_password(struct state *s, const char *name, const char *hash, state_done_fn *done,
                       void *arg);
int state_list_users(struct state *s, state_users_fn *done, void *arg);

/* ---- log-in ---- */
/* Counts a try by this user from this address before the password is looked at, and gives the user. ERR_LIMIT: too many
 * (retry_after_s is set; not counted again); ERR_NOTFOUND: no such user (counted all the same). */
int state_begin_log_in(struct state *s, const char *name, const char *addr, int64_t now_s,
                       state_user_fn *done, void *arg);
/* The password was right: takes the count back. done may be NULL. */
int state_end_log_in(struct state *s, const char *name, const char *addr, state_done_fn *done,
                     void *arg);

/* ---- certificates and connections ---- */
int state_add_cert(struct state *s, const struct state_cert *cert, state_done_fn *done, void *arg);
/* The user, if the certificate was issued to that user and neither has been removed since. ERR_NOTFOUND. */
int state_authorise(struct state *s, const char *name, const char *serial, state_user_fn *done,
                    void *arg);
/* Best effort, nothing comes back. */
void state_log_connection(struct state *s, const struct state_connection *c);

#endif
