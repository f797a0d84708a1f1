#include "platform/local_pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int pair(int type, int ret_fds[2], struct diag *d)
{
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_fds) == 0)
        return 0;
    return diag_set(d, err_from_errno(errno), errno, "Failed to make a pair of sockets: %s",
                    strerror(errno));
}

int local_pair_stream(int ret_fds[2], struct diag *d)
{
    return pair(SOCK_STREAM, ret_fds, d);
}

int local_pair_messages(int ret_fds[2], struct diag *d)
{
    return pair(SOCK_SEQPACKET, ret_fds, d);
}
