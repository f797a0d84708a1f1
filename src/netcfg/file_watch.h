/* Tells when one of a few files has changed: written, replaced, removed, made.
 *
 * A file is watched by its directory (so it needn't be there) and by itself (so a bind mount of it is seen). Where the
 * directory isn't there either, the nearest one above that is is watched instead; the owner adds all paths anew when told, so
 * it finds the file once it comes. Nothing is told of which file it was, or whether its content is another: the owner looks.
 *
 * Belongs to the loop's thread. Nothing blocks.
 */
#ifndef STILE_NETCFG_FILE_WATCH_H
#define STILE_NETCFG_FILE_WATCH_H

#include "base/err.h"
#include "loop/loop.h"

#define FILE_WATCH_MAX 16 /* paths */

struct file_watch;

/* ERR_NOMEM, ERR_LIMIT (of the system's inotify instances). */
int file_watch_new(struct loop *loop, void (*changed)(void *arg), void *arg,
                   struct file_watch **ret, struct diag *d);

/* Forgets the paths of before; events of theirs that weren't told yet are lost, so look at the files after it. */
void file_watch_clear(struct file_watch *w);
/* Relative paths are those of the working directory at this time. ERR_LIMIT: one too many, or the system's limit. */
int file_watch_add(struct file_watch *w, const char *path);
int file_watch_add_directory(struct file_watch *w, const char *path); /* any file in it */

/* No callback any more; the loop closes what is open and frees. NULL does nothing. */
void file_watch_free(struct file_watch *w);

#endif
