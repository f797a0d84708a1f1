#include "agent/needed_addresses.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/resolvers.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"

#define TEXT_SIZE 320

/* Where systems with a resolver of their own say which ones it asks. */
static const char *const resolver_files[] = {RESOLV_CONF_PATH, "/run/systemd/resolve/resolv.conf",
                                             "/run/NetworkManager/no-stub-resolv.conf"};

struct question {
    uv_getaddrinfo_t request;
    struct needed_addresses *owner;
    char host[PROFILE_HOST_SIZE];
};

struct needed_addresses {
    needed_addresses_fn *done; /* NULL: it was called, or the owner has gone */
    void *arg;
    struct timer limit;
    struct question questions[PROFILES_MAX];
    size_t question_count;
    size_t waiting; /* questions and the timer's end: freed at 0 */
    bool freed;
    struct conflict_needed needed[NEEDED_ADDRESSES_MAX];
    char texts[NEEDED_ADDRESSES_MAX][TEXT_SIZE];
    size_t count;
};

static void add(struct needed_addresses *n, const struct ip_addr *addr, const char *what,
                const char *name)
{
    if (n->count == NEEDED_ADDRESSES_MAX)
        return;
    (void)str_format(n->texts[n->count], TEXT_SIZE, "%s%s%s", what, name[0] != '\0' ? " " : "",
                     name);
    n->needed[n->count] = (struct conflict_needed){.addr = *addr, .what = n->texts[n->count]};
    n->count++;
}

static void add_resolvers(struct needed_addresses *n)
{
    struct resolvers r;
    struct ip_addr addr;
    for (size_t f = 0; f < ARRAY_LEN(resolver_files); f++) {
        resolvers_load(resolver_files[f], &r);
        for (size_t i = 0; i < r.count; i++)
            if (resolver_address(r.addrs[i], &addr) == 0 && !ip_addr_is_loopback(&addr))
                add(n, &addr, "the resolver", "");
    }
}

static void finish(void *arg)
{
    struct needed_addresses *n = arg;
    needed_addresses_fn *done = STEAL(n->done);
    timer_stop(&n->limit);
    if (done != NULL)
        done(n->arg, n->needed, n->count);
}

static void unref(struct needed_addresses *n)
{
    if (--n->waiting == 0)
        mem_free(n);
}

static bool is_ready(const struct needed_addresses *n)
{
    return n->waiting == 1; /* the timer alone */
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct question *q = request->data;
    struct needed_addresses *n = q->owner;
    for (const struct addrinfo *a = found; status == 0 && n->done != NULL && a != NULL;
         a = a->ai_next) {
        struct sockaddr_storage s = {0};
        struct ip_addr addr;
        __builtin_memcpy(&s, a->ai_addr, MIN(sizeof(s), (size_t)a->ai_addrlen));
        if (s.ss_family == AF_INET)
            addr = ip_addr_from(4, (const uint8_t *)&((struct sockaddr_in *)&s)->sin_addr);
        else
            addr = ip_addr_from(6, (const uint8_t *)&((struct sockaddr_in6 *)&s)->sin6_addr);
        add(n, &addr, "the gateway", q->host);
    }
    uv_freeaddrinfo(found);
    bool last = n->waiting == 2 && !n->freed;
    unref(n);
    if (last)
        finish(n);
}

static void ask(struct needed_addresses *n, struct loop *loop, const char *gateway)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct question *q = &n->questions[n->question_count];
    uint16_t port;
    if (profile_split_addr(gateway, q->host, &port, NULL) < 0)
        return;
    q->owner = n;
    q->request.data = q;
    if (uv_getaddrinfo(&loop->uv, &q->request, on_looked_up, q->host, NULL, &hints) < 0)
        return;
    n->question_count++;
    n->waiting++;
}

int needed_addresses_new(struct loop *loop, struct clusters *clusters, needed_addresses_fn *done,
                         void *arg, struct needed_addresses **ret)
{
    struct member *m;
    struct needed_addresses *n = NEW(struct needed_addresses);
    if (n == NULL)
        return ERR_NOMEM;
    int r = timer_init(&n->limit, loop, finish, n);
    if (r < 0) {
        mem_free(n);
        return r;
    }
    n->done = done;
    n->arg = arg;
    n->waiting = 1;
    add_resolvers(n);
    for (size_t i = 0; i < PROFILES_MAX && (m = clusters_at(clusters, i)) != NULL; i++)
        ask(n, loop, m->profile->gateway);
    timer_start(&n->limit, is_ready(n) ? 0 : NEEDED_ADDRESSES_MS);
    *ret = n;
    return 0;
}

static void on_timer_closed(void *arg)
{
    unref(arg);
}

void needed_addresses_free(struct needed_addresses *n)
{
    if (n == NULL)
        return;
    n->done = NULL;
    n->freed = true;
    for (size_t i = 0; i < n->question_count; i++)
        (void)uv_cancel((uv_req_t *)&n->questions[i].request);
    timer_close(&n->limit, on_timer_closed);
}
