#include "policy/endpoint_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "policy/lock_holder.h"

#define SYSTEM_DIRECTORY "/run/stile-policy"
#define FILE_NAME        "policy.lock"

enum { DIRECTORY_SIZE = 1024, PAUSE_MS = 10 };

static int refused(struct diag *d, const char *directory, const char *why)
{
    return diag_set(d, ERR_PERM, 0,
                    "%s %s: whoever else can write there could keep policies from being changed. "
                    "Remove it, or give it to yourself alone",
                    directory, why);
}

/* -1 and errno: it can't be made or opened. */
static int open_directory(const char *path)
{
    (void)mkdir(path, 0700);
    return open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_in(int directory, const char *path, int *ret_fd, struct diag *d)
{
    struct stat st;
    if (fstat(directory, &st) < 0 || st.st_uid != geteuid() ||
        (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refused(d, path, "is not a directory of yours alone");
    CLEANUP(fd_closep)
    int fd =
        openat(directory, FILE_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open %s/" FILE_NAME ": %s",
                        path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return refused(d, path, "has a " FILE_NAME " that is not yours alone");
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* not_system: why root can't have the system's; "" for others. */
static int open_of_user(const char *not_system, int *ret_fd, struct diag *d)
{
    char path[DIRECTORY_SIZE];
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

    if (str_is_empty(runtime) || runtime[0] != '/' ||
        str_format(path, sizeof(path), "%s/stile", runtime) < 0)
        return diag_set(d, ERR_PERM, 0,
                        "There is no place for a lock: root needs " SYSTEM_DIRECTORY
                        "%s, others XDG_RUNTIME_DIR, a directory of their own (pam_systemd sets "
                        "it)",
                        not_system);
    CLEANUP(fd_closep) int directory = open_directory(path);
    if (directory < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open %s: %s", path,
                        strerror(errno));
    return open_in(directory, path, ret_fd, d);
}

/* Root of a user namespace finds a /run that isn't its own. */
static bool is_own(int directory)
{
    struct stat st;

    return fstat(directory, &st) == 0 && st.st_uid == geteuid();
}

static int open_file(int *ret_fd, struct diag *d)
{
    char why[128] = "";

    if (geteuid() != 0)
        return open_of_user(why, ret_fd, d);
    CLEANUP(fd_closep) int directory = open_directory(SYSTEM_DIRECTORY);
    if (directory >= 0 && is_own(directory))
        return open_in(directory, SYSTEM_DIRECTORY, ret_fd, d);
    (void)str_format(why, sizeof(why), " (here: %s)",
                     directory < 0 ? strerror(errno) : "it belongs to another user");
    return open_of_user(why, ret_fd, d);
}

static void tell_waiting(int fd, off_t place, const struct endpoint_waiting *waiting)
{
    char holder[LOCK_HOLDER_SIZE], text[LOCK_HOLDER_SIZE + 96];

    if (waiting == NULL || waiting->tell == NULL)
        return;
    lock_holder_name(fd, place, holder);
    (void)str_format(text, sizeof(text),
                     "Waiting for %s, which is changing the policies of this endpoint", holder);
    waiting->tell(waiting->arg, text);
}

/* A lock of the open file, not of the process: threads exclude each other, and a child that has a
 * copy keeps it. Asked for again and again, as waiting for it in the kernel can be ended only by a
 * signal, and those are the program's. */
static int take(int fd, off_t place, uint64_t timeout_ms, const struct endpoint_waiting *waiting)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000 * 1000};
    uint64_t start_ns = clock_mono_ns(), now_ns = start_ns;
    bool told = false;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};

    while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -errno;
        if (now_ns - start_ns >= timeout_ms * NS_PER_MS)
            return -EBUSY;
        if (!told && now_ns - start_ns >= ENDPOINT_PATIENCE_MS * NS_PER_MS) {
            tell_waiting(fd, place, waiting);
            told = true;
        }
        (void)nanosleep(&pause, NULL);
        now_ns = clock_mono_ns();
    }
    return 0;
}

static int busy(int fd, off_t place, uint64_t timeout_ms, struct diag *d)
{
    char holder[LOCK_HOLDER_SIZE];

    lock_holder_name(fd, place, holder);
    return diag_set(d, ERR_BUSY, 0,
                    "The policies of this endpoint are being changed by %s, for %llu s already: "
                    "see what it is doing, or try again",
                    holder, (unsigned long long)(timeout_ms / 1000));
}

int endpoint_lock(int netns_fd, uint64_t timeout_ms, const struct endpoint_waiting *waiting,
                  int *ret_fd, struct diag *d)
{
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    if (fstat(netns_fd, &st) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to examine the namespace: %s",
                        strerror(errno));
    int err = open_file(&fd, d);
    if (err < 0)
        return err;
    int code = take(fd, (off_t)st.st_ino, timeout_ms, waiting);
    if (code == -EBUSY)
        return busy(fd, (off_t)st.st_ino, timeout_ms, d);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to lock the endpoint: %s",
                        strerror(-code));
    *ret_fd = fd_steal(&fd);
    return 0;
}

void endpoint_unlock(int *fd)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    if (*fd >= 0)
        (void)fcntl(*fd, F_OFD_SETLK, &all);
    fd_closep(fd);
}
