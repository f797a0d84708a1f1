#include "platform/background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child;

static void pass_on(int number)
{
    (void)kill((pid_t)child, number);
}

static int status_of(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

_Noreturn static void wait_in_parent(pid_t pid, int report)
{
    uint8_t byte = 0;
    int wait_status = 0;
    ssize_t n;

    child = pid;
    (void)signal(SIGTERM, pass_on);
    (void)signal(SIGINT, SIG_IGN); /* the terminal sends it to the child, too */
    do
        n = read(report, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        ;
    _exit(status_of(wait_status));
}

int background_fork(int *ret_report, struct diag *d)
{
    int report[2];

    if (pipe2(report, O_CLOEXEC) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to make a pipe: %s",
                        strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int e = errno;
        (void)close(report[0]);
        (void)close(report[1]);
        return diag_set(d, err_from_errno(e), e, "Failed to go to the background: %s", strerror(e));
    }
    if (pid > 0) {
        (void)close(report[1]);
        wait_in_parent(pid, report[0]);
    }
    (void)close(report[0]);
    *ret_report = report[1];
    return 0;
}

void background_go_on(int report, int log_fd)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uint8_t byte = 1;

    (void)setsid();
    if (null >= 0) {
        (void)dup2(null, 0);
        (void)close(null);
    }
    (void)dup2(log_fd, 1);
    (void)dup2(log_fd, 2);
    /* Whether anybody waits or not, it goes on; and if / is out of reach, where it is. */
    if (chdir("/") < 0 || write(report, &byte, 1) < 0)
        errno = 0;
    (void)close(report);
}
