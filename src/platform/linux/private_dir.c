#include "platform/private_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "base/str.h"
#include "platform/namespaces.h"

static int os_fail(struct diag *d, const char *verb, const struct private_dir *dir,
                   const char *name)
{
    int e = errno;
    return diag_set(d, err_from_errno(e), e, "Failed to %s %s%s%s: %s", verb, dir->path,
                    name != NULL ? "/" : "", name != NULL ? name : "", strerror(e));
}

/* Ours, and closed to others. */
static int check_dir(const struct private_dir *dir, struct diag *d)
{
    struct stat st;
    if (fstat(dir->fd, &st) < 0)
        return os_fail(d, "examine", dir, NULL);
    if (namespaces_is_hidden(dir->fd))
        return diag_set(d, ERR_PERM, 0,
                        "%s is hidden from programs inside `stile run`; use another terminal",
                        dir->path);
    if (st.st_uid != geteuid())
        return diag_set(d, ERR_PERM, 0,
                        "%s belongs to uid %u, not to you (uid %u); choose another directory with "
                        "--home or STILE_HOME",
                        dir->path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 077) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "%s is open to other users (mode %04o); close it with: chmod 700 %s",
                        dir->path, (unsigned)(st.st_mode & 07777), dir->path);
    return 0;
}

static int make_parents(const char *path, struct diag *d)
{
    char part[PRIVATE_PATH_SIZE];
    if (str_copy(part, sizeof(part), path) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The path %.80s… is too long", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST) {
            int e = errno;
            return diag_set(d, err_from_errno(e), e, "Failed to create %s: %s", part, strerror(e));
        }
        *slash = '/';
    }
    return 0;
}

static int open_at(int at, const char *name, const char *shown, bool create,
                   struct private_dir *ret, struct diag *d)
{
    struct private_dir dir = PRIVATE_DIR_NONE;
    if (str_copy(dir.path, sizeof(dir.path), shown) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The path %.80s… is too long", shown);
    if (create && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return os_fail(d, "create", &dir, NULL);
    dir.fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir.fd < 0)
        return os_fail(d, "open", &dir, NULL);
    int r = check_dir(&dir, d);
    if (r < 0) {
        close(dir.fd);
        return r;
    }
    *ret = dir;
    return 0;
}

int private_dir_open(const char *path, bool create, struct private_dir *ret, struct diag *d)
{
    if (create) {
        int r = make_parents(path, d);
        if (r < 0)
            return r;
    }
    return open_at(AT_FDCWD, path, path, create, ret, d);
}

static int child_path(const struct private_dir *parent, const char *name,
                      char path[PRIVATE_PATH_SIZE], struct diag *d)
{
    if (str_format(path, PRIVATE_PATH_SIZE, "%s/%s", parent->path, name) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The path %.80s…/%s is too long", parent->path, name);
    return 0;
}

int private_dir_sub(const struct private_dir *parent, const char *name, bool create,
                    struct private_dir *ret, struct diag *d)
{
    char path[PRIVATE_PATH_SIZE];
    int r = child_path(parent, name, path, d);
    if (r < 0)
        return r;
    return open_at(parent->fd, name, path, create, ret, d);
}

void private_dir_close(struct private_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    dir->fd = -1;
}

static int check_file(const struct private_dir *dir, const char *name, int fd, struct diag *d)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return os_fail(d, "examine", dir, name);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "%s/%s is not a file of yours alone; remove it, or: chmod 600 %s/%s",
                        dir->path, name, dir->path, name);
    return 0;
}

static int read_all(const struct private_dir *dir, const char *name, int fd, struct buf *b,
                    struct diag *d)
{
    for (;;) {
        uint8_t *space = NULL;
        size_t room = MIN((size_t)4096, b->cap - buf_len(b));
        /* At the cap one byte more tells whether the file has ended. */
        uint8_t one;
        if (room > 0) {
            int r = buf_reserve(b, room, &space);
            if (r < 0)
                return r;
        }
        ssize_t n = read(fd, room > 0 ? space : &one, room > 0 ? room : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return os_fail(d, "read", dir, name);
        if (n == 0)
            return 0;
        if (room == 0)
            return diag_set(d, ERR_TOOBIG, 0, "%s/%s is larger than it can be", dir->path, name);
        buf_commit(b, (size_t)n);
    }
}

int private_dir_read(const struct private_dir *dir, const char *name, struct buf *b, struct diag *d)
{
    CLEANUP(fd_closep)
    int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return os_fail(d, "open", dir, name);
    int r = check_file(dir, name, fd, d);
    if (r < 0)
        return r;
    return read_all(dir, name, fd, b, d);
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}

static void random_name(char name[PRIVATE_NAME_SIZE])
{
    (void)str_format(name, PRIVATE_NAME_SIZE, ".new-%016llx", (unsigned long long)random_u64());
}

int private_dir_write(const struct private_dir *dir, const char *name, struct slice bytes,
                      struct diag *d)
{
    char temporary[PRIVATE_NAME_SIZE];
    random_name(temporary);
    CLEANUP(fd_closep)
    int fd = openat(dir->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return os_fail(d, "create", dir, name);
    if (write_all(fd, bytes) < 0 || fsync(fd) < 0 ||
        renameat(dir->fd, temporary, dir->fd, name) < 0) {
        int r = os_fail(d, "write", dir, name);
        unlinkat(dir->fd, temporary, 0);
        return r;
    }
    return 0;
}

int private_dir_remove(const struct private_dir *dir, const char *name, struct diag *d)
{
    if (unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT)
        return os_fail(d, "remove", dir, name);
    return 0;
}

int private_dir_append_fd(const struct private_dir *dir, const char *name, int *ret_fd,
                          struct diag *d)
{
    int fd = openat(dir->fd, name,
                    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return os_fail(d, "open", dir, name);
    int r = check_file(dir, name, fd, d);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static void close_listing(DIR **listing)
{
    if (*listing != NULL)
        closedir(*listing);
}

/* dots: also names that start with one (never "." and ".."). */
static int list(const struct private_dir *dir, bool dots, void (*each)(void *, const char *),
                void *arg, struct diag *d)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close_listing) DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (listing == NULL) {
        int r = os_fail(d, "list", dir, NULL);
        fd_closep(&fd);
        return r;
    }
    for (struct dirent *e = readdir(listing); e != NULL; e = readdir(listing)) {
        bool self = str_eq(e->d_name, ".") || str_eq(e->d_name, "..");
        if (!self && (dots || e->d_name[0] != '.'))
            each(arg, e->d_name);
    }
    return 0;
}

int private_dir_list(const struct private_dir *dir, void (*each)(void *arg, const char *name),
                     void *arg, struct diag *d)
{
    return list(dir, false, each, arg, d);
}

int private_dir_stage(const struct private_dir *parent, struct private_dir *ret,
                      char name_ret[PRIVATE_NAME_SIZE], struct diag *d)
{
    random_name(name_ret);
    if (mkdirat(parent->fd, name_ret, 0700) < 0)
        return os_fail(d, "create", parent, name_ret);
    return private_dir_sub(parent, name_ret, false, ret, d);
}

int private_dir_commit(const struct private_dir *parent, const char *staged, const char *name,
                       struct diag *d)
{
    if (renameat2(parent->fd, staged, parent->fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST)
        return os_fail(d, "put in place", parent, name);
    if (renameat2(parent->fd, staged, parent->fd, name, RENAME_EXCHANGE) < 0)
        return os_fail(d, "replace", parent, name);
    return private_dir_remove_sub(parent, staged, d);
}

static void remove_file(void *arg, const char *name)
{
    const struct private_dir *dir = arg;
    unlinkat(dir->fd, name, 0);
}

int private_dir_remove_sub(const struct private_dir *parent, const char *name, struct diag *d)
{
    CLEANUP(private_dir_close) struct private_dir dir = PRIVATE_DIR_NONE;
    int r = private_dir_sub(parent, name, false, &dir, d);
    if (r < 0)
        return r;
    r = list(&dir, true, remove_file, &dir, d);
    if (r < 0)
        return r;
    if (unlinkat(parent->fd, name, AT_REMOVEDIR) < 0)
        return os_fail(d, "remove", parent, name);
    return 0;
}

uint64_t private_dir_stamp(const struct private_dir *dir, const char *name)
{
    struct stat st;
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    uint64_t stamp = (uint64_t)st.st_mtim.tv_sec * UINT64_C(1000000007) +
                     (uint64_t)st.st_mtim.tv_nsec + ((uint64_t)st.st_ino << 32) +
                     (uint64_t)st.st_size;
    return stamp != 0 ? stamp : 1;
}
