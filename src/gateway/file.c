#include "gateway/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

static int open_failed(const char *path, int os_errno, struct diag *d)
{
    int r = err_from_errno(os_errno);
    if (os_errno == ENOENT)
        return diag_set(d, r, os_errno, "File %s doesn't exist", path);
    if (os_errno == EACCES || os_errno == EPERM)
        return diag_set(
            d, r, os_errno,
            "File %s may not be read by this user; run as its owner or give it to this user", path);
    if (os_errno == ELOOP)
        return diag_set(d, ERR_PERM, os_errno, "File %s is a symbolic link; name the file itself",
                        path);
    return diag_set(d, r, os_errno, "Failed to open %s: %s", path, strerror(os_errno));
}

static int read_fd(int fd, const char *path, struct buf *ret, struct diag *d)
{
    for (;;) {
        uint8_t *space;
        size_t want = 4096;
        int r = buf_reserve(ret, want, &space);
        if (r == ERR_TOOBIG) {
            want = ret->cap - buf_len(ret);
            r = want > 0 ? buf_reserve(ret, want, &space) : r;
        }
        if (r < 0)
            return diag_set(d, r, 0, "File %s is too large (over %zu bytes)", path, ret->cap);
        ssize_t n = read(fd, space, want);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_set(d, err_from_errno(errno), errno, "Failed to read %s: %s", path,
                            strerror(errno));
        buf_commit(ret, (size_t)n);
    }
}

int file_read(const char *path, struct buf *ret, struct diag *d)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return open_failed(path, errno, d);
    return read_fd(fd, path, ret, d);
}

static int check_stat(const char *path, const struct stat *st, struct diag *d)
{
    if (!S_ISREG(st->st_mode))
        return diag_set(d, ERR_PERM, 0, "%s is no ordinary file", path);
    if (st->st_uid != geteuid())
        return diag_set(
            d, ERR_PERM, 0,
            "%s belongs to user id %u, not to the one that runs this; run as that user, or: chown",
            path, (unsigned)st->st_uid);
    if ((st->st_mode & 077) != 0)
        return diag_set(
            d, ERR_PERM, 0,
            "%s holds secrets and other users may use it (mode %04o); run: chmod 600 %s", path,
            (unsigned)(st->st_mode & 07777), path);
    return 0;
}

int file_check_private(const char *path, struct diag *d)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return open_failed(path, errno, d);
    return check_stat(path, &st, d);
}

int file_read_private(const char *path, struct buf *ret, struct diag *d)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return open_failed(path, errno, d);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return open_failed(path, errno, d);
    int r = check_stat(path, &st, d);
    return r < 0 ? r : read_fd(fd, path, ret, d);
}

static int write_fd(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        bytes = slice_from(bytes, (size_t)n);
    }
    return fsync(fd) < 0 ? err_from_errno(errno) : 0;
}

int file_write_new(const char *path, struct slice bytes, unsigned mode, struct diag *d)
{
    CLEANUP(fd_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to create %s: %s", path,
                        strerror(errno));
    int r = write_fd(fd, bytes);
    if (r < 0) {
        int saved = errno;
        unlink(path);
        return diag_set(d, r, saved, "Failed to write %s: %s", path, strerror(saved));
    }
    return 0;
}

static int check_empty(const char *path, struct diag *d)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open directory %s: %s", path,
                        strerror(errno));
    bool found = false;
    struct dirent *e;
    while (!found && (e = readdir(dir)) != NULL)
        found = !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..");
    closedir(dir);
    if (found)
        return diag_set(d, ERR_EXISTS, 0,
                        "Directory %s is not empty; name a new one (nothing was changed)", path);
    return 0;
}

int file_make_dir(const char *path, unsigned mode, struct diag *d)
{
    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    if (errno == EEXIST)
        return check_empty(path, d);
    if (errno == ENOENT)
        return diag_set(d, ERR_NOTFOUND, errno,
                        "Failed to make directory %s: make the one it is in first", path);
    return diag_set(d, err_from_errno(errno), errno, "Failed to make directory %s: %s", path,
                    strerror(errno));
}

char *file_join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_zalloc(size);
    if (path == NULL)
        return NULL;
    if (str_format(path, size, "%s/%s", dir, name) < 0)
        path[0] = '\0';
    return path;
}
