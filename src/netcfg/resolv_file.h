/* /etc/resolv.conf on the disk: what is there, and something else in its place.
 *
 * A file is written under another name in the same directory, flushed, and renamed, so that there is never half of one. Where
 * that can't be (the file is a mount point, as in containers; the directory is read-only; the disk is full), the file itself is overwritten
 * with one write, then cut to its length: killed between, it is of two parts (resolv_text_is_torn).
 *
 * Everything blocks for the disk only. The path's last part may be a symbolic link, which is never followed but by
 * resolv_file_follow; its directory is root's.
 */
#ifndef STILE_NETCFG_RESOLV_FILE_H
#define STILE_NETCFG_RESOLV_FILE_H

#include "netcfg/resolv_text.h"

/* The name under which the next file is written, beside it. */
#define RESOLV_FILE_NEXT ".resolv.conf.stile"

/* What is there. ERR_UNSUPPORTED (a directory, a device, …), ERR_TOOBIG (over RESOLV_BEFORE_MAX), ERR_PERM, ERR_IO. */
int resolv_file_read(const char *path, struct resolv_state *ret, struct diag *d);

/* Puts it there, and makes it durable. An absent state removes the file. The text says what keeps it from being written
 * (read-only, immutable) and what to do. ERR_PERM, ERR_BUSY (mount point that is to become something else than a file), ERR_IO. */
int resolv_file_write(const char *path, const struct resolv_state *state, struct diag *d);

/* Our text in place of whatever is there: of the same mode and owner if that is a file. */
int resolv_file_write_text(const char *path, const struct resolv_state *before, struct slice text,
                           struct diag *d);

/* Whether a write would be let: 0, or ERR_PERM with the remedy. Looks only. */
int resolv_file_may_write(const char *path, struct diag *d);

/* What a killed write left beside it. Returns true if there was something. */
bool resolv_file_clean(const char *path);

/* What programs read there: through links, no file is no text, cut at RESOLV_CONF_CAP. ERR_NOMEM. */
int resolv_file_follow(const char *path, struct buf *out);

/* Where the state's link leads, seen from the path's directory; ERR_TOOBIG. */
int resolv_file_target(const char *path, const struct resolv_state *link, char *ret, size_t size);

#endif
