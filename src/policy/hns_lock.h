/* One writer of an endpoint at a time, among all processes of the machine. Windows only.
 */
#ifndef STILE_POLICY_HNS_LOCK_H
#define STILE_POLICY_HNS_LOCK_H

#include "policy/guid.h"

struct hns_lock;

/* Waits at most timeout_ms for another writer; one that died doesn't count. Release it in the
 * thread that took it. ERR_BUSY, ERR_PERM, ERR_NOMEM. */
int hns_lock_take(const struct guid *id, unsigned timeout_ms, struct hns_lock **ret,
                  struct diag *d);
void hns_lock_release(struct hns_lock *lock); /* NULL does nothing */
void hns_lock_releasep(struct hns_lock **lock);

#endif
