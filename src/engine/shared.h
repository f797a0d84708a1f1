/* Everything that the threads of an engine share; there is nothing else.
 *
 * The pointers are set before the first worker starts and stay; what they point to is thread-safe by its own promise. Workers own
 * their flows, streams and buffers alone, and speak with the control thread (agent, dials, DNS upstreams) by tasks.
 */
#ifndef STILE_ENGINE_SHARED_H
#define STILE_ENGINE_SHARED_H

#include <stdatomic.h>

#include "engine/names.h"
#include "engine/owner.h"
#include "engine/task.h"
#include "platform/channel.h"
#include "tls/sessions.h"

#define ATTEMPTS_MAX    1024 /* connections whose far end hasn't answered yet */
#define REPORTS_MAX     8192 /* on their way to the control thread; more are dropped */
#define CONNECTIONS_MAX 65536

struct shared {
    struct names *names;
    struct owner_table *owners;
    int (*find_owner)(struct owner_table *owners, const struct ip_endpoint *client,
                      const struct ip_endpoint *server, struct owner *ret); /* owner_of_tcp */
    uint32_t uids[CHANNEL_UIDS_MAX]; /* whose sockets may connect */
    uint32_t uid_count;
    struct session_cache *sessions;
    struct mailbox *control; /* its receiver is a struct control */
    atomic_uint attempts;
    atomic_uint connections; /* attempts included */
    atomic_uint reports;
    atomic_uint_fast64_t last_connection_id;
};

/* One more, unless there are max already. */
static inline bool shared_take(atomic_uint *count, unsigned max)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

static inline void shared_give(atomic_uint *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

#endif
