/* An end to waiting where a system call may wait for somebody else's file.
 *
 * Whoever sends descriptors may have made the last reference to one of them ours: when a message is received without room for
 * its descriptors, or a socket is closed in whose queue some lie, the kernel closes them in the thread that does it. A TCP
 * socket with SO_LINGER then waits for as long as its owner has set. Signals end that wait, so they are sent.
 */
#ifndef STILE_PLATFORM_PATIENCE_H
#define STILE_PLATFORM_PATIENCE_H

/* Until patience_end(), whatever this thread waits for is interrupted every few ms (EINTR, or begun again where the system
 * does that). For one thread of a process, always the same; not nested. Where no timer can be had nothing is interrupted. */
void patience_begin(void);
void patience_end(void);

/* close() with an end to it. */
void patience_close(int fd);

#endif
