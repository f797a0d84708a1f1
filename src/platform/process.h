/* Child processes that are this executable again, in another role.
 *
 * A child gets standard input, output and error as told, and exactly the descriptors it is given, from 3 on in their order;
 * nothing else is inherited. One file is one thing to install and verify; /proc/self/exe is the file that runs, whatever
 * has been put in its place since.
 */
#ifndef STILE_PLATFORM_PROCESS_H
#define STILE_PLATFORM_PROCESS_H

#include "base/err.h"
#include "loop/loop.h"

#define PROCESS_FDS_MAX  8
#define PROCESS_FIRST_FD 3

struct process;

struct process_config {
    const char *role;        /* for messages: "engine" */
    const char *const *argv; /* ends with NULL; argv[0] is the name it goes by */
    const int *fds;          /* stay the caller's; the child has duplicates */
    size_t fd_count;
    const char *env;  /* "NAME=value" beside what this process has; NULL: nothing */
    bool own_session; /* away from the terminal and its signals; no standard input and output */
};

/* status: the exit status, or 128 + the signal that ended it. */
typedef void process_ended_fn(void *arg, int status, int signal);

/* ended is called once, from the loop, unless process_free comes first. */
int process_start(struct loop *loop, const struct process_config *config, process_ended_fn *ended,
                  void *arg, struct process **ret, struct diag *d);

int process_kill(struct process *p, int signal); /* ended already: nothing */

/* Kills it (SIGKILL) if it hasn't ended; frees. NULL does nothing. */
void process_free(struct process *p);

/* This process is killed when its parent, or the thread of it that started us, dies. parent: the pid it should have; 0: not
 * known. ERR_CLOSED: it has died already. */
int process_end_with_parent(uint32_t parent);

/* Waits for the end of a process that need not be our child. ERR_NOTFOUND: there is none; ERR_TIMEOUT. Blocks. */
int process_wait_end(uint32_t pid, int timeout_ms);

/* The name that ps and top show for this process; at most 15 characters count. */
void process_set_name(const char *name);

#endif
