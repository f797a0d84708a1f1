/* What is asked of nft(8), in a network namespace. Blocks; no shell; thread-safe (a child enters
 * the namespace, the caller never does).
 *
 * nft is found in fixed places (/usr/sbin, /sbin, /usr/bin), at least NFT_VERSION_MIN. Where cgroup
 * v2 isn't mounted at /sys/fs/cgroup (hybrid hosts), the child gets a mount namespace of its own in
 * which it is: nft looks nowhere else.
 */
#ifndef STILE_POLICY_NFT_PROGRAM_H
#define STILE_POLICY_NFT_PROGRAM_H

#include "base/buf.h"
#include "base/err.h"

#define NFT_VERSION_MIN "1.0.2"

/* One transaction: whole or not at all. ERR_* with nft's own words. The lock (-1: none) is kept
 * open until nft has ended, even when this process is killed meanwhile. */
int nft_run(int netns_fd, int lock_fd, struct slice document, struct diag *d);
/* `nft list table inet NAME` into ret (emptied first; stays empty if there is no such table). */
int nft_list(int netns_fd, const char *table, struct buf *ret, struct diag *d);

/* "1.0.6". ERR_NOTFOUND: no nft, with the remedy. */
#define NFT_VERSION_SIZE 32
int nft_version(char ret[NFT_VERSION_SIZE], struct diag *d);
/* ERR_NOTFOUND the same; ERR_VERSION: too old, with the one found. A program that is new enough is
 * asked once, until it is another file. */
int nft_check(struct diag *d);

#endif
