#include "diag/host_lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

/* Name service modules of the host run on it. */
#define STACK_SIZE ((size_t)1024 * 1024)

/* Shared by the caller and the threads; the last one frees it. */
struct batch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t refs; /* under lock, and so are the answers */
    size_t open;
    size_t next; /* which one the next thread takes */
    struct host_lookup items[];
};

static struct batch *batch_new(const struct host_lookup *lookups, size_t count)
{
    struct batch *b = mem_zalloc(sizeof(*b) + count * sizeof(b->items[0]));
    pthread_condattr_t attr;
    if (b == NULL)
        return NULL;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&b->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    memcpy(b->items, lookups, count * sizeof(b->items[0]));
    for (size_t i = 0; i < count; i++)
        b->items[i].outcome = DNS_SILENT;
    b->refs = 1;
    return b;
}

static void batch_unref(struct batch *b)
{
    (void)pthread_mutex_lock(&b->lock);
    bool last = --b->refs == 0;
    (void)pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    (void)pthread_cond_destroy(&b->changed);
    (void)pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

static enum dns_outcome outcome_of(int code)
{
    switch (code) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return DNS_NO_NAME;
    default: /* EAI_AGAIN: no server answered, or said SERVFAIL */
        return DNS_FAILED;
    }
}

static struct ip_addr address_of(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ip_addr_from(
            4, (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr);
    return ip_addr_from(
        6, (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* In the thread, on a copy. */
static void look_up(struct host_lookup *l)
{
    struct addrinfo hints = {.ai_family = l->version == 4 ? AF_INET : AF_INET6,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(l->name, NULL, &hints, &found);
    if (code != 0 || found == NULL) {
        l->outcome = outcome_of(code);
        return;
    }
    l->outcome = DNS_FOREIGN;
    l->got = address_of(found->ai_addr);
    freeaddrinfo(found);
}

static void *run(void *arg)
{
    struct batch *b = arg;
    (void)pthread_mutex_lock(&b->lock);
    size_t mine = b->next++;
    struct host_lookup copy = b->items[mine];
    (void)pthread_mutex_unlock(&b->lock);
    look_up(&copy);
    (void)pthread_mutex_lock(&b->lock);
    b->items[mine] = copy;
    b->open--;
    (void)pthread_cond_signal(&b->changed);
    (void)pthread_mutex_unlock(&b->lock);
    batch_unref(b);
    return NULL;
}

static bool start_thread(struct batch *b, const pthread_attr_t *attr)
{
    pthread_t thread;
    (void)pthread_mutex_lock(&b->lock);
    b->refs++;
    b->open++;
    (void)pthread_mutex_unlock(&b->lock);
    if (pthread_create(&thread, attr, run, b) == 0)
        return true;
    (void)pthread_mutex_lock(&b->lock);
    b->refs--;
    b->open--;
    (void)pthread_mutex_unlock(&b->lock);
    return false;
}

static void wait_for_answers(struct batch *b, unsigned timeout_ms)
{
    uint64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
    struct timespec end = {.tv_sec = (time_t)(until / NS_PER_S),
                           .tv_nsec = (long)(until % NS_PER_S)};
    (void)pthread_mutex_lock(&b->lock);
    while (b->open > 0)
        if (pthread_cond_timedwait(&b->changed, &b->lock, &end) != 0)
            break;
    (void)pthread_mutex_unlock(&b->lock);
}

void host_lookups_run(struct host_lookup *lookups, size_t count, unsigned timeout_ms)
{
    pthread_attr_t attr;
    count = MIN(count, HOST_LOOKUPS_MAX);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        lookups[i].outcome = DNS_FAILED;
    struct batch *b = batch_new(lookups, count);
    if (b == NULL)
        return;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    size_t started = 0;
    while (started < count && start_thread(b, &attr))
        started++;
    (void)pthread_attr_destroy(&attr);
    wait_for_answers(b, timeout_ms);
    (void)pthread_mutex_lock(&b->lock);
    memcpy(lookups, b->items, started * sizeof(*lookups));
    (void)pthread_mutex_unlock(&b->lock);
    batch_unref(b);
}
