#include "netcfg/resolv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "net/resolv_conf.h"

#define LABEL "security.selinux" /* confined daemons read files of the right label only */

static int failed(struct diag *d, const char *what, const char *path)
{
    int code = errno;
    return diag_set(d, err_from_errno(code), code, "Failed to %s %s: %s", what, path,
                    strerror(code));
}

/* The directory of the path with the slash, and another name in it. */
static int beside(const char *path, const char *name, char *ret, size_t size)
{
    const char *slash = strrchr(path, '/');
    int len = slash != NULL ? (int)(slash + 1 - path) : 0;
    return str_format(ret, size, "%.*s%s", len, path, name);
}

static int next_path(const char *path, char ret[PATH_MAX])
{
    return beside(path, RESOLV_FILE_NEXT, ret, PATH_MAX);
}

/* All of it, up to the buffer's cap: ERR_TOOBIG. */
static int read_all(int fd, struct buf *out)
{
    for (;;) {
        uint8_t *space;
        size_t room = MIN((size_t)4096, out->cap - buf_len(out));
        if (room == 0) {
            uint8_t more;
            return read(fd, &more, 1) == 0 ? 0 : ERR_TOOBIG;
        }
        int err = buf_reserve(out, room, &space);
        if (err < 0)
            return err;
        ssize_t n = read(fd, space, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            return 0;
        buf_commit(out, (size_t)n);
    }
}

static int read_link(const char *path, struct resolv_state *s, struct diag *d)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target));
    if (n < 0)
        return failed(d, "read the link", path);
    if (n == 0 || (size_t)n == sizeof(target))
        return diag_set(d, ERR_TOOBIG, 0, "The symbolic link %s is too long", path);
    s->kind = RESOLV_LINK;
    return buf_put(&s->bytes, slice_of(target, (size_t)n));
}

static int read_file(const char *path, struct resolv_state *s, struct diag *d)
{
    CLEANUP(fd_closep)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return failed(d, "read", path);
    if (!S_ISREG(st.st_mode))
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "%s is neither a file nor a symbolic link: stile leaves it alone", path);
    s->kind = RESOLV_FILE;
    s->mode = st.st_mode & 07777;
    s->uid = st.st_uid;
    s->gid = st.st_gid;
    int err = read_all(fd, &s->bytes);
    if (err == ERR_TOOBIG)
        return diag_set(d, err, 0, "%s is larger than %zu bytes: stile leaves it alone", path,
                        RESOLV_BEFORE_MAX);
    return err < 0 ? diag_set(d, err, 0, "Failed to read %s: %s", path, err_text(err)) : 0;
}

int resolv_file_read(const char *path, struct resolv_state *ret, struct diag *d)
{
    struct resolv_state s;
    struct stat st;
    int err = 0;
    resolv_state_init(&s);
    s.bytes.cap = RESOLV_TEXT_MAX; /* ours may be longer than what we replace */
    if (lstat(path, &st) < 0)
        err = errno == ENOENT ? 0 : failed(d, "look at", path);
    else if (S_ISLNK(st.st_mode))
        err = read_link(path, &s, d);
    else
        err = read_file(path, &s, d);
    if (err < 0) {
        resolv_state_release(&s);
        return err;
    }
    *ret = s;
    return 0;
}

static bool is_immutable(const char *path)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int flags = 0;
    return fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
           (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0;
}

/* With the remedy. */
static int cannot_write(struct diag *d, const char *path, int code)
{
    char dir[PATH_MAX];
    int err = err_from_errno(code);
    if (beside(path, "", dir, sizeof(dir)) < 0)
        return err;
    if (is_immutable(path))
        return diag_set(d, ERR_PERM, code,
                        "%s can't be changed: it is immutable. Allow it with \"chattr -i -a %s\", "
                        "or start the broker with --dns none and configure the resolver by hand",
                        path, path);
    if (code == EROFS)
        return diag_set(
            d, ERR_PERM, code,
            "%s can't be changed: %s is read-only. Make it writable, or start the broker "
            "with --dns none and configure the resolver by hand",
            path, dir);
    if (code == ENOSPC || code == EDQUOT)
        return diag_set(d, ERR_IO, code, "%s can't be written: the disk is full. Free some space",
                        path);
    if (err == ERR_PERM)
        return diag_set(
            d, err, code,
            "%s can't be changed: %s. Only root may, and not where a security module or "
            "the directory's attributes (lsattr -d %s) forbid it",
            path, strerror(code), dir);
    return diag_set(d, err, code, "Failed to write %s: %s", path, strerror(code));
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}

static void copy_label(const char *from, int to)
{
    char label[256];
    ssize_t n = getxattr(from, LABEL, label, sizeof(label));
    if (n > 0)
        (void)fsetxattr(to, LABEL, label, (size_t)n, 0);
}

/* -errno */
static int write_next_file(const char *path, const char *next, const struct resolv_state *s,
                           struct slice text)
{
    CLEANUP(fd_closep)
    int fd = open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int code = write_all(fd, text);
    if (code < 0)
        return code;
    /* While it is still ours: a broker that may give files away need not be one that may change others' files. */
    copy_label(path, fd);
    if (fchmod(fd, (mode_t)s->mode) < 0 || fchown(fd, s->uid, s->gid) < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_next_link(const char *next, const struct resolv_state *s)
{
    char target[PATH_MAX];
    if (str_copy_slice(target, sizeof(target), buf_slice(&s->bytes)) < 0)
        return -ENAMETOOLONG;
    return symlink(target, next) < 0 ? -errno : 0;
}

static int sync_directory(const char *path)
{
    char dir[PATH_MAX];
    if (beside(path, ".", dir, sizeof(dir)) < 0)
        return -ENAMETOOLONG;
    CLEANUP(fd_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, const struct resolv_state *s, struct slice text)
{
    char next[PATH_MAX];
    if (next_path(path, next) < 0)
        return -ENAMETOOLONG;
    (void)resolv_file_clean(path);
    int code =
        s->kind == RESOLV_LINK ? write_next_link(next, s) : write_next_file(path, next, s, text);
    if (code == 0 && rename(next, path) < 0)
        code = -errno;
    if (code < 0) {
        (void)resolv_file_clean(path);
        return code;
    }
    return sync_directory(path);
}

/* One write over what is there, then its end is cut off. */
static int overwrite(const char *path, const struct resolv_state *s, struct slice text)
{
    CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    int code = write_all(fd, text);
    if (code < 0)
        return code;
    if (ftruncate(fd, (off_t)text.len) < 0)
        return -errno;
    if ((st.st_mode & 07777) != s->mode && fchmod(fd, (mode_t)s->mode) < 0)
        return -errno;
    if ((st.st_uid != s->uid || st.st_gid != s->gid) && fchown(fd, s->uid, s->gid) < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

/* Also on a full disk, if it needs no more room than it has: what was there before must come back. */
static bool may_be_written_in_place(const char *path, int code, size_t size)
{
    struct stat st;
    if (code == -ENOSPC || code == -EDQUOT)
        return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size >= size;
    return code == -EBUSY || code == -EROFS || code == -EACCES || code == -EPERM;
}

static int put(const char *path, const struct resolv_state *s, struct slice text, struct diag *d)
{
    int code = replace(path, s, text);
    if (code < 0 && s->kind == RESOLV_FILE && may_be_written_in_place(path, code, text.len)) {
        int again = overwrite(path, s, text);
        /* A link, or no file: what kept it from being replaced is the reason. */
        code = again == -ELOOP || again == -ENOENT ? code : again;
    }
    return code < 0 ? cannot_write(d, path, -code) : 0;
}

int resolv_file_write(const char *path, const struct resolv_state *state, struct diag *d)
{
    if (state->kind != RESOLV_ABSENT)
        return put(path, state, buf_slice(&state->bytes), d);
    (void)resolv_file_clean(path);
    if (unlink(path) < 0 && errno != ENOENT)
        return cannot_write(d, path, errno);
    int code = sync_directory(path);
    return code < 0 ? cannot_write(d, path, -code) : 0;
}

int resolv_file_write_text(const char *path, const struct resolv_state *before, struct slice text,
                           struct diag *d)
{
    struct resolv_state as = {
        .kind = RESOLV_FILE, .mode = 0644, .uid = geteuid(), .gid = getegid()};
    if (before->kind == RESOLV_FILE) {
        as.mode = before->mode;
        as.uid = before->uid;
        as.gid = before->gid;
    }
    return put(path, &as, text, d);
}

int resolv_file_may_write(const char *path, struct diag *d)
{
    char dir[PATH_MAX];
    if (beside(path, ".", dir, sizeof(dir)) < 0)
        return ERR_TOOBIG;
    if (is_immutable(path))
        return cannot_write(d, path, EPERM);
    if (access(dir, W_OK) == 0)
        return 0;
    int code = errno;
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, W_OK) == 0)
        return 0;
    return cannot_write(d, path, code);
}

bool resolv_file_clean(const char *path)
{
    char next[PATH_MAX];
    return next_path(path, next) == 0 && unlink(next) == 0;
}

int resolv_file_follow(const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    int err = read_all(fd, out);
    return err == ERR_NOMEM ? err : 0;
}

int resolv_file_target(const char *path, const struct resolv_state *link, char *ret, size_t size)
{
    char target[PATH_MAX];
    int err = str_copy_slice(target, sizeof(target), buf_slice(&link->bytes));
    if (err < 0)
        return err;
    return target[0] == '/' ? str_copy(ret, size, target) : beside(path, target, ret, size);
}
