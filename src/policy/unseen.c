#include "policy/unseen.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a kernel without close_range(2) (before 5.9) has us look through at most. */
enum { DESCRIPTORS_MAX = 65536 };

/* By the system call, as glibc's function refuses the two signals that it keeps for itself, which
 * our parents may have ignored all the same. The kernel's struct sigaction differs in order between
 * processors; all zeros are SIG_DFL in each. */
static void default_signals(void)
{
    static const uint64_t action[8] = {0};

    for (int s = 1; s < NSIG; s++)
        (void)syscall(SYS_rt_sigaction, s, action, NULL, sizeof(uint64_t));
}

pid_t unseen_fork(unsigned long flags)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all,
                          &before); /* the program's handlers don't run in the child */
    /* No signal at its end is what makes it unseen. Not fork(): that would run the program's
     * pthread_atfork handlers. */
    long pid = syscall(SYS_clone, flags, 0UL, 0UL, 0UL, 0UL);
    int code = errno;
    if (pid == 0) {
        default_signals();
        return 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid < 0 ? -code : (pid_t)pid;
}

void unseen_wait(pid_t pid)
{
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

int unseen_enter(int netns_fd)
{
    if (setns(netns_fd, CLONE_NEWNET) == 0)
        return 0;
    int code = errno;
    int owner = code == EPERM ? ioctl(netns_fd, NS_GET_USERNS) : -1;
    bool entered = owner >= 0 && setns(owner, CLONE_NEWUSER) == 0;
    if (owner >= 0)
        (void)close(owner); /* the caller's, too, with CLONE_FILES */
    if (!entered)
        return code;
    /* A program that is run keeps the capabilities only as root. Not by the C library, which would
     * look for the other threads. */
    (void)syscall(SYS_setresgid, 0, 0, 0);
    (void)syscall(SYS_setresuid, 0, 0, 0);
    return setns(netns_fd, CLONE_NEWNET) == 0 ? 0 : errno;
}

void unseen_close_from(unsigned first)
{
    struct rlimit limit = {.rlim_cur = DESCRIPTORS_MAX};

    if (syscall(SYS_close_range, first, ~0U, 0U) == 0)
        return;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned fd = first; fd < limit.rlim_cur && fd < DESCRIPTORS_MAX; fd++)
        (void)close((int)fd);
}
