/* Which program opened a connection: found from the socket's inode, off the loop, once, and remembered.
 *
 * Theory of operation: a program that has made one connection makes the next one too, so those that were found lately are
 * looked at first, at once. Looking at all processes may cost milliseconds: after a rest of PROGRAMS_REST times what the last
 * look took, for all that were asked for meanwhile. A program that was gone by then stays unknown.
 */
#ifndef STILE_AGENT_PROGRAMS_H
#define STILE_AGENT_PROGRAMS_H

#include "loop/loop.h"
#include "platform/program.h"

#define PROGRAMS_KEPT    2048
#define PROGRAMS_AT_ONCE 256
#define PROGRAMS_LIKELY  8
#define PROGRAMS_REST    3 /* so at most a quarter of one processor */

struct programs;

/* on_found: some of those asked for are known now (or known not to be found). */
int programs_new(struct loop *loop, void (*on_found)(void *arg), void *arg, struct programs **ret);
/* A search that runs ends by itself; no event any more. NULL is fine. */
void programs_free(struct programs *p);

void programs_ask(struct programs *p, uint64_t inode); /* 0: nothing */
/* NULL: not known yet; pid 0: looked for and not found. Valid until the next turn of the loop. */
const struct program *programs_get(const struct programs *p, uint64_t inode);

#endif
