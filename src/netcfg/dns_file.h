/* The back-end that takes /etc/resolv.conf itself, for hosts where nothing manages it: our text in its place, with the user's
 * search and options lines. A symbolic link is replaced, not followed: the program that writes the file it leads to goes on
 * undisturbed, and that file says whom we are to ask.
 *
 * What was there is in the undo bytes, whole. While ours is there the file is watched. Someone who writes theirs over ours (a
 * DHCP client, on another network now) is followed: verify says MISSING, and the capture before the next apply takes theirs as
 * what comes back at the end. Who edits our text keeps the edit: undo then takes out our lines alone.
 */
#ifndef STILE_NETCFG_DNS_FILE_H
#define STILE_NETCFG_DNS_FILE_H

#include "netcfg/dns_backend.h"

/* For tests: another file than /etc/resolv.conf. The path is copied. */
int dns_file_new_at(const char *path, struct dns_backend **ret, struct diag *d);

#endif
