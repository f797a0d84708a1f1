#include "policy/nft_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "policy/unseen.h"

#define CGROUP_DIRECTORY "/sys/fs/cgroup" /* nft looks nowhere else for the paths of cgroups */

/* What nft's alarm must have done by now, and the child have told. */
enum { PATIENCE_S = 5 };

/* How nft ends when it gets no memory. */
enum { NFT_NO_MEMORY = 2 };

/* What stands at these descriptors in the child. */
enum { INPUT, OUTPUT, ERRORS, REPORT, LOCK, NAMESPACE, FDS };

enum stage { NOT_ENTERED, NOT_STARTED, ENDED };

struct report {
    enum stage stage;
    int code; /* errno; when it has ended, its wait status */
};

static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};

/* ---- In the child: async-signal-safe calls only ---- */

NORETURN static void tell(enum stage stage, int code)
{
    const struct report r = {stage, code};

    (void)!write(REPORT, &r, sizeof(r));
    _exit(0);
}

/* To their places, and nothing else stays open. */
static void place_descriptors(const int fds[FDS])
{
    int moved[FDS];

    for (int i = 0; i < FDS; i++)
        moved[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, FDS);
    for (int i = 0; i < FDS; i++)
        if (moved[i] < 0)
            (void)close(i);
        else
            (void)dup3(moved[i], i, i > ERRORS ? O_CLOEXEC : 0);
    unseen_close_from(FDS);
}

/* On hosts that have the first version of cgroups there, the second is put over it, for nft alone.
 * Where that can't be, policies with a cgroup are refused before it comes to this, others don't
 * need it. */
static void show_cgroups(void)
{
    struct statfs fs;

    if (statfs(CGROUP_DIRECTORY, &fs) < 0 || fs.f_type == CGROUP2_SUPER_MAGIC ||
        unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return;
    (void)mount("cgroup2", CGROUP_DIRECTORY, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Whoever rules the namespace can make a listing of any size. When the memory ends it is nft that
 * goes, and nobody else. */
static void go_first(void)
{
    static const char most[] = "1000";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0)
        (void)!write(fd, most, sizeof(most) - 1);
    fd_closep(&fd);
}

NORETURN static void become_nft(const char *path, const struct nft_process *p)
{
    char *const environment[] = {NULL};
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (p->output != NULL)
        go_first();
    (void)alarm(NFT_PROCESS_TIMEOUT_S); /* outlives exec */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(path, (char *const *)(uintptr_t)p->args, environment);
    tell(NOT_STARTED, errno);
}

NORETURN static void run_nft(const char *path, const struct nft_process *p, const int fds[FDS])
{
    int status;

    place_descriptors(fds);
    (void)!chdir("/");
    (void)setsid(); /* a terminal's signals are the caller's alone */
    int code = fds[NAMESPACE] >= 0 ? unseen_enter(NAMESPACE) : 0;
    if (code != 0)
        tell(NOT_ENTERED, code);
    (void)close(NAMESPACE);
    show_cgroups();
    pid_t pid = unseen_fork(0);
    if (pid == 0)
        become_nft(path, p);
    if (pid < 0)
        tell(NOT_STARTED, -pid);
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR)
            tell(NOT_STARTED, errno);
    tell(ENDED, status);
}

/* ---- In the caller ---- */

struct running {
    struct nft_process *p;
    pid_t pid;
    struct pollfd fds[3]; /* output, errors, report */
    int pidfd;            /* -1: the kernel has none (before 5.3) */
    size_t errors_len;
    uint64_t deadline_ns;
    bool told;
    int err; /* of keeping the output */
    struct report report;
};

static int write_all(int fd, struct slice input)
{
    while (input.len > 0) {
        ssize_t n = write(fd, input.data, input.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            input = slice_from(input, (size_t)n);
    }
    return 0;
}

/* Where the caller's files may not be as large (RLIMIT_FSIZE), the signal that would end him is
 * held back and taken. -1 and errno. */
static int open_input(struct slice input)
{
    const struct timespec now = {0};
    sigset_t too_large, before, pending;
    CLEANUP(fd_closep) int fd = memfd_create("stile-policy", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    (void)sigemptyset(&too_large);
    (void)sigaddset(&too_large, SIGXFSZ);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &too_large, &before);
    int err = write_all(fd, input);
    if (err == -EFBIG && sigismember(&pending, SIGXFSZ) == 0)
        (void)sigtimedwait(&too_large, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = -err;
    return err == 0 && lseek(fd, 0, SEEK_SET) == 0 ? fd_steal(&fd) : -1;
}

static void keep_output(struct running *r, struct slice bytes)
{
    r->err = r->p->output != NULL ? buf_put(r->p->output, bytes) : 0;
    if (r->err < 0)
        fd_closep(&r->fds[0].fd); /* it ends by SIGPIPE */
}

static void keep_errors(struct running *r, struct slice bytes)
{
    size_t room = sizeof(r->p->errors) - 1 - r->errors_len;
    size_t n = MIN(room, bytes.len);

    memcpy(r->p->errors + r->errors_len, bytes.data, n);
    r->errors_len += n;
    r->p->errors[r->errors_len] = '\0';
}

/* The first counts: a child that couldn't become nft has said why before it ended. */
static void keep_report(struct running *r, struct slice bytes)
{
    if (!r->told && bytes.len == sizeof(r->report))
        memcpy(&r->report, bytes.data, sizeof(r->report));
    r->told = r->told || bytes.len == sizeof(r->report);
}

static void take(struct running *r, size_t i)
{
    static void (*const keep[])(struct running *, struct slice) = {keep_output, keep_errors,
                                                                   keep_report};
    uint8_t bytes[16384];
    size_t want = i == 2 ? sizeof(struct report) : sizeof(bytes);
    ssize_t n = read(r->fds[i].fd, bytes, want);

    if (n > 0)
        keep[i](r, slice_of(bytes, (size_t)n));
    else if (n == 0 || errno != EINTR)
        fd_closep(&r->fds[i].fd);
}

/* Something to read, or the end of the child without a word. False: neither in time, or that
 * end. */
static bool wait_for_more(struct running *r)
{
    struct pollfd all[] = {r->fds[0], r->fds[1], r->fds[2], {.fd = r->pidfd, .events = POLLIN}};
    int n;

    do
        n = poll(all, ARRAY_LEN(all), r->told ? 0 : clock_left_ms(r->deadline_ns));
    while (n < 0 && errno == EINTR);
    bool some = false;
    for (size_t i = 0; i < ARRAY_LEN(r->fds); i++) {
        r->fds[i].revents = n > 0 ? all[i].revents : 0;
        some |= r->fds[i].revents != 0;
    }
    return some;
}

/* Until the report has come and what was written before it is read, or there is none to tell it any
 * more. Not until the other ends are closed: another thread's child may have them. */
static void listen_to(struct running *r)
{
    r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0U);
    while ((r->fds[0].fd >= 0 || r->fds[1].fd >= 0 || r->fds[2].fd >= 0) && wait_for_more(r))
        for (size_t i = 0; i < ARRAY_LEN(r->fds); i++)
            if (r->fds[i].fd >= 0 && r->fds[i].revents != 0)
                take(r, i);
    fd_closep(&r->pidfd);
    if (!r->told)
        (void)kill(r->pid, SIGKILL); /* and nft with it */
    unseen_wait(r->pid);
    for (size_t i = 0; i < ARRAY_LEN(r->fds); i++)
        fd_closep(&r->fds[i].fd);
}

static int failed(struct diag *d, int code)
{
    return diag_set(d, err_from_errno(code), code, "Failed to run nft: %s", strerror(code));
}

static void close_fds(int fds[FDS])
{
    for (int i = INPUT; i <= REPORT; i++)
        fd_closep(&fds[i]);
}

/* ours: the ends of the pipes to be read; fds: what the child gets. */
static int open_all(const struct nft_process *p, int ours[3], int fds[FDS])
{
    fds[INPUT] = open_input(p->input);
    if (fds[INPUT] < 0)
        return -errno;
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        ours[i] = ends[0];
        fds[OUTPUT + i] = ends[1];
    }
    return 0;
}

static int start(const char *path, struct running *r)
{
    int ours[] = {-1, -1, -1};
    int fds[FDS] = {-1, -1, -1, -1, r->p->lock_fd, r->p->netns_fd};
    int code = open_all(r->p, ours, fds);

    if (code == 0) {
        r->pid = unseen_fork(0);
        if (r->pid == 0)
            run_nft(path, r->p, fds);
        code = r->pid < 0 ? r->pid : 0;
    }
    close_fds(fds);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        r->fds[i] = (struct pollfd){.fd = ours[i], .events = POLLIN};
        if (code < 0)
            fd_closep(&ours[i]);
    }
    return code;
}

static int explain_end(struct running *r, struct diag *d)
{
    int status = r->report.code;

    if (r->err < 0)
        return diag_set(d, r->err, 0,
                        r->err == ERR_TOOBIG
                            ? "nft listed more than this program takes: somebody has filled "
                              "the table"
                            : "Out of memory while reading what nft lists");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return diag_set(d, ERR_TIMEOUT, 0, "nft did not end within %d s and was killed",
                        NFT_PROCESS_TIMEOUT_S);
    bool no_memory =
        WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == NFT_NO_MEMORY;
    if (no_memory && r->p->output != NULL)
        return diag_set(d, ERR_TOOBIG, 0,
                        "nft was killed or had no memory while it listed: somebody may have "
                        "filled the table");
    if (WIFSIGNALED(status))
        return diag_set(d, ERR_IO, 0, "nft was killed by signal %d", WTERMSIG(status));
    r->p->exit = WEXITSTATUS(status);
    return 0;
}

static int explain(struct running *r, const char *path, struct diag *d)
{
    if (!r->told)
        return diag_set(d, ERR_TIMEOUT, 0, "nft was not heard of again: it was killed");
    if (r->report.stage == ENDED)
        return explain_end(r, d);
    if (r->report.stage == NOT_STARTED)
        return diag_set(d, err_from_errno(r->report.code), r->report.code, "Failed to run %s: %s",
                        path, strerror(r->report.code));
    if (r->report.code == EPERM)
        return diag_set(d, ERR_PERM, EPERM,
                        "Not permitted to enter the network namespace: it needs root "
                        "(CAP_SYS_ADMIN and CAP_NET_ADMIN)");
    return diag_set(d, err_from_errno(r->report.code), r->report.code,
                    "Failed to enter the network namespace: %s", strerror(r->report.code));
}

const char *nft_process_path(void)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

int nft_process_run(struct nft_process *p, struct diag *d)
{
    struct running r = {
        .p = p, .deadline_ns = clock_mono_ns() + (NFT_PROCESS_TIMEOUT_S + PATIENCE_S) * NS_PER_S};
    const char *path = nft_process_path();

    if (path == NULL)
        return diag_set(d, ERR_NOTFOUND, ENOENT,
                        "There is no nft (looked for /usr/sbin/nft, /sbin/nft and /usr/bin/nft): "
                        "install nftables (apt install nftables, dnf install nftables)");
    p->errors[0] = '\0';
    int code = start(path, &r);
    if (code < 0)
        return failed(d, -code);
    listen_to(&r);
    return explain(&r, path, d);
}
