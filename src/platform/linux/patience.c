#include "platform/patience.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_NS = 2000000 };

static struct {
    timer_t timer;
    pid_t thread; /* 0: there is no timer yet */
} patience;

static int signal_number(void)
{
    return SIGRTMIN + 5;
}

static void on_signal(int number)
{
    (void)number; /* it has interrupted, which is all */
}

static bool prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigevent event;
    pid_t thread = (pid_t)syscall(SYS_gettid);
    if (patience.thread == thread)
        return true;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal_number();
    event._sigev_un._tid = thread;
    if (sigaction(signal_number(), &action, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &patience.timer) < 0)
        return false;
    patience.thread = thread;
    return true;
}

static void set(long ns)
{
    const struct itimerspec time = {.it_interval = {.tv_nsec = ns}, .it_value = {.tv_nsec = ns}};
    int code = errno;
    if (prepare())
        (void)timer_settime(patience.timer, 0, &time, NULL);
    errno = code;
}

void patience_begin(void)
{
    set(PATIENCE_NS);
}

void patience_end(void)
{
    set(0);
}

void patience_close(int fd)
{
    patience_begin();
    (void)close(fd);
    patience_end();
}
