#include "engine/resolver.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "engine/resolver_internal.h"

void resolver_ref(struct resolver *r)
{
    r->refs++;
}

void resolver_unref(struct resolver *r)
{
    if (--r->refs == 0)
        mem_free(r);
}

/* Out of every list and table, whatever it waits for. */
static void detach(struct question *q)
{
    list_remove(&q->trying);
    list_remove(&q->opening);
    if (q->port != NULL)
        port_forget(q);
    if (q->stream != NULL)
        tcp_try_forget(q);
}

static void finish(struct question *q, int err, struct slice answer)
{
    struct resolver *r = q->resolver;

    detach(q);
    list_remove(&q->all);
    r->question_count--;
    q->done(q->done_arg, err, answer);
    mem_free(q->message);
    mem_free(q->original);
    mem_free(q);
}

static void arm_timer(struct resolver *r);

static void on_timer(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    uint64_t now = clock_mono_ns();

    while (!list_empty(&r->trying)) {
        struct question *q = LIST_ENTRY(r->trying.next, struct question, trying);
        if (q->deadline_ns > now)
            break;
        question_retry(q, ERR_TIMEOUT);
    }
    arm_timer(r);
}

static void arm_timer(struct resolver *r)
{
    if (list_empty(&r->trying) || r->freed)
        return;
    struct question *first = LIST_ENTRY(r->trying.next, struct question, trying);
    uint64_t now = clock_mono_ns();
    uint64_t wait = first->deadline_ns > now ? (first->deadline_ns - now) / NS_PER_MS + 1 : 0;
    uv_timer_start(&r->timer, on_timer, wait, 0);
}

static void start_try(struct question *q)
{
    struct resolver *r = q->resolver;
    struct upstream *u = &r->upstreams[q->upstream];

    q->tries++;
    q->deadline_ns = clock_mono_ns() + TRY_MS * NS_PER_MS;
    list_push_back(&r->trying, &q->trying);
    if (!uv_is_active((uv_handle_t *)&r->timer))
        arm_timer(r);
    if (q->tcp)
        tcp_try_start(u, q);
    else
        port_send(u, q);
}

void question_retry(struct question *q, int err)
{
    struct resolver *r = q->resolver;

    detach(q);
    if (q->tries >= TRIES_MAX || r->freed || r->upstream_count == 0) {
        finish(q, r->freed ? ERR_CANCELED : err, slice_of(NULL, 0));
        return;
    }
    if (q->generation != r->generation) {
        q->generation = r->generation;
        q->upstream = r->preferred;
    } else if (q->tcp) {
        q->tcp = false;
    } else {
        q->upstream = (q->upstream + 1) % r->upstream_count;
    }
    start_try(q);
}

bool question_answer(struct question *q, uint8_t *bytes, size_t len)
{
    struct slice question = slice_of(q->message + DNS_HEADER_SIZE, q->question_len);

    if (!dns_is_answer(slice_of(bytes, len), q->id, question))
        return false;
    enum dns_rcode rcode = dns_rcode_of(slice_of(bytes, len));
    bool refusal = rcode == DNS_SERVFAIL || rcode == DNS_REFUSED || rcode == DNS_NOTIMP;
    if (refusal && q->tries < MIN((unsigned)TRIES_MAX, q->resolver->upstream_count)) {
        question_retry(q, ERR_UNREACHABLE);
        return true;
    }
    if (!refusal && q->generation == q->resolver->generation)
        q->resolver->preferred = q->upstream;
    dns_set_id(bytes, q->asker_id);
    memcpy(bytes + DNS_HEADER_SIZE, q->original, q->question_len);
    finish(q, 0, slice_of(bytes, len));
    return true;
}

static struct question *question_new(struct resolver *r, struct slice message,
                                     struct slice question)
{
    struct question *q = NEW(struct question);
    uint8_t random[32];

    if (q == NULL)
        return NULL;
    q->message = mem_dup(message.data, message.len);
    q->original = mem_dup(question.data, question.len);
    if (q->message == NULL || q->original == NULL) {
        mem_free(q->message);
        mem_free(q->original);
        mem_free(q);
        return NULL;
    }
    q->resolver = r;
    q->len = message.len;
    q->question_len = question.len;
    q->asker_id = (uint16_t)(message.data[0] << 8 | message.data[1]);
    q->upstream = r->preferred;
    q->generation = r->generation;
    random_bytes(random, sizeof(random));
    dns_randomise_case(q->message + DNS_HEADER_SIZE, q->question_len, random);
    list_init(&q->trying);
    list_init(&q->opening);
    list_init(&q->all);
    return q;
}

void resolver_ask(struct resolver *r, struct slice message, struct slice question, bool tcp,
                  resolver_done done, void *arg)
{
    struct slice none = slice_of(NULL, 0);

    if (r->upstream_count == 0 || r->question_count >= RESOLVER_QUESTIONS_MAX) {
        done(arg, r->upstream_count == 0 ? ERR_UNREACHABLE : ERR_LIMIT, none);
        return;
    }
    struct question *q = question_new(r, message, question);
    if (q == NULL) {
        done(arg, ERR_NOMEM, none);
        return;
    }
    q->tcp = tcp;
    q->done = done;
    q->done_arg = arg;
    list_push_back(&r->questions, &q->all);
    r->question_count++;
    start_try(q);
}

int resolver_new(struct loop *loop, unsigned upstreams, const struct resolver_ops *ops, void *arg,
                 struct resolver **ret)
{
    if (upstreams > RESOLVER_UPSTREAMS_MAX)
        return ERR_LIMIT;
    struct resolver *r = NEW(struct resolver);
    if (r == NULL)
        return ERR_NOMEM;
    r->loop = loop;
    r->ops = ops;
    r->ops_arg = arg;
    r->upstream_count = upstreams;
    r->refs = 1; /* the timer's, given back when it has closed */
    list_init(&r->questions);
    list_init(&r->trying);
    for (unsigned i = 0; i < RESOLVER_UPSTREAMS_MAX; i++) {
        r->upstreams[i].resolver = r;
        r->upstreams[i].index = i;
        list_init(&r->upstreams[i].opening);
    }
    (void)uv_timer_init(&loop->uv, &r->timer);
    r->timer.data = r;
    *ret = r;
    return 0;
}

void resolver_set_upstreams(struct resolver *r, unsigned upstreams)
{
    for (unsigned i = 0; i < RESOLVER_UPSTREAMS_MAX; i++) {
        for (unsigned k = 0; k < PORTS_PER_UPSTREAM; k++) {
            if (r->upstreams[i].ports[k] != NULL)
                port_retire(r->upstreams[i].ports[k]);
        }
    }
    LIST_FOR_EACH (node, &r->questions)
        LIST_ENTRY(node, struct question, all)->tries = 0;
    r->generation++;
    r->preferred = 0;
    r->upstream_count = MIN(upstreams, (unsigned)RESOLVER_UPSTREAMS_MAX);
}

static void on_timer_closed(uv_handle_t *handle)
{
    resolver_unref(handle->data);
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    r->freed = true;
    LIST_FOR_EACH (node, &r->questions)
        finish(LIST_ENTRY(node, struct question, all), ERR_CANCELED, slice_of(NULL, 0));
    for (unsigned i = 0; i < RESOLVER_UPSTREAMS_MAX; i++) {
        for (unsigned k = 0; k < PORTS_PER_UPSTREAM; k++) {
            if (r->upstreams[i].ports[k] != NULL)
                port_close(r->upstreams[i].ports[k]);
        }
    }
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}
