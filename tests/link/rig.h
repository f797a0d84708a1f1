/* A network namespace of the test's own with one TUN in it. Everything goes away with the process. */
#ifndef STILE_TESTS_LINK_RIG_H
#define STILE_TESTS_LINK_RIG_H

#include "engine/link.h"

/* The kernel's addresses, and those the endpoint under test answers for: any other of the same network. */
#define RIG_V4_KERNEL "10.77.0.1"
#define RIG_V4_SERVER "10.77.0.5"
#define RIG_V6_KERNEL "fd77::1"
#define RIG_V6_SERVER "fd77::5"

/* Enters the namespace. ERR_PERM and the like: this system doesn't let us (the test is skipped). Before any thread. */
int rig_enter(void);

/* Makes the device afresh. offload: superpackets and no checksums. The link owns the queue. */
int rig_open(uint32_t mtu, bool offload, struct link **ret_link);

#endif
