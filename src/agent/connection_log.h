/* What connections there are and were: name, port, program, verdict, bytes. Recent ones in memory, ended ones also in
 * HOME/connections.jsonl (0600, capped), which outlives the agent.
 */
#ifndef STILE_AGENT_CONNECTION_LOG_H
#define STILE_AGENT_CONNECTION_LOG_H

#include "agent/home.h"
#include "agent/programs.h"
#include "base/list.h"
#include "stile/vnet/v1/client_application.pb-c.h"

#define CONNECTION_LOG_ENDED_MAX 1000
#define CONNECTION_LOG_OPEN_MAX  65536
#define CONNECTION_LOG_FILE      "connections.jsonl"
#define CONNECTION_LOG_FILE_MAX  ((size_t)1024 * 1024) /* then its older half goes */

struct connection {
    uint64_t id; /* key of the table of open ones */
    char profile[64];
    char app[64];
    char name[256]; /* as it was looked up */
    uint16_t port;
    uint64_t inode;
    struct program program;
    bool program_known;
    Stile__Vnet__V1__Verdict verdict;
    char reason[256];
    bool shown;     /* as open, to the one who watches */
    bool explained; /* the reason is ours, see connection_log_explain */
    uint64_t bytes_up;
    uint64_t bytes_down;
    int64_t started_us;
    int64_t ended_us; /* 0: open */
    struct list node;
};

struct connection_log;

/* home: borrowed; NULL: no file. */
int connection_log_new(struct loop *loop, const struct home *home, struct connection_log **ret);
/* Told of each connection when it is established and when it has ended (ended_us isn't 0); in both cases once its program
 * is known or known not to be found. One watcher. */
typedef void connection_watch_fn(void *arg, const struct connection *c);
void connection_log_watch(struct connection_log *log, connection_watch_fn *watch, void *arg);
/* Writes what is left. NULL is fine. */
void connection_log_free(struct connection_log *log);

/* A connection is about to be made: its program is looked for from now on. */
void connection_log_begin(struct connection_log *log,
                          const Stile__Vnet__V1__OnNewConnectionRequest *request);
/* It will be refused for its port, for this reason, which is better than the report's. */
void connection_log_explain(struct connection_log *log,
                            const Stile__Vnet__V1__OnInvalidLocalPortRequest *request,
                            const char *reason);
/* It was established, changed, or has ended. One that was never begun is fine. */
void connection_log_report(struct connection_log *log,
                           const Stile__Vnet__V1__ConnectionReport *report);
/* The engine is gone: its connections have ended with this reason. */
void connection_log_end_all(struct connection_log *log, const char *reason);
/* The session has ended as it should ("the program has ended"), and its connections with it: that is no failure. */
void connection_log_end_session(struct connection_log *log, const char *reason);

size_t connection_log_open_count(const struct connection_log *log);
/* Oldest first: ended ones, then open ones. */
void connection_log_each(const struct connection_log *log,
                         void (*each)(void *arg, const struct connection *c), void *arg);

/* "established", "port_not_listed", …: as in the file. */
const char *connection_verdict_name(Stile__Vnet__V1__Verdict verdict);

#endif
