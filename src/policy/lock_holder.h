/* Who holds a lock of ours, for a message: processes whose descriptors the kernel says hold it
 * (/proc/PID/fdinfo). Linux.
 *
 * It is what can be seen from here: another user's process can't, nor one of another pid namespace.
 * Nothing is decided by it.
 */
#ifndef STILE_POLICY_LOCK_HOLDER_H
#define STILE_POLICY_LOCK_HOLDER_H

#include <sys/types.h>

#include "base/compiler.h"

#define LOCK_HOLDER_SIZE 96

/* The byte `place` of the open file. ret: "process 123 (stile)", "another thread of this program",
 * "another program". */
void lock_holder_name(int fd, off_t place, char ret[LOCK_HOLDER_SIZE]);

#endif
