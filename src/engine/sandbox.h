/* What an engine gives up before it reads the first byte from outside.
 *
 * Afterwards the process and its threads can't open files or sockets, connect, start programs, trace, or gain privileges: they
 * work with the descriptors they hold and are given. No core dumps, not traceable by the user's other programs. File
 * system calls fail (libraries probe for files); any other call outside the list ends the process.
 */
#ifndef STILE_ENGINE_SANDBOX_H
#define STILE_ENGINE_SANDBOX_H

#include "base/err.h"

/* Once, before threads are made, with everything open that has to be opened. Landlock is used where the kernel has it; all else is
 * required: ERR_PERM, ERR_UNSUPPORTED. */
int sandbox_enter(struct diag *d);

#endif
