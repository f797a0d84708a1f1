#include "platform/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

#define SELF "/proc/self/exe"

enum { HIGH_FD = 64 }; /* above every number that is given out below */

/* What a child was doing when it failed, and the system's code. */
struct failure {
    int step;
    int code;
};

enum step { STEP_FDS, STEP_DIRECTORY, STEP_LIMITS, STEP_POWERS, STEP_USER, STEP_PARENT, STEP_EXEC };

static const char *const step_texts[] = {
    [STEP_FDS] = "arrange its descriptors", [STEP_DIRECTORY] = "change to /",
    [STEP_LIMITS] = "set its limits",       [STEP_POWERS] = "give up the capabilities",
    [STEP_USER] = "change to its user",     [STEP_PARENT] = "follow its parent",
    [STEP_EXEC] = ("execute " SELF),
};

/* ---- between fork and exec: calls that are safe in signal handlers, and nothing else ---- */

static bool move_up(int *fd)
{
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, HIGH_FD);
    return *fd >= 0;
}

static void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0U, 0) == 0)
        return;
    struct rlimit limit;
    unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (unsigned)limit.rlim_cur : 1024;
    for (unsigned fd = first; fd < end; fd++)
        (void)close((int)fd);
}

static bool arrange_fds(const struct child_config *c, int *report)
{
    int fds[CHILD_FDS_MAX];
    int error = c->stderr_fd;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    memcpy(fds, c->fds, c->fd_count * sizeof(*fds));
    bool good = null >= 0 && move_up(&null) && move_up(&error) && move_up(report);
    for (size_t i = 0; good && i < c->fd_count; i++)
        good = move_up(&fds[i]);
    if (!good || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(error, 2) < 0)
        return false;
    for (size_t i = 0; i < c->fd_count; i++)
        if (dup2(fds[i], CHILD_FIRST_FD + (int)i) < 0)
            return false;
    int last = CHILD_FIRST_FD + (int)c->fd_count;
    if (dup2(*report, last) < 0 || fcntl(last, F_SETFD, FD_CLOEXEC) < 0)
        return false;
    *report = last;
    close_from((unsigned)last + 1);
    return true;
}

static bool set_limits(void)
{
    const struct rlimit none = {0, 0};
    struct rlimit files;
    if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    files.rlim_cur = files.rlim_max; /* a descriptor for every connection */
    return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static bool drop_bounding_set(void)
{
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
            return false;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static bool become(uint32_t uid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof(none));
    /* The library's own functions would tell the parent's threads, of which none is here. */
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, uid, uid, uid) < 0 ||
        syscall(SYS_setresuid, uid, uid, uid) < 0)
        return false;
    return syscall(SYS_capset, &header, none) == 0 && geteuid() == uid && getegid() == uid;
}

/* Set after the change of user, which would have switched it off. */
static bool follow_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return false;
    return getppid() == parent;
}

static void reset_signals(void)
{
    sigset_t none;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static enum step prepare(const struct child_config *c, pid_t parent, int *report)
{
    reset_signals();
    (void)setsid();
    (void)umask(077);
    if (!arrange_fds(c, report))
        return STEP_FDS;
    if (chdir("/") < 0)
        return STEP_DIRECTORY;
    if (!set_limits())
        return STEP_LIMITS;
    if (!drop_bounding_set())
        return STEP_POWERS;
    if (!become(c->uid))
        return STEP_USER;
    return follow_parent(parent) ? STEP_EXEC : STEP_PARENT;
}

NORETURN static void run_child(const struct child_config *c, pid_t parent, int report)
{
    union {
        const char *const *in;
        char **out; /* execve's type; it only reads */
    } argv = {.in = c->argv}, env = {.in = c->env};
    errno = 0;
    enum step step = prepare(c, parent, &report);
    if (step == STEP_EXEC)
        (void)execve(SELF, argv.out, env.out);
    struct failure f = {.step = (int)step, .code = errno};
    (void)!write(report, &f, sizeof(f));
    _exit(127);
}

/* ---- the parent ---- */

static int await_exec(const struct child_config *c, int report, pid_t pid, struct diag *d)
{
    struct failure f;
    ssize_t n;
    do
        n = read(report, &f, sizeof(f));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0; /* closed by the exec */
    (void)waitpid(pid, NULL, 0);
    if (n != sizeof(f))
        return diag_set(d, ERR_INTERNAL, 0, "Failed to start the %s", c->role);
    return diag_set(d, f.code != 0 ? err_from_errno(f.code) : ERR_INTERNAL, f.code,
                    "Failed to start the %s: it couldn't %s: %s", c->role, step_texts[f.step],
                    strerror(f.code));
}

int child_start(const struct child_config *config, int *ret_pid, struct diag *d)
{
    int report[2];
    if (config->uid == 0 || config->fd_count > CHILD_FDS_MAX)
        return diag_set(d, ERR_INVAL, 0, "Failed to start the %s: bad user or descriptors",
                        config->role);
    if (pipe2(report, O_CLOEXEC) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to start the %s: %s", config->role,
                        strerror(errno));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        run_child(config, parent, report[1]);
    int code = errno;
    (void)close(report[1]);
    int r = pid < 0 ? diag_set(d, err_from_errno(code), code, "Failed to start the %s: %s",
                               config->role, strerror(code))
                    : await_exec(config, report[0], pid, d);
    (void)close(report[0]);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

bool child_ended(int pid, int *ret_status)
{
    int status = 0;
    pid_t r = waitpid(pid, &status, WNOHANG);
    if (r == 0)
        return false;
    *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

void child_kill(int pid, int signal)
{
    (void)kill(pid, signal);
}

/* "Uid:" of /proc/PID/status: real, effective, saved, file system. */
static bool process_has_uid(int proc, const char *pid, uint32_t uid)
{
    char path[300];
    char text[4096];
    (void)str_format(path, sizeof(path), "%s/status", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    static const char field[] = "\nUid:";
    char *s = strstr(text, field);
    s = s != NULL ? s + strlen(field) : text;
    bool has = false;
    for (int i = 0; s != text && i < 3; i++)
        has = has || strtoul(s, &s, 10) == uid;
    return has;
}

bool child_uid_is_used(uint32_t uid)
{
    DIR *dir = opendir("/proc");
    bool used = false;
    if (dir == NULL)
        return false;
    for (struct dirent *e; !used && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            used = process_has_uid(dirfd(dir), e->d_name, uid);
    (void)closedir(dir);
    return used;
}
