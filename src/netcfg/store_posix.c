#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/store.h"

/* All files are opened relative to the directory's own descriptor, without following links: whatever happens to the path
 * meanwhile, it is this directory that is written to. */

#define JOURNAL_NAME "journal"
#define NEW_NAME     "journal.new"
#define DAMAGED_NAME "journal.damaged"
#define LOCK_NAME    "lock"

struct store_posix {
    struct store store;
    char *path; /* of the directory, for texts */
    int directory;
    int lock;
    int file; /* -1 until the first append to one that isn't there */
};

static struct store_posix *of(struct store *s)
{
    return CONTAINER_OF(s, struct store_posix, store);
}

static int fail(const struct store_posix *s, const char *what, const char *name, struct diag *d)
{
    int code = errno;
    return diag_set(d, err_from_errno(code), code, "Failed to %s %s/%s: %s", what, s->path, name,
                    strerror(code));
}

static int open_journal(struct store_posix *s, int flags)
{
    return openat(s->directory, JOURNAL_NAME, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

/* Bytes of one file. A regular file's read and write are whole or fail; a signal may cut them all the same. */
static int read_whole(int fd, struct buf *ret_bytes)
{
    for (;;) {
        uint8_t *space;
        if (buf_reserve(ret_bytes, 64 * 1024, &space) < 0)
            return -1;
        ssize_t n = read(fd, space, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        buf_commit(ret_bytes, (size_t)n);
    }
}

static int write_whole(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            bytes = slice_from(bytes, (size_t)n);
    }
    return fdatasync(fd);
}

static int store_read(struct store *base, struct buf *ret_bytes, struct diag *d)
{
    struct store_posix *s = of(base);
    int fd = open_journal(s, O_RDONLY);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return fail(s, "open", JOURNAL_NAME, d);
    int r = fstat(fd, &st);
    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size > (off_t)STORE_SIZE_MAX / 2))
        r = diag_set(d, ERR_FORMAT, 0, "%s/%s is no journal of stile's: move it away", s->path,
                     JOURNAL_NAME);
    else if (r < 0 || read_whole(fd, ret_bytes) < 0)
        r = fail(s, "read", JOURNAL_NAME, d);
    close(fd);
    return r;
}

/* A file that was just made is only there for sure once its directory is written too. */
static int ensure_file(struct store_posix *s)
{
    if (s->file >= 0)
        return 0;
    s->file = open_journal(s, O_WRONLY | O_APPEND | O_CREAT);
    return s->file < 0 ? -1 : fsync(s->directory);
}

static int store_append(struct store *base, struct slice bytes, struct diag *d)
{
    struct store_posix *s = of(base);
    if (ensure_file(s) < 0 || write_whole(s->file, bytes) < 0)
        return fail(s, "write", JOURNAL_NAME, d);
    return 0;
}

static int write_new(struct store_posix *s, struct slice whole)
{
    (void)unlinkat(s->directory, NEW_NAME, 0);
    int fd = openat(s->directory, NEW_NAME,
                    O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (write_whole(fd, whole) < 0 ||
        renameat(s->directory, NEW_NAME, s->directory, JOURNAL_NAME) < 0) {
        int code = errno;
        close(fd);
        (void)unlinkat(s->directory, NEW_NAME, 0);
        errno = code;
        return -1;
    }
    if (s->file >= 0)
        close(s->file);
    s->file = fd;
    return fsync(s->directory);
}

static int store_replace(struct store *base, struct slice whole, struct diag *d)
{
    struct store_posix *s = of(base);
    return write_new(s, whole) < 0 ? fail(s, "write", NEW_NAME, d) : 0;
}

static int cut(struct store_posix *s, uint64_t size)
{
    struct stat st;
    if (s->file < 0)
        s->file = open_journal(s, O_WRONLY | O_APPEND);
    if (s->file < 0)
        return errno == ENOENT ? 0 : -1;
    if (fstat(s->file, &st) < 0)
        return -1;
    /* It is journal.damaged too: that stays as it is. */
    if (size == 0 && st.st_nlink > 1)
        return write_new(s, slice_of(NULL, 0));
    return ftruncate(s->file, (off_t)size) < 0 ? -1 : fdatasync(s->file);
}

static int store_truncate(struct store *base, uint64_t size, struct diag *d)
{
    struct store_posix *s = of(base);
    return cut(s, size) < 0 ? fail(s, "empty", JOURNAL_NAME, d) : 0;
}

static int store_keep_damaged(struct store *base, struct diag *d)
{
    struct store_posix *s = of(base);
    (void)unlinkat(s->directory, DAMAGED_NAME, 0);
    if (linkat(s->directory, JOURNAL_NAME, s->directory, DAMAGED_NAME, 0) < 0 ||
        fsync(s->directory) < 0)
        return fail(s, "keep the damaged journal as", DAMAGED_NAME, d);
    return 0;
}

static void store_posix_free(struct store_posix *s)
{
    int fds[] = {s->file, s->lock, s->directory};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    mem_free(s->path);
    mem_free(s);
}

static void store_posix_freep(struct store_posix **s)
{
    if (*s != NULL)
        store_posix_free(*s);
}

static void store_close_posix(struct store *base)
{
    store_posix_free(of(base));
}

/* A directory that was just made must survive a power cut as what is written into it does. */
static int sync_parent(const struct store_posix *s)
{
    int parent = openat(s->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = parent < 0 ? -1 : fsync(parent);
    if (parent >= 0)
        close(parent);
    return r;
}

static int open_directory(struct store_posix *s, struct diag *d)
{
    struct stat st;
    bool made = mkdir(s->path, 0700) == 0;
    if (!made && errno != EEXIST && errno != EROFS)
        return fail(s, "make", "", d);
    s->directory = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (s->directory < 0 || fstat(s->directory, &st) < 0 || (made && sync_parent(s) < 0))
        return fail(s, "open", "", d);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "%s must belong to the user who runs the broker, and be writable for no "
                        "one else: chown it and chmod it to 0700",
                        s->path);
    return 0;
}

/* The lock is a file of its own: the journal is replaced now and then. On a read-only file system nobody else can write either,
 * so that the directory itself is locked. */
static int take_lock(struct store_posix *s, struct diag *d)
{
    s->lock = openat(s->directory, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock < 0 && (errno == EROFS || errno == EACCES || errno == ENOSPC || errno == EDQUOT))
        s->lock = fcntl(s->directory, F_DUPFD_CLOEXEC, 0);
    if (s->lock < 0)
        return fail(s, "open", LOCK_NAME, d);
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return fail(s, "lock", LOCK_NAME, d);
    return diag_set(d, ERR_BUSY, errno, "Another stile broker is running: it holds %s/%s", s->path,
                    LOCK_NAME);
}

int store_open(const char *directory, struct store **ret_s, struct diag *d)
{
    static const struct store_ops ops = {
        .read = store_read,
        .append = store_append,
        .truncate = store_truncate,
        .replace = store_replace,
        .keep_damaged = store_keep_damaged,
        .close = store_close_posix,
    };
    CLEANUP(store_posix_freep) struct store_posix *s = NEW(struct store_posix);
    if (s == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the journal: out of memory");
    s->store.ops = &ops;
    s->directory = s->lock = s->file = -1;
    s->path = mem_strdup(directory);
    if (s->path == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the journal: out of memory");
    int r = open_directory(s, d);
    if (r == 0)
        r = take_lock(s, d);
    if (r < 0)
        return r;
    *ret_s = &STEAL(s)->store;
    return 0;
}
