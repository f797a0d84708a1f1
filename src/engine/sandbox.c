#include "engine/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Memory, time, threads; the loop; descriptors that are there. */
static const int allowed[] = {
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrusage),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(fcntl),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
};

/* Libraries probe for files (OpenSSL its configuration, malloc the overcommit setting): they are told no. clone3's flags can't be
 * seen by a filter; the C library falls back to clone. */
static const struct {
    int call;
    int error;
} denied[] = {
    {SCMP_SYS(open), EACCES},     {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(stat), EACCES},     {SCMP_SYS(newfstatat), EACCES},
    {SCMP_SYS(access), EACCES},   {SCMP_SYS(faccessat), EACCES},
    {SCMP_SYS(readlink), EACCES}, {SCMP_SYS(readlinkat), EACCES},
    {SCMP_SYS(statx), EACCES},    {SCMP_SYS(getcwd), EACCES},
    {SCMP_SYS(uname), EPERM},     {SCMP_SYS(prctl), EPERM},
    {SCMP_SYS(clone3), ENOSYS},   {SCMP_SYS(io_uring_setup), ENOSYS},
};

static int add_rules(scmp_filter_ctx filter)
{
    const unsigned thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(allowed); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(denied); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)denied[i].error), denied[i].call, 0);
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, FIONBIO));
    if (r == 0) /* limits may be read (pthread_create does), not set */
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                             SCMP_A2(SCMP_CMP_EQ, 0));
    return r;
}

static int filter_calls(struct diag *d)
{
#ifdef __SANITIZE_ADDRESS__
    (void)add_rules; /* a sanitizer's own calls don't fit in */
    (void)d;
    return 0;
#else
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (filter == NULL)
        return diag_set(d, ERR_NOMEM, 0,
                        "Failed to make the engine's seccomp filter: out of memory");
    int r = add_rules(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    if (r < 0)
        return diag_set(d, ERR_UNSUPPORTED, -r, "Failed to load the engine's seccomp filter: %s",
                        strerror(-r));
    return 0;
#endif
}

/* A rule set that handles every access and grants none. Not there (ENOSYS, EOPNOTSUPP): seccomp alone has to do. */
static int close_file_system(struct diag *d)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1};
    long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

    if (fd < 0)
        return 0;
    long r = syscall(SYS_landlock_restrict_self, (int)fd, 0);
    int code = errno;
    (void)close((int)fd);
    return r == 0
               ? 0
               : diag_set(d, ERR_PERM, code, "Failed to close the file system: %s", strerror(code));
}

static int drop_privileges(struct diag *d)
{
    const struct rlimit none = {0, 0};

    capng_clear(CAPNG_SELECT_ALL);
    /* The bounding set can only be cleared with a capability; without any there is nothing in it to gain. */
    if (capng_apply(CAPNG_SELECT_CAPS) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return diag_set(d, ERR_PERM, errno, "Failed to give up privileges: %s", strerror(errno));
    return 0;
}

int sandbox_enter(struct diag *d)
{
    int err = drop_privileges(d);

    if (err == 0)
        err = close_file_system(d);
    return err < 0 ? err : filter_calls(d);
}
