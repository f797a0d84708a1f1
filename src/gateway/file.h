/* The gateway's files: read whole, written new. Errors name the file and the remedy. All of it blocks: for the start of a
 * program and for commands.
 */
#ifndef STILE_GATEWAY_FILE_H
#define STILE_GATEWAY_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole file. ERR_NOTFOUND, ERR_PERM, ERR_TOOBIG (over the buffer's cap), ERR_IO. */
int file_read(const char *path, struct buf *ret, struct diag *d);

/* The same for a secret: also refuses a link, a file of another user, and one that others may read or write. */
int file_read_private(const char *path, struct buf *ret, struct diag *d);

/* Creates a file that may not exist yet (nor be a link) and flushes it. mode: 0600 for secrets. */
int file_write_new(const char *path, struct slice bytes, unsigned mode, struct diag *d);

/* Is this file ours alone? 0, or ERR_PERM with a diag that says what to do; ERR_NOTFOUND. */
int file_check_private(const char *path, struct diag *d);

/* Makes a directory, or takes one that exists and is empty. ERR_EXISTS: something is in it. */
int file_make_dir(const char *path, unsigned mode, struct diag *d);

/* "dir/name", owned by the caller. NULL: no memory. */
char *file_join(const char *dir, const char *name);

#endif
