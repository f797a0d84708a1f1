#include "engine/worker.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/dns_flow.h"
#include "engine/flow_relay.h"
#include "engine/memory.h"

/* Theory of operation: everything that happens in a turn of the loop (packets, streams, tasks) only fills queues; `settle`, which runs
 * before the loop waits again, sends what they hold: TLS records of each relay, then ACKs and data to the device. So one turn
 * makes few, large system calls, however many events it had.
 */

#define DNS_PORT 53
#define SWEEP_NS (5 * NS_PER_S)

static void poll_for(struct worker *w, int events);

/* ---- the end of a turn ---- */

static void arm_timer(struct worker *w)
{
    uint64_t deadline = stack_next_deadline(w->stack);
    if (!list_empty(&w->dns_flows))
        deadline = MIN(deadline, clock_mono_ns() + SWEEP_NS);
    if (deadline == TCP_NEVER || (timer_active(&w->timer) && w->armed <= deadline))
        return;
    uint64_t now = clock_mono_ns();
    uint64_t wait = deadline > now ? (deadline - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    w->armed = deadline;
    uv_update_time(&w->loop.uv);
    timer_start(&w->timer, wait);
}

static void settle(struct worker *w)
{
    if (w->ops->tick != NULL && !list_empty(&w->conns) && !timer_active(&w->tick))
        timer_start(&w->tick, WORKER_TICK_MS);
    flow_relays_settle(&w->relays);
    bool full = stack_flush(w->stack) == ERR_AGAIN;
    if (w->polling)
        poll_for(w, full ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    arm_timer(w);
}

static void on_prepare(uv_prepare_t *prepare)
{
    settle(prepare->data);
}

static void on_timer(void *arg)
{
    struct worker *w = arg;
    (void)stack_timers(w->stack);
    dns_flow_sweep(w);
}

static void on_tick(void *arg)
{
    struct worker *w = arg;
    w->ops->tick(w);
}

/* ---- packets ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    int r = status < 0 ? loop_err(status) : 0;
    bool more = false;
    if (r == 0 && (events & UV_READABLE) != 0)
        r = stack_read(w->stack, &more);
    if (r < 0) {
        log_error("Failed to read the network device: %s", err_text(r));
        uv_poll_stop(&w->poll);
        w->poll_events = 0;
        return;
    }
    settle(w);
}

static void poll_for(struct worker *w, int events)
{
    if (w->poll_events == events)
        return;
    w->poll_events = events;
    uv_poll_start(&w->poll, events, on_poll);
}

/* A packet on its way round the workers. */
struct stray {
    struct task task;
    struct worker *from;
    unsigned next; /* who is asked next, counted from `from` */
    size_t len;
    uint8_t packet[];
};

static void stray_free(struct stray *stray)
{
    atomic_fetch_sub_explicit(&stray->from->strays, 1, memory_order_relaxed);
    mem_free(stray);
}

static void run_stray(struct task *t, void *receiver);

static void pass_on(struct stray *stray)
{
    struct worker *from = stray->from;
    struct worker *to = from->peers[(from->index + stray->next) % from->peer_count];
    stray->next++;
    if (task_post(&to->mailbox, &stray->task, run_stray) < 0)
        stray_free(stray);
}

/* Here it belongs, or it goes on; back where it came from, TCP says that nobody knows it. */
static void run_stray(struct task *t, void *receiver)
{
    struct worker *w = receiver;
    struct stray *stray = CONTAINER_OF(t, struct stray, task);
    struct slice packet = slice_of(stray->packet, stray->len);
    struct ip_packet p;
    bool mine = ip_parse(packet, &p) == 0 && tcp_host_has(stack_tcp(w->stack), &p);
    if (!mine && w != stray->from) {
        pass_on(stray);
        return;
    }
    stack_adopt(w->stack, packet);
    stray_free(stray);
}

static bool on_stray(void *arg, struct slice packet)
{
    struct worker *w = arg;
    if (w->peer_count < 2)
        return false;
    if (atomic_load_explicit(&w->strays, memory_order_relaxed) >= WORKER_STRAYS_MAX)
        return true; /* lost; TCP repeats what matters */
    struct stray *stray = mem_alloc(sizeof(*stray) + packet.len);
    if (stray == NULL)
        return true;
    stray->from = w;
    stray->next = 1;
    stray->len = packet.len;
    memcpy(stray->packet, packet.data, packet.len);
    atomic_fetch_add_explicit(&w->strays, 1, memory_order_relaxed);
    pass_on(stray);
    return true;
}

static void on_syn(void *arg, struct tcp_flow *flow)
{
    struct worker *w = arg;
    const struct ip_endpoint *server = tcp_flow_server(flow);
    if (server->port != DNS_PORT || !names_is_dns(w->shared->names, &server->addr))
        w->ops->on_syn(w, flow);
    else if (names_is_tun(w->shared->names, &tcp_flow_client(flow)->addr))
        dns_flow_on_syn(w, flow);
    else
        tcp_refuse(flow, clock_mono_ns());
}

static void on_dns(void *arg, const struct udp_datagram *datagram)
{
    dns_flow_on_datagram(arg, datagram);
}

static const struct stack_events stack_events = {
    .on_syn = on_syn, .on_dns = on_dns, .on_stray = on_stray};

/* ---- life ---- */

static int handles_init(struct worker *w)
{
    int r = mailbox_init(&w->mailbox, &w->loop, task_on_mail, w);
    if (r == 0)
        r = timer_init(&w->timer, &w->loop, on_timer, w);
    if (r == 0)
        r = timer_init(&w->tick, &w->loop, on_tick, w);
    if (r < 0)
        return r;
    uv_prepare_init(&w->loop.uv, &w->prepare);
    w->prepare.data = w;
    signers_init(&w->signers, w->shared, &w->mailbox);
    return 0;
}

int worker_new(struct shared *shared, const struct worker_ops *ops, struct link *link,
               unsigned index, struct worker **ret)
{
    struct worker *w = NEW(struct worker);
    if (w == NULL)
        return ERR_NOMEM;
    w->shared = shared;
    w->ops = ops;
    w->index = index;
    flow_relays_init(&w->relays);
    list_init(&w->conns);
    list_init(&w->dns_flows);
    int r = loop_init(&w->loop);
    if (r == 0)
        r = handles_init(w);
    if (r == 0)
        r = stack_new(link, shared->names, &stack_events, w, &w->stack);
    if (r < 0) {
        mem_free(w); /* only memory ran out; the process is about to end */
        return r;
    }
    w->link = link;
    *ret = w;
    return 0;
}

static void run(void *arg)
{
    struct worker *w = arg;
    uv_prepare_start(&w->prepare, on_prepare);
    (void)loop_run(&w->loop);
}

int worker_start(struct worker *w, struct worker *const *peers, unsigned peer_count)
{
    w->peers = peers;
    w->peer_count = peer_count;
    int r = uv_thread_create(&w->thread, run, w);
    if (r < 0)
        return loop_err(r);
    w->running = true;
    return 0;
}

struct order {
    struct task task;
};

static void run_go(struct task *t, void *receiver)
{
    struct worker *w = receiver;
    mem_free(CONTAINER_OF(t, struct order, task));
    int r = uv_poll_init(&w->loop.uv, &w->poll, w->link->fd);
    if (r < 0) {
        log_error("Failed to wait for the network device: %s", uv_strerror(r));
        return;
    }
    w->poll.data = w;
    w->polling = true;
    poll_for(w, UV_READABLE);
}

static void run_stop(struct task *t, void *receiver)
{
    struct worker *w = receiver;
    mem_free(CONTAINER_OF(t, struct order, task));
    w->ops->stop(w);
    dns_flow_stop(w);
    settle(w);
    if (w->polling)
        uv_close((uv_handle_t *)&w->poll, NULL);
    w->polling = false;
    uv_close((uv_handle_t *)&w->prepare, NULL);
    timer_close(&w->timer, NULL);
    timer_close(&w->tick, NULL);
    loop_stop(&w->loop);
}

static int give_order(struct worker *w, void (*run_order)(struct task *t, void *receiver))
{
    struct order *o = NEW(struct order);
    if (o == NULL)
        return ERR_NOMEM;
    int r = task_post(&w->mailbox, &o->task, run_order);
    if (r < 0)
        mem_free(o);
    return r;
}

void worker_go(struct worker *w)
{
    (void)give_order(w, run_go);
}

static void run_trim(struct task *t, void *receiver)
{
    struct worker *w = receiver;
    mem_free(CONTAINER_OF(t, struct order, task));
    tcp_host_trim(stack_tcp(w->stack));
    loop_trim(&w->loop);
    if (atomic_load_explicit(&w->shared->attempts, memory_order_relaxed) == 0)
        remote_key_trim_thread();
    memory_give_back_own();
}

void worker_trim(struct worker *w)
{
    (void)give_order(w, run_trim);
}

void worker_stop(struct worker *w)
{
    if (!w->running || give_order(w, run_stop) < 0)
        return;
    uv_thread_join(&w->thread);
    w->running = false;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    mailbox_close(&w->mailbox, NULL); /* delivers what still came: everything in it is freed */
    while (uv_loop_alive(&w->loop.uv))
        loop_turn(&w->loop, false);
    signers_release(&w->signers);
    stack_free(w->stack);
    link_free(w->link);
    (void)loop_release(&w->loop);
    mem_free(w);
}
