/* Linux namespaces of the calling process: how a program gets a network of its own without any privilege.
 *
 * All of it must run before the process has threads. See user_namespaces(7), network_namespaces(7), mount_namespaces(7).
 */
#ifndef STILE_PLATFORM_NAMESPACES_H
#define STILE_PLATFORM_NAMESPACES_H

#include "base/err.h"

/* New user, network and mount namespaces; uid and gid are mapped to themselves. Afterwards the process has every capability
 * over the new ones and none over the host. ERR_PERM, ERR_LIMIT: the text names the system setting to change. */
int namespaces_enter(struct diag *d);

/* A child user namespace, again with uid and gid mapped to themselves, all capabilities dropped for good, and no way to gain
 * any (no_new_privs): for the program to be run, so that it has no power over the network it was given. */
int namespaces_confine(struct diag *d);

/* Covers each directory of the list (ended by NULL) that exists with an empty one. */
int namespaces_hide(const char *const *directories, struct diag *d);
/* Whether this open directory is such a cover: what it is asked for is there, but out of reach. */
bool namespaces_is_hidden(int directory);

/* Makes /etc/resolv.conf, wherever it points, hold this text. Call it after namespaces_hide: a target in a hidden directory
 * is made there. ERR_NOTFOUND when there is no such file to cover. */
int namespaces_resolv_conf(const char *text, struct diag *d);

#endif
