/* Two connected local sockets, close-on-exec. */
#ifndef STILE_PLATFORM_LOCAL_PAIR_H
#define STILE_PLATFORM_LOCAL_PAIR_H

#include "base/err.h"

int local_pair_stream(int ret_fds[2], struct diag *d);
int local_pair_messages(int ret_fds[2], struct diag *d); /* SOCK_SEQPACKET */

#endif
