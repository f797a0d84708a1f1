#include "engine/dns_flow.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/control.h"
#include "engine/dns_answer.h"

#define IN_MAX  ((size_t)2 + DNS_MESSAGE_MAX)
#define OUT_MAX ((size_t)256 * 1024)

/* Theory of operation: `in` holds what came and isn't asked yet, `out` answers that the send ring had no room for. A connection
 * whose program has sent FIN ends when its last question is answered; one that is gone while questions are under way is freed by
 * the last of them.
 */
struct dns_flow {
    struct flow_handler handler;
    struct worker *worker;
    struct list node;      /* in worker.dns_flows; alone once the flow is gone */
    struct tcp_flow *flow; /* NULL once gone */
    struct buf in;
    struct buf out;
    unsigned questions;
    bool ended; /* the program's FIN */
    bool fin_sent;
    uint64_t last_ns;
};

static struct control_question *question_new(struct worker *w, struct slice message)
{
    struct control_question *q = mem_zalloc(sizeof(*q) + message.len);
    if (q == NULL)
        return NULL;
    q->home = &w->mailbox;
    q->len = message.len;
    memcpy(q->message, message.data, message.len);
    return q;
}

/* What this worker can say itself. False: the control thread is to be asked. */
static bool answer_here(struct worker *w, struct slice message, bool tcp, struct wr *out)
{
    struct dns_query query;
    switch (dns_answer(w->shared->names, message, clock_mono_ns(), &query, out)) {
    case DNS_DROP:
        return true;
    case DNS_REPLY:
        if (!tcp && wr_len(out) > query.udp_size) {
            uint8_t memory[DNS_ANSWER_SIZE];
            struct wr cut = wr_init(memory, sizeof(memory));
            if (dns_write_truncated(&cut, &query, slice_of(out->start, wr_len(out))) == 0) {
                *out = wr_init(out->start, (size_t)(out->end - out->start));
                wr_bytes(out, slice_of(memory, wr_len(&cut)));
            }
        }
        return true;
    case DNS_FORWARD:
    case DNS_RESOLVE:
        break;
    }
    return false;
}

/* ---- UDP ---- */

static void on_udp_answer(struct control_question *q, void *receiver)
{
    struct worker *w = receiver;
    w->questions--;
    if (q->answer_len > 0)
        stack_reply_udp(w->stack, &q->from, &q->to, slice_of(q->answer, q->answer_len));
    control_question_free(q);
}

void dns_flow_on_datagram(struct worker *w, const struct udp_datagram *datagram)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));
    if (answer_here(w, datagram->payload, false, &out)) {
        if (wr_len(&out) > 0)
            stack_reply_udp(w->stack, &datagram->dst, &datagram->src,
                            slice_of(memory, wr_len(&out)));
        return;
    }
    struct control_question *q =
        w->questions < DNS_DATAGRAMS_MAX ? question_new(w, datagram->payload) : NULL;
    if (q == NULL)
        return;
    q->done = on_udp_answer;
    q->from = datagram->dst;
    q->to = datagram->src;
    if (control_ask(w->shared, q) < 0)
        control_question_free(q);
    else
        w->questions++;
}

/* ---- TCP ---- */

static struct dns_flow *flow_of(struct flow_handler *h)
{
    return CONTAINER_OF(h, struct dns_flow, handler);
}

/* Once nothing can reach it any more. */
static void free_if_over(struct dns_flow *f)
{
    if (f->flow != NULL || f->questions > 0)
        return;
    list_remove(&f->node);
    buf_release(&f->in);
    buf_release(&f->out);
    mem_free(f);
}

static void abort_flow(struct dns_flow *f)
{
    struct tcp_flow *flow = STEAL(f->flow);
    if (flow != NULL)
        tcp_abort(flow, clock_mono_ns());
    free_if_over(f);
}

/* Moves what waits into the send ring; after the last answer the FIN. */
static void send_out(struct dns_flow *f)
{
    struct tcp_space space[2];
    while (f->flow != NULL && buf_len(&f->out) > 0 && tcp_send_space(f->flow, space) > 0) {
        struct slice waiting = buf_slice(&f->out);
        size_t n = MIN(waiting.len, space[0].len);
        memcpy(space[0].data, waiting.data, n);
        tcp_send_commit(f->flow, n, clock_mono_ns());
        buf_consume(&f->out, n);
    }
    if (buf_len(&f->out) == 0)
        buf_release(&f->out);
    bool over = f->ended && f->questions == 0 && buf_len(&f->out) == 0;
    if (f->flow != NULL && over && !f->fin_sent) {
        f->fin_sent = true;
        tcp_send_end(f->flow, clock_mono_ns());
    }
}

static int put_answer(struct dns_flow *f, struct slice answer)
{
    const uint8_t len[2] = {(uint8_t)(answer.len >> 8), (uint8_t)answer.len};
    int r = buf_put(&f->out, slice_of(len, sizeof(len)));
    return r < 0 ? r : buf_put(&f->out, answer);
}

static int take_questions(struct dns_flow *f);

static void on_tcp_answer(struct control_question *q, void *receiver)
{
    (void)receiver;
    struct dns_flow *f = q->flow;
    f->questions--;
    int r = 0;
    if (f->flow != NULL && q->answer_len > 0 && q->answer_len <= DNS_MESSAGE_MAX)
        r = put_answer(f, slice_of(q->answer, q->answer_len));
    control_question_free(q);
    if (r == 0 && f->flow != NULL)
        r = take_questions(f);
    if (r < 0 || f->flow == NULL) {
        abort_flow(f);
        return;
    }
    send_out(f);
}

static int ask(struct dns_flow *f, struct slice message)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));
    if (answer_here(f->worker, message, true, &out))
        return wr_len(&out) > 0 ? put_answer(f, slice_of(memory, wr_len(&out))) : 0;
    struct control_question *q = question_new(f->worker, message);
    if (q == NULL)
        return ERR_NOMEM;
    q->done = on_tcp_answer;
    q->flow = f;
    q->tcp = true;
    int r = control_ask(f->worker->shared, q);
    if (r < 0)
        control_question_free(q);
    else
        f->questions++;
    return r;
}

/* Asks what is whole in `in`, as far as may be under way at once. */
static int take_questions(struct dns_flow *f)
{
    while (f->questions < DNS_FLOW_QUESTIONS && buf_len(&f->in) >= 2) {
        struct slice have = buf_slice(&f->in);
        size_t len = (size_t)have.data[0] << 8 | have.data[1];
        if (have.len < 2 + len)
            break;
        int r = ask(f, slice_of(have.data + 2, len));
        if (r < 0)
            return r;
        buf_consume(&f->in, 2 + len);
    }
    if (buf_len(&f->in) == 0)
        buf_release(&f->in);
    tcp_set_receive_room(f->flow, IN_MAX - buf_len(&f->in));
    return 0;
}

static void on_data(struct flow_handler *h, struct slice bytes)
{
    struct dns_flow *f = flow_of(h);
    f->last_ns = clock_mono_ns();
    int r = buf_put(&f->in, bytes);
    if (r == 0)
        r = take_questions(f);
    if (r < 0)
        abort_flow(f);
    else
        send_out(f);
}

static void on_end(struct flow_handler *h)
{
    struct dns_flow *f = flow_of(h);
    f->ended = true;
    send_out(f);
}

static void on_space(struct flow_handler *h)
{
    send_out(flow_of(h));
}

static void on_closed(struct flow_handler *h, enum tcp_end why)
{
    (void)why;
    struct dns_flow *f = flow_of(h);
    f->flow = NULL;
    list_remove(&f->node);
    free_if_over(f);
}

static size_t count(const struct worker *w)
{
    size_t n = 0;
    LIST_FOR_EACH (node, &w->dns_flows)
        n++;
    return n;
}

void dns_flow_on_syn(struct worker *w, struct tcp_flow *flow)
{
    struct dns_flow *f = count(w) < DNS_FLOWS_MAX ? NEW(struct dns_flow) : NULL;
    if (f == NULL) {
        tcp_refuse(flow, clock_mono_ns());
        return;
    }
    f->handler = (struct flow_handler){
        .on_data = on_data, .on_end = on_end, .on_space = on_space, .on_closed = on_closed};
    f->worker = w;
    f->flow = flow;
    f->last_ns = clock_mono_ns();
    buf_init(&f->in, 2 * IN_MAX);
    buf_init(&f->out, OUT_MAX);
    list_push_back(&w->dns_flows, &f->node);
    stack_take(flow, &f->handler);
    tcp_set_receive_room(flow, IN_MAX);
    tcp_accept(flow, clock_mono_ns());
}

void dns_flow_sweep(struct worker *w)
{
    uint64_t now = clock_mono_ns();
    LIST_FOR_EACH (node, &w->dns_flows) {
        struct dns_flow *f = LIST_ENTRY(node, struct dns_flow, node);
        if (f->questions == 0 && now - f->last_ns > DNS_FLOW_IDLE_S * NS_PER_S) {
            list_remove(&f->node);
            abort_flow(f);
        }
    }
}

void dns_flow_stop(struct worker *w)
{
    LIST_FOR_EACH (node, &w->dns_flows) {
        struct dns_flow *f = LIST_ENTRY(node, struct dns_flow, node);
        list_remove(&f->node);
        abort_flow(f);
    }
}
