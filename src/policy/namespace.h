/* A network namespace, held by its descriptor from the first check to the last byte: paths and pids may come to mean another one meanwhile.
 */
#ifndef STILE_POLICY_NAMESPACE_H
#define STILE_POLICY_NAMESPACE_H

#include "base/err.h"

/* Opens by a name as in endpoint.h; checks that it is a network namespace (NS_GET_NSTYPE), and, without allow_host, that it is neither
 * this process's own nor that of process 1 (device and inode). ret_fd is the caller's to close. */
int namespace_open(const char *name, bool allow_host, int *ret_fd, struct diag *d);
/* A socket made inside, by a short-lived thread of its own: the caller stays where it is. */
int namespace_socket(int netns_fd, int domain, int type, int protocol, int *ret_fd, struct diag *d);
/* "pid:PID@START" of a living process. ERR_EXPIRED. */
int namespace_name_of_pid(int pid, char *ret, size_t size, struct diag *d);

#endif
