#include "platform/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void watched(bool children, sigset_t *set)
{
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                  SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};

    (void)sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaddset(set, signals[i]);
    if (children)
        (void)sigaddset(set, SIGCHLD);
}

int signals_open(bool children, int *ret_fd, struct diag *d)
{
    sigset_t set;

    watched(children, &set);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) == 0
                 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)
                 : -1;
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to watch signals: %s",
                        strerror(errno));
    *ret_fd = fd;
    return 0;
}

int signals_read(int fd, int *ret_signal, bool *ret_from_terminal)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return ERR_AGAIN;
    *ret_signal = (int)info.ssi_signo;
    *ret_from_terminal = info.ssi_code == SI_KERNEL;
    return 0;
}

void signals_block_broken_pipes(void)
{
    /* Blocked, not ignored: an ignored one would stay so in the programs that we start. */
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void signals_restore(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}
