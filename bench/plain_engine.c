/* The engine's data plane without TLS: every flow to the virtual network is relayed to the same port of one plain TCP server. What
 * the benchmarks compare with a bare loopback relay, and what tests of the stack against the kernel's own TCP use.
 *
 * plain_engine NETNS ADDRESS QUEUES [MTU]: makes bench0 (10.99.0.1/24, fd99::1/64) in the network namespace of that name, prints
 * "ready", and works until standard input ends. Needs root.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/flow_relay.h"
#include "engine/worker.h"
#include "loop/socket.h"
#include "netcfg/rtnl.h"
#include "platform/tun.h"

static const char *target;

struct plain {
    struct flow_handler handler;
    struct list node;
    struct worker *worker;
    struct tcp_flow *flow;
    struct socket_connect *connect;
    struct flow_relay relay;
    bool open;
};

static void plain_free(struct plain *p)
{
    list_remove(&p->node);
    mem_free(p);
}

static void on_done(void *arg, enum flow_relay_end end, const struct diag *d)
{
    log_debug("end %d %s", (int)end, d == NULL ? "" : d->text);
    plain_free(arg);
}

static void pending_closed(struct flow_handler *h, enum tcp_end why)
{
    struct plain *p = CONTAINER_OF(h, struct plain, handler);
    (void)why;
    socket_connect_cancel(p->connect);
    plain_free(p);
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    struct plain *p = arg;
    struct stream *stream = NULL;
    p->connect = NULL;
    if (err == 0)
        err = socket_stream_new(&p->worker->loop, fd, &stream);
    if (err < 0) {
        log_debug("refused: %s", d == NULL ? err_text(err) : d->text);
        tcp_refuse(p->flow, clock_mono_ns());
        plain_free(p);
        return;
    }
    p->open = true;
    tcp_accept(p->flow, clock_mono_ns());
    flow_relay_start(&p->relay, p->flow, stream, false, &p->worker->relays, on_done, p);
}

static void on_syn(struct worker *w, struct tcp_flow *flow)
{
    struct plain *p = NEW(struct plain);
    if (p == NULL)
        abort();
    p->handler = (struct flow_handler){.on_closed = pending_closed};
    p->worker = w;
    p->flow = flow;
    list_push_back(&w->conns, &p->node);
    stack_take(flow, &p->handler);
    if (socket_connect_start(&w->loop, target, tcp_flow_server(flow)->port, 5000, on_connected, p,
                             &p->connect) < 0)
        abort();
}

static void stop(struct worker *w)
{
    LIST_FOR_EACH (node, &w->conns) {
        struct plain *p = LIST_ENTRY(node, struct plain, node);
        if (p->open)
            flow_relay_abort(&p->relay);
        else
            socket_connect_cancel(p->connect);
        plain_free(p);
    }
}

static const struct worker_ops ops = {.on_syn = on_syn, .stop = stop};

static void check(int err, const struct diag *d)
{
    if (err == 0)
        return;
    (void)fprintf(stderr, "plain_engine: %s\n", d->text[0] != '\0' ? d->text : err_text(err));
    exit(1);
}

static void add(struct rtnl *r, unsigned index, const char *address, const char *range)
{
    struct diag d = {0};
    struct ip_addr addr;
    struct prefix prefix;
    check(ip_addr_parse(address, &addr), &d);
    check(prefix_parse(range, &prefix), &d);
    check(rtnl_add_address(r, index, &addr, &d), &d);
    check(rtnl_add_route(r, index, &prefix, &addr, &d), &d);
}

static void enter(const char *netns, int *ret_home)
{
    char path[256];
    *ret_home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    (void)str_format(path, sizeof(path), "/run/netns/%s", netns);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_home < 0 || fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
        perror(path);
        exit(1);
    }
    (void)close(fd);
}

static void make_device(const char *netns, size_t queues, uint32_t mtu, struct tun *tun)
{
    struct diag d = {0};
    struct rtnl *r = NULL;
    unsigned index = 0;
    int home;
    enter(netns, &home);
    check(tun_open("bench0", queues, tun, &d), &d);
    check(rtnl_open(&r, &d), &d);
    check(rtnl_link_index(tun->name, &index, &d), &d);
    check(rtnl_link_up(r, index, mtu, 4096, &d), &d);
    add(r, index, "10.99.0.1", "10.99.0.0/24");
    add(r, index, "fd99::1", "fd99::/64");
    rtnl_close(r);
    if (setns(home, CLONE_NEWNET) < 0)
        exit(1);
    (void)close(home);
}

static struct names *make_names(void)
{
    struct diag d = {0};
    struct names *names = NULL;
    struct names_config config = {.range_count = 1};
    check(prefix_parse("fd99::/48", &config.prefix6), &d);
    check(prefix_parse("10.99.0.0/24", &config.ranges[0]), &d);
    check(names_new(&config, &names), &d);
    return names;
}

int main(int argc, char **argv)
{
    struct diag d = {0};
    struct tun tun;
    struct shared shared = {0};
    struct worker *workers[WORKERS_MAX];
    if (argc < 4)
        return 2;
    log_setup("plain_engine", getenv("VERBOSE") != NULL ? LOG_DEBUG : LOG_WARN, LOG_TEXT);
    target = argv[2];
    uint32_t mtu = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 65520;
    make_device(argv[1], strtoul(argv[3], NULL, 10), mtu, &tun);
    shared.names = make_names();
    unsigned count = (unsigned)tun.queue_count;
    for (unsigned i = 0; i < count; i++) {
        struct link *link = NULL;
        check(link_tun_new(tun.queues[i], mtu, true, tun.tso, &link), &d);
        check(worker_new(&shared, &ops, link, i, &workers[i]), &d);
    }
    for (unsigned i = 0; i < count; i++)
        check(worker_start(workers[i], workers, count), &d);
    for (unsigned i = 0; i < count; i++)
        worker_go(workers[i]);
    (void)puts("ready");
    (void)fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0)
        continue;
    for (unsigned i = 0; i < count; i++)
        worker_stop(workers[i]);
    for (unsigned i = 0; i < count; i++)
        worker_free(workers[i]);
    names_free(shared.names);
    return 0;
}
