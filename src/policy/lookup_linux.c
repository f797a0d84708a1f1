#include "policy/lookup_system.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/str.h"
#include "policy/podman.h"

int lookup_shielded(int (*run)(void *arg), void *arg)
{
    static const struct timespec now = {0};
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int r = run(arg);
    if (!was_pending)
        (void)sigtimedwait(&pipe, NULL, &now); /* ours, if there is one */
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int lookup_endpoints(const char *network, struct lookup_result *ret, struct diag *d)
{
    struct lookup_result one = {.count = 1};
    int r = str_copy(one.names[0], sizeof(one.names[0]), network);
    if (r < 0)
        return diag_set(d, r, 0, "The path of the network namespace is too long");
    *ret = one;
    return 0;
}

int lookup_none(const struct diag *why, struct diag *d)
{
    return diag_set(d, why->err, 0, "%s. For podman's containers say --runtimeendpoint podman",
                    why->text);
}

int lookup_podman(const char *container, struct lookup_result *ret, struct diag *d)
{
    char network[ENDPOINT_NAME_SIZE];
    int r = podman_network(container, network, d);
    return r < 0 ? r : lookup_endpoints(network, ret, d);
}
