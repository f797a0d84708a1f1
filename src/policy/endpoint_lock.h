/* One writer of an endpoint at a time, in all processes of this user. Linux.
 *
 * A byte of one file, at the number of the namespace: endpoints don't disturb each other, and
 * nothing piles up. The file is the host's (in /run/stile-policy for root, else in
 * XDG_RUNTIME_DIR/stile), in a directory that only its user can write: nobody in a container can
 * hold it. Not in /run/stile, which goes with the broker's service while others hold the lock. It
 * is a lock, not state: it says nothing, and goes with endpoint_unlock, or, when its holder dies,
 * with the last copy of its descriptor.
 */
#ifndef STILE_POLICY_ENDPOINT_LOCK_H
#define STILE_POLICY_ENDPOINT_LOCK_H

#include "policy/endpoint.h"

/* Blocks while another has it, at most timeout_ms: ERR_BUSY, with who it is. waiting is told after
 * ENDPOINT_PATIENCE_MS. ret_fd: endpoint_unlock. ERR_PERM: there is no place for it. */
int endpoint_lock(int netns_fd, uint64_t timeout_ms, const struct endpoint_waiting *waiting,
                  int *ret_fd, struct diag *d);
/* Releases it whoever else has a copy of the descriptor (another thread may have forked meanwhile),
 * closes it and makes it -1. A negative one does nothing. */
void endpoint_unlock(int *fd);

#endif
