/* Small files of the system, read whole. */
#ifndef STILE_DIAG_SMALL_FILE_H
#define STILE_DIAG_SMALL_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends what the file has; what is over b's cap is left out. ERR_NOTFOUND, ERR_PERM, ERR_IO. A file that isn't a regular one
 * isn't waited for. */
MUST_CHECK int small_file_read(const char *path, struct buf *b);

/* A new file with this text, 0600. ERR_EXISTS: there is something of this name already, which stays as it is. Nothing is left
 * behind by a failure. */
MUST_CHECK int small_file_create(const char *path, struct slice text, struct diag *d);

#endif
