#include "netcfg/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define INPUT_MAX ((size_t)64 * 1024)

struct running {
    pid_t pid;
    int pidfd;
    int output, problem; /* our ends */
    uint64_t deadline_ns;
};

static int failed(struct diag *d, const struct program *p, int code)
{
    return diag_set(d, err_from_errno(code), code, "Failed to run %s: %s", p->path, strerror(code));
}

/* A file in memory: unlike a pipe it can't block, nor kill us by SIGPIPE. */
static int open_input(struct slice input)
{
    int fd = memfd_create("stile-input", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (input.len > INPUT_MAX ||
        (input.len > 0 && write(fd, input.data, input.len) != (ssize_t)input.len) ||
        lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* In the child, between fork and exec: async-signal-safe calls only. */
NORETURN static void become(const struct program *p, int input, int output, int problem, int lock)
{
    static char *const environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                        (char *)(uintptr_t) "LC_ALL=C", NULL};
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    /* Outlives exec: the end of a run that nobody watches any more. */
    (void)alarm((unsigned)(p->timeout_ms / 1000) + 1);
    if (chdir("/") == 0 && dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2) {
        /* Whatever the process has open, also what isn't close-on-exec; but the lock goes with the program. */
        (void)syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
        if (lock >= 0)
            (void)fcntl(lock, F_SETFD, 0);
        execve(p->path, (char *const *)(uintptr_t)p->args, environment);
    }
    int code = errno;
    (void)!write(problem, &code, sizeof(code));
    _exit(127);
}

/* What kept the child, which has ended, from running the program: errno, or 0. The end of the pipe isn't waited for: another thread's
 * child may have it open. */
static int exec_problem(const struct running *r)
{
    int code = 0;
    return read(r->problem, &code, sizeof(code)) == (ssize_t)sizeof(code) ? code : 0;
}

/* How it ended; negative: nobody can say, as somebody else has waited for it, or the process ignores SIGCHLD. */
static int reap(const struct running *r)
{
    int status = 0;
    while (waitpid(r->pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static int start(const struct program *p, int lock, struct running *r)
{
    int output[2], problem[2];
    int input = open_input(p->input);
    if (input < 0)
        return -errno;
    if (pipe2(output, O_CLOEXEC) < 0) {
        close(input);
        return -EMFILE;
    }
    if (pipe2(problem, O_CLOEXEC | O_NONBLOCK) < 0) {
        close(input);
        close_both(output);
        return -EMFILE;
    }
    r->pid = fork();
    if (r->pid == 0)
        become(p, input, output[1], problem[1], lock);
    int code = r->pid < 0 ? errno : 0;
    close(input);
    close(output[1]);
    close(problem[1]);
    if (code != 0) {
        close(problem[0]);
        close(output[0]);
        return -code;
    }
    r->output = output[0];
    r->problem = problem[0];
    return 0;
}

static void take_output(const struct running *r, struct buf *out)
{
    uint8_t bytes[4096];
    ssize_t n = read(r->output, bytes, sizeof(bytes));
    if (n > 0 && out != NULL && buf_len(out) + (size_t)n <= PROGRAM_OUTPUT_MAX)
        (void)buf_put(out, slice_of(bytes, (size_t)n));
}

/* Until it has ended; its children may keep the output open for as long as they like. False: not in time. */
static bool wait_end(const struct running *r, struct buf *out)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = r->output, .events = POLLIN},
                                {.fd = r->pidfd, .events = POLLIN}};
        int ms = clock_left_ms(r->deadline_ns);
        int n = ms > 0 ? poll(fds, 2, ms) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if ((fds[0].revents & POLLIN) != 0)
            take_output(r, out);
        else if (fds[1].revents != 0)
            return true;
        else if (poll(&fds[1], 1, clock_left_ms(r->deadline_ns)) <= 0)
            return false;
    }
}

/* Waits for an earlier run as long as one may take: a daemon that it started may hold the lock for ever. -1: no lock. */
static int take_lock(const struct program *p)
{
    static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t deadline_ns = clock_mono_ns() + p->timeout_ms * NS_PER_MS;
    char dir[64];
    const char *slash = p->lock != NULL ? strrchr(p->lock, '/') : NULL;
    if (slash == NULL ||
        str_copy_slice(dir, sizeof(dir), slice_of(p->lock, (size_t)(slash - p->lock))) < 0)
        return -1;
    (void)mkdir(dir, 0755);
    int fd = open(p->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
           clock_mono_ns() < deadline_ns)
        (void)nanosleep(&pause, NULL);
    return fd;
}

static int run(const struct program *p, int lock, struct buf *out, int *ret_exit, struct diag *d)
{
    struct running r = {.deadline_ns = clock_mono_ns() + p->timeout_ms * NS_PER_MS};
    int code = start(p, lock, &r);
    if (code < 0)
        return failed(d, p, -code);
    r.pidfd = (int)syscall(SYS_pidfd_open, r.pid, 0U);
    bool ended = r.pidfd >= 0 ? wait_end(&r, out) : errno == ESRCH;
    if (!ended)
        (void)kill(-r.pid, SIGKILL);
    int status = reap(&r);
    code = exec_problem(&r);
    close(r.problem);
    close(r.output);
    if (r.pidfd >= 0)
        close(r.pidfd);
    if (!ended)
        return diag_set(d, ERR_TIMEOUT, 0, "%s did not end within %llu s and was killed", p->path,
                        (unsigned long long)(p->timeout_ms / 1000));
    if (code > 0)
        return failed(d, p, code);
    if (status < 0)
        return diag_set(
            d, ERR_IO, ECHILD,
            "How %s ended can't be learned: this process ignores the end of its children "
            "(SIGCHLD), or has waited for one that isn't its own",
            p->path);
    *ret_exit = status;
    return 0;
}

int program_run(const struct program *p, struct buf *out, int *ret_exit, struct diag *d)
{
    int lock = take_lock(p);
    int err = run(p, lock, out, ret_exit, d);
    if (lock >= 0)
        close(lock);
    return err;
}
