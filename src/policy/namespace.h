/* A network namespace, held by its descriptor from the first check to the last byte: paths and pids
 * may come to mean another one meanwhile.
 *
 * Paths are followed (/run/netns has links and mounts, /proc/PID/ns/net is a link of its own kind):
 * what counts is where one leads, which is looked at before it is opened. So a device, a FIFO or a
 * file is never opened, and nothing hangs. Linux.
 *
 * What belongs to a process is read through the directory /proc/PID, opened once: when the process
 * ends, the directory is dead, and no other process with this number comes in its place. What
 * stands at /proc must be a proc file system whose numbers are this process's own (a container may
 * have been given another one); a mount over a part of it is refused.
 *
 * A namespace of a rootless container belongs to a user namespace. Root may enter it as it is; its
 * owner enters the user namespace first. Users in policies are numbers of that user namespace in
 * either case: that is how the kernel compares them.
 */
#ifndef STILE_POLICY_NAMESPACE_H
#define STILE_POLICY_NAMESPACE_H

#include "base/err.h"

/* Opens by a name as in endpoint.h; checks that it is a network namespace (NS_GET_NSTYPE), and,
 * without allow_host, that it is neither this process's own nor that of process 1 (device and
 * inode). ret_fd is the caller's to close. ERR_NOTFOUND, ERR_EXPIRED (the process has ended or is
 * another one), ERR_DENIED (the host's), ERR_INVAL (no name of a namespace, or something else has
 * it), ERR_PERM. */
int namespace_open(const char *name, bool allow_host, int *ret_fd, struct diag *d);
/* A socket made inside, by a short-lived child: the caller stays where it is. ERR_PERM. */
int namespace_socket(int netns_fd, int domain, int type, int protocol, int *ret_fd, struct diag *d);
/* "pid:PID@START" of a living process. ERR_EXPIRED. */
int namespace_name_of_pid(int pid, char *ret, size_t size, struct diag *d);

#endif
