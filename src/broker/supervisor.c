#include "broker/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "platform/process.h"
#include "platform/signals.h"

enum { WAIT_FIRST_S = 1, WAIT_MAX_S = 30, LIVED_S = 60, FAILED = 1 };

static sigset_t watched(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    return set;
}

/* In the child: its end is tied to ours from the first instruction on. */
static bool become_child(pid_t parent)
{
    signals_restore();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != parent)
        _exit(FAILED);
    return true;
}

/* Waits for the child's end and passes signals on to it. ret_told: it was told to end. */
static int await_child(pid_t child, bool *ret_told)
{
    sigset_t set = watched();
    int status = 0;
    for (;;) {
        pid_t r = waitpid(child, &status, WNOHANG);
        if (r == child)
            return status;
        if (r < 0 && errno != EINTR)
            return 0;
        int number = sigwaitinfo(&set, NULL);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
            *ret_told = true;
            (void)kill(child, number);
        }
    }
}

/* Whether it was told to end meanwhile. */
static bool pause_for(unsigned seconds)
{
    sigset_t set = watched();
    (void)sigdelset(&set, SIGCHLD);
    (void)sigdelset(&set, SIGHUP);
    const struct timespec time = {.tv_sec = (time_t)seconds};
    return sigtimedwait(&set, NULL, &time) > 0;
}

/* The next wait is twice as long, unless the broker lived well. */
static unsigned next_wait(unsigned wait_s, uint64_t started)
{
    if (clock_mono_ns() - started > LIVED_S * NS_PER_S)
        return WAIT_FIRST_S;
    return wait_s == 0 ? WAIT_FIRST_S : MIN(2 * wait_s, (unsigned)WAIT_MAX_S);
}

int supervisor_run(bool *ret_only_recover)
{
    sigset_t set = watched();
    unsigned wait_s = 0;
    bool told = false;
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    process_set_name("stile-supervise");
    for (;;) {
        bool last = told;
        uint64_t started = clock_mono_ns();
        pid_t parent = getpid();
        pid_t child = fork();
        if (child == 0 && become_child(parent)) {
            *ret_only_recover = last;
            return SUPERVISOR_CHILD;
        }
        if (child < 0) {
            log_error("Failed to start the broker: %s", strerror(errno));
            return FAILED;
        }
        int status = await_child(child, &told);
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        log_error("The broker was killed by signal %d; starting it again%s", WTERMSIG(status),
                  told ? " to put the host back" : "");
        if (last)
            return FAILED;
        wait_s = next_wait(wait_s, started);
        if (!told)
            told = pause_for(wait_s);
    }
}
