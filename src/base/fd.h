/* File descriptors that end with their scope. Of POSIX systems: Windows builds have no such functions. */
#ifndef STILE_BASE_FD_H
#define STILE_BASE_FD_H

/* Closes *fd if it is one (not negative), and makes it -1. For CLEANUP, and wherever a descriptor is closed that may be none.
 * Async-signal-safe; errno isn't kept. */
void fd_closep(int *fd);

/* Moves a descriptor out of its variable, leaving -1: what a cleanup attribute then sees. */
int fd_steal(int *fd);

#endif
