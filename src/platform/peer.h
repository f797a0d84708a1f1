/* Who is at the other end of a local socket: what the kernel says, taken when the peer connected.
 *
 * The uid and the groups are those of the process that connected; handing the socket on or starting another program changes
 * nothing in them. A number of a process can be used again once it has ended: so the process is held by a pidfd (SO_PEERPIDFD, Linux
 * 6.5; else pidfd_open, Linux 5.3), and where neither is there, by the time it was started, and asked afterwards whether it
 * still is the same. Reads /proc; nothing blocks.
 */
#ifndef STILE_PLATFORM_PEER_H
#define STILE_PLATFORM_PEER_H

#include "base/err.h"

/* How the process is held; each is tried in its turn. Tests begin further down. */
enum peer_hold { PEER_BY_SOCKET, PEER_BY_PID, PEER_BY_START_TIME };

struct peer {
    uint32_t uid;
    uint32_t gid;
    uint32_t pid;
    int pidfd;           /* owned; -1: held by start_time */
    uint64_t start_time; /* of the process, in clock ticks since boot */
};

#define PEER_NONE ((struct peer){.uid = UINT32_MAX, .gid = UINT32_MAX, .pidfd = -1})

/* ERR_AUTH: the process has gone, or it isn't in our namespace of processes. Nobody is taken for someone else, least of all for
 * root. ERR_LIMIT: no descriptor is left to look with. */
int peer_identify(int sock, enum peer_hold first, struct peer *ret, struct diag *d);
void peer_release(struct peer *p);

/* Whether it is the executable that we are ourselves: the same file by device and inode. ERR_VERSION (another file: the text says
 * which and the remedy), ERR_AUTH (it has gone, or can't be looked at). */
int peer_check_executable(const struct peer *p, struct diag *d);

/* Whether the process that connected is of this group, as the kernel told then. */
bool peer_in_group(int sock, uint32_t gid);

#endif
