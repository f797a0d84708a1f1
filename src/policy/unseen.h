/* A child process that the calling program doesn't see: its end sends no signal, no wait() of
 * another part of the program takes it (but one with __WALL or __WCLONE), and a program that
 * ignores SIGCHLD loses nothing. For libraries, which own neither the signals nor the children of
 * the program they are in. Linux.
 */
#ifndef STILE_POLICY_UNSEEN_H
#define STILE_POLICY_UNSEEN_H

#include <sys/types.h>

#include "base/compiler.h"

/* As fork(2), but without what libraries have registered for it: the child may only call what is
 * async-signal-safe, must not return, and ends by _exit. It has all signals blocked and none
 * handled. flags: CLONE_FILES or 0. Negative: -errno. */
pid_t unseen_fork(unsigned long flags);
/* Blocks until it has ended. */
void unseen_wait(pid_t pid);

/* For such a child. Into the network namespace; where only the owner of its user namespace may do
 * that, into this one first, as its root. 0 or an errno. */
int unseen_enter(int netns_fd);
/* Closes every descriptor from `first` on. */
void unseen_close_from(unsigned first);

#endif
