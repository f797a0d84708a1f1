/* A directory that only its owner can look into, and the files in it.
 *
 * The directory is opened once and everything goes through that handle, so nothing is redirected by a rename or a link on
 * the way. A directory of someone else, or one that others may enter, is refused (ERR_PERM) with the remedy. Files are created
 * 0600 under a name of their own and renamed into place: a reader sees the old or the new text, whole. Everything blocks on
 * the disk; files are small.
 */
#ifndef STILE_PLATFORM_PRIVATE_DIR_H
#define STILE_PLATFORM_PRIVATE_DIR_H

#include "base/buf.h"
#include "base/err.h"

#define PRIVATE_PATH_SIZE 1024
#define PRIVATE_NAME_SIZE 128

struct private_dir {
    int fd;                       /* owned; -1: not open */
    char path[PRIVATE_PATH_SIZE]; /* for messages */
};

#define PRIVATE_DIR_NONE ((struct private_dir){.fd = -1})

/* create: makes it (and its parents) with mode 0700 if it isn't there; else ERR_NOTFOUND. */
int private_dir_open(const char *path, bool create, struct private_dir *ret, struct diag *d);
int private_dir_sub(const struct private_dir *parent, const char *name, bool create,
                    struct private_dir *ret, struct diag *d);
void private_dir_close(struct private_dir *dir); /* not open is fine */

/* Appends the file's bytes to b (whose cap counts). ERR_NOTFOUND, ERR_PERM if it isn't ours alone, ERR_TOOBIG. */
int private_dir_read(const struct private_dir *dir, const char *name, struct buf *b,
                     struct diag *d);
int private_dir_write(const struct private_dir *dir, const char *name, struct slice bytes,
                      struct diag *d);
/* ERR_NOTFOUND is not a failure here: it is gone. */
int private_dir_remove(const struct private_dir *dir, const char *name, struct diag *d);

/* An open file descriptor for appending, created 0600 if it isn't there. */
int private_dir_append_fd(const struct private_dir *dir, const char *name, int *ret_fd,
                          struct diag *d);

/* The names in the directory in no order, without those that start with a dot. */
int private_dir_list(const struct private_dir *dir, void (*each)(void *arg, const char *name),
                     void *arg, struct diag *d);

/* A new sub-directory with a random name that starts with a dot, to be filled and then put in place of `name` in one step
 * (what was there is removed) or removed. Only files may be in it. */
int private_dir_stage(const struct private_dir *parent, struct private_dir *ret,
                      char name_ret[PRIVATE_NAME_SIZE], struct diag *d);
int private_dir_commit(const struct private_dir *parent, const char *staged, const char *name,
                       struct diag *d);
/* A sub-directory and the files in it. ERR_NOTFOUND if it isn't there. */
int private_dir_remove_sub(const struct private_dir *parent, const char *name, struct diag *d);

/* Changes whenever the entry is replaced or changed; 0 if it isn't there. */
uint64_t private_dir_stamp(const struct private_dir *dir, const char *name);

#endif
