/* Kills a program before its N-th system call that may change anything outside of it, counted over all its threads.
 *
 * usage: kill_at OUTPUT N PROGRAM [ARG…]     (N = 0: never)
 *
 * OUTPUT is written at the end: one line, the number of calls counted and "ended", or the number and name of the call that
 * it was killed before. The exit status is 0 when killed, else the program's. Processes that the program starts are not
 * followed. SIGTERM and SIGINT are passed on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reading, waiting and memory are left out: dying there is dying before the next call that counts. */
enum kind { ALWAYS, BY_FLAGS, BY_TARGET };

static const struct {
    long number;
    const char *name;
    enum kind kind;
    int argument; /* of the flags, or the descriptor */
} counted[] = {
#define COUNTED(name)                                                                              \
    {                                                                                              \
        SYS_##name, #name, ALWAYS, 0                                                               \
    }
#define ON_TARGET(name)                                                                            \
    {                                                                                              \
        SYS_##name, #name, BY_TARGET, 0                                                            \
    }
    COUNTED(pwrite64),
    COUNTED(fsync),
    COUNTED(fdatasync),
    COUNTED(ftruncate),
    COUNTED(mkdirat),
    COUNTED(unlinkat),
    COUNTED(renameat2),
    COUNTED(linkat),
    COUNTED(symlinkat),
    COUNTED(fchmod),
    COUNTED(fchown),
    COUNTED(fchownat),
    COUNTED(socket),
    COUNTED(bind),
    COUNTED(listen),
    COUNTED(connect),
    COUNTED(sendto),
    COUNTED(sendmsg),
    COUNTED(shutdown),
    COUNTED(ioctl),
    COUNTED(flock),
    COUNTED(clone),
    COUNTED(clone3),
    COUNTED(kill),
    COUNTED(exit_group),
    COUNTED(pidfd_send_signal),
    COUNTED(setns),
    COUNTED(copy_file_range),
    COUNTED(sendfile),
    COUNTED(fsetxattr),
    COUNTED(memfd_create),
    ON_TARGET(write),
    ON_TARGET(writev),
    ON_TARGET(close),
    {SYS_openat, "openat", BY_FLAGS, 2},
#ifdef SYS_rename
    COUNTED(rename),
    COUNTED(renameat),
    COUNTED(unlink),
    COUNTED(link),
    COUNTED(symlink),
    COUNTED(mkdir),
    COUNTED(rmdir),
    COUNTED(chmod),
    COUNTED(fork),
    COUNTED(vfork),
    {SYS_open, "open", BY_FLAGS, 1},
#endif
};

static pid_t child;

static void pass_on(int number)
{
    (void)kill(child, number);
}

static void start(char **argv)
{
    child = fork();
    if (child != 0)
        return;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
        _exit(125);
    (void)execvp(argv[0], argv);
    _exit(127);
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void tell(const char *path, unsigned long count, const char *what)
{
    FILE *f = fopen(path, "we");

    if (f == NULL || fprintf(f, "%lu %s\n", count, what) < 0 || fclose(f) != 0)
        fail(path);
}

/* Whether a file was opened for reading only: fdinfo(5) has the flags, in octal. */
static bool is_read_only(pid_t thread, uint64_t fd)
{
    char path[64];
    char line[64];
    unsigned long flags = O_RDWR;

    (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)thread, (int)fd);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, "flags:", 6) == 0)
            flags = strtoul(line + 6, NULL, 8);
    if (f != NULL)
        (void)fclose(f);
    return (flags & O_ACCMODE) == O_RDONLY;
}

/* A descriptor that isn't there, that wakes the process itself, or of a file that is only read. */
static bool is_idle(pid_t thread, uint64_t fd)
{
    char path[64];
    char target[256];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)thread, (int)fd);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return true;
    target[n] = '\0';
    if (target[0] == '/')
        return is_read_only(thread, fd);
    return strncmp(target, "anon_inode:[event", strlen("anon_inode:[event")) == 0;
}

/* The name of the call that a thread is about to make, if it counts. */
static const char *about_to_call(pid_t thread)
{
    struct __ptrace_syscall_info info = {.op = PTRACE_SYSCALL_INFO_NONE};
    size_t i = 0;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, (void *)sizeof(info), &info) < 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return NULL;
    while (i < sizeof(counted) / sizeof(counted[0]) && (uint64_t)counted[i].number != info.entry.nr)
        i++;
    if (i == sizeof(counted) / sizeof(counted[0]))
        return NULL;
    uint64_t argument = info.entry.args[counted[i].argument];
    if (counted[i].kind == BY_FLAGS && (argument & (O_ACCMODE | O_CREAT)) == O_RDONLY)
        return NULL;
    if (counted[i].kind == BY_TARGET && is_idle(thread, argument))
        return NULL;
    return counted[i].name;
}

/* What a stopped thread is to be given when it goes on: signals are, what only tells of tracing isn't. */
static int signal_of(int status)
{
    int number = WSTOPSIG(status);

    if (status >> 16 != 0 || number == SIGSTOP || number == SIGTRAP || number == (SIGTRAP | 0x80))
        return 0;
    return number;
}

/* Until the program has ended; its wait status. */
static int follow(const char *output, unsigned long n)
{
    unsigned long count = 0;
    bool killed = false;
    int status;
    pid_t thread;

    while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (thread <= 0)
            continue;
        if (!WIFSTOPPED(status)) {
            if (thread != child)
                continue;
            if (!killed)
                tell(output, count, "ended");
            return status;
        }
        const char *name =
            WSTOPSIG(status) == (SIGTRAP | 0x80) && !killed ? about_to_call(thread) : NULL;
        if (name != NULL && ++count == n) {
            killed = true;
            tell(output, count, name);
            (void)kill(child, SIGKILL);
        }
        (void)ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(uintptr_t)signal_of(status));
    }
    fail("waitpid");
    return 0;
}

int main(int argc, char **argv)
{
    const long options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    int status;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: kill_at OUTPUT N PROGRAM [ARG…]\n");
        return 125;
    }
    unsigned long n = strtoul(argv[2], NULL, 10);
    start(argv + 3);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        fail("fork");
    (void)signal(SIGTERM, pass_on);
    (void)signal(SIGINT, pass_on);
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options) < 0 ||
        ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0)
        fail("ptrace");
    status = follow(argv[1], n);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    return WTERMSIG(status) == SIGKILL ? 0 : 128 + WTERMSIG(status);
}
