#include "policy/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

enum {
    ROOT_INODE =
        1, /* of every proc file system: a part of one that is mounted at /proc has another */
    STAT_SIZE = 1024,
    START_FIELD = 22, /* of /proc/PID/stat */
};

int proc_open(int *ret_root, struct diag *d)
{
    struct statfs fs;
    struct stat st;
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open /proc: %s",
                        strerror(errno));
    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC && fstat(fd, &st) == 0 &&
        st.st_ino == ROOT_INODE) {
        *ret_root = fd;
        return 0;
    }
    fd_closep(&fd);
    return diag_set(d, ERR_UNSUPPORTED, 0,
                    "/proc is not the proc file system: without it no network namespace can be "
                    "told from the host's own; mount it (mount -t proc proc /proc)");
}

int proc_open_at(int dir, const char *name, int flags)
{
    const struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                                 .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

    if (fd >= 0 || errno != ENOSYS)
        return fd;
    struct stat above, st; /* before Linux 5.6: other file systems at least are found */
    fd = openat(dir, name, flags | O_CLOEXEC);
    if (fd >= 0 && (fstat(dir, &above) < 0 || fstat(fd, &st) < 0 || above.st_dev != st.st_dev)) {
        (void)close(fd);
        errno = EXDEV;
        return -1;
    }
    return fd;
}

/* The whole of a small file, as text. */
static bool read_text(int dir, const char *name, char *text, size_t size)
{
    CLEANUP(fd_closep) int fd = proc_open_at(dir, name, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* The name in field 2 may hold anything, so it is counted from its last parenthesis. */
bool proc_start_time(int dir, uint64_t *ret_start)
{
    char text[STAT_SIZE];

    if (!read_text(dir, "stat", text, sizeof(text)))
        return false;
    char *field = strrchr(text, ')');
    for (int i = 2; field != NULL && i < START_FIELD; i++)
        field = strchr(field + 1, ' ');
    if (field == NULL)
        return false;
    field[1 + strcspn(field + 1, " \n")] = '\0';
    return str_to_u64(field + 1, UINT64_MAX, ret_start) == 0;
}

/* Whether this number means the same process in /proc as for the kernel's calls: else it is the
 * /proc of other processes. */
static bool is_our_number(int root, int pid, int pidfd)
{
    static const char word[] = "\nPid:\t";
    char name[64], text[STAT_SIZE], number[16];

    (void)str_format(name, sizeof(name), "thread-self/fdinfo/%d", pidfd);
    if (!read_text(root, name, text, sizeof(text)))
        return false;
    const char *at = strstr(text, word);
    if (at == NULL)
        return false;
    (void)str_format(number, sizeof(number), "%d\n", pid);
    return str_starts(at + strlen(word), number);
}

static int none(int pid, struct diag *d)
{
    return diag_set(d, ERR_EXPIRED, ESRCH, "There is no process %d (any more)", pid);
}

static int explain_open(int pid, int code, struct diag *d)
{
    if (code == ENOENT || code == ESRCH)
        return none(pid, d);
    if (code == EXDEV)
        return diag_set(d, ERR_PERM, code,
                        "Something is mounted over /proc/%d: what it says of the process can't be "
                        "trusted; unmount it",
                        pid);
    return diag_set(d, err_from_errno(code), code, "Failed to look at process %d: %s", pid,
                    strerror(code));
}

/* The directory was opened before: if it is alive after the pidfd was made, both are of one
 * process. */
static int check_number(int root, int pid, struct diag *d)
{
    CLEANUP(fd_closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);

    if (pidfd >= 0 && is_our_number(root, pid, pidfd))
        return 0;
    if (pidfd < 0 && errno == ENOSYS) /* before Linux 5.3 */
        return 0;
    if (pidfd < 0 && errno == EINVAL)
        return diag_set(d, ERR_INVAL, EINVAL, "%d is a thread, not a process", pid);
    if (pidfd < 0 && errno != ESRCH)
        return explain_open(pid, errno, d);
    return diag_set(d, ERR_EXPIRED, 0,
                    "There is no process %d (any more), or /proc shows those of another pid "
                    "namespace than this program's",
                    pid);
}

int proc_open_process(int root, int pid, int *ret_dir, uint64_t *ret_start, struct diag *d)
{
    char name[16];
    uint64_t start;

    (void)str_format(name, sizeof(name), "%d", pid);
    CLEANUP(fd_closep) int dir = pid > 0 ? proc_open_at(root, name, O_RDONLY | O_DIRECTORY) : -1;
    if (dir < 0)
        return explain_open(pid, pid > 0 ? errno : ESRCH, d);
    int err = check_number(root, pid, d);
    if (err < 0)
        return err;
    if (!proc_start_time(dir, &start))
        return none(pid, d);
    *ret_dir = fd_steal(&dir);
    *ret_start = start;
    return 0;
}
