#include "policy/watch.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"
#include "loop/timer.h"
#include "policy/watch_container.h"

struct watch {
    struct loop *loop;
    struct watch_config config;
    struct watch_rules *rules;
    struct watch_events events;
    void *arg;
    struct runtime *runtime; /* NULL once stopping */
    bool listed;
    size_t unknown;          /* containers that can't be asked about, on this connection */
    struct table containers; /* by id */
    struct table sandboxes;  /* by id; those that are only waiting for their pass, too */
    struct list list;        /* of the same */
    size_t passes;           /* under way */
    struct timer timer;      /* the earliest of what follows */
    bool timer_closed;
    uint64_t interval_at; /* clock_mono_ns; 0: never */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static const char *const event_words[] = {
#define WATCH_EVENT_WORD(name, word) [WATCH_##name] = word,
    WATCH_EVENTS(WATCH_EVENT_WORD)
#undef WATCH_EVENT_WORD
};
_Static_assert(ARRAY_LEN(event_words) == WATCH_EVENT_COUNT, "a word for each kind");

const char *watch_event_word(enum watch_event_kind kind)
{
    return event_words[kind];
}

/* ---- telling ---- */

static void tell_state(struct watch *w, enum watch_event_kind kind, const char *text)
{
    const struct watch_event event = {
        .kind = kind, .name = "", .sandbox = "", .endpoint = "", .text = text};
    w->events.on_event(w->arg, &event);
}

static void tell_full(const struct watch_sandbox *s, struct watch_event *event)
{
    const struct watch_container *entry = watch_sandbox_entry(s);
    event->name = watch_sandbox_name(s);
    event->sandbox = s->id;
    event->endpoint = entry != NULL ? entry->network_path : "";
    event->rule = s->rule == NO_RULE ? 0 : s->rule + 1;
    s->watch->events.on_event(s->watch->arg, event);
}

static void tell(const struct watch_sandbox *s, enum watch_event_kind kind, const char *text)
{
    struct watch_event event = {.kind = kind, .text = text};
    tell_full(s, &event);
}

static bool is_quiet(const struct watch *w)
{
    return w->listed && w->passes == 0 && w->runtime != NULL;
}

static void check_settled(struct watch *w)
{
    size_t failing = w->unknown;
    if (!is_quiet(w))
        return;
    LIST_FOR_EACH (node, &w->list)
        failing += LIST_ENTRY(node, struct watch_sandbox, node)->failures > 0;
    w->events.on_settled(w->arg, failing);
}

/* ---- time ---- */

static void on_timer(void *arg);

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void set_timer(struct watch *w)
{
    uint64_t at = w->interval_at, now = clock_mono_ns();
    if (w->runtime == NULL)
        return;
    LIST_FOR_EACH (node, &w->list)
        at = earliest(at, LIST_ENTRY(node, struct watch_sandbox, node)->retry_at);
    if (at == 0)
        timer_stop(&w->timer);
    else
        timer_start(&w->timer, at > now ? (at - now) / NS_PER_MS + 1 : 0);
}

/* The wait before the next attempt. */
static unsigned back_off(const struct watch *w, unsigned failures)
{
    uint64_t ms = (uint64_t)w->config.retry_ms << MIN(failures > 0 ? failures - 1 : 0, 16U);
    return (unsigned)MIN(ms, (uint64_t)MAX(WATCH_RETRY_MAX_MS, w->config.retry_ms));
}

static unsigned retry_later(struct watch_sandbox *s)
{
    unsigned ms = back_off(s->watch, s->failures);
    s->retry_at = clock_mono_ns() + ms * NS_PER_MS;
    set_timer(s->watch);
    return ms;
}

/* ---- passes ---- */

static void look_after(struct watch_sandbox *s, bool reconcile);
static void ask_again(struct watch *w, const char *id);
static void forget_container(struct watch_container *c);

static void tell_right(const struct watch_sandbox *s, const struct pass_result *res)
{
    struct buf notes = res->change.notes; /* borrowed: read alone */
    char text[512];
    struct slice told = slice_first(buf_slice(&notes), sizeof(text) - 1);
    while (told.len > 0 && told.data[told.len - 1] == '\n')
        told.len--;
    memcpy(text, told.data != NULL ? told.data : (const uint8_t *)"", told.len);
    text[told.len] = '\0';
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n')
            *p = ';';
    struct watch_event event = {.kind = WATCH_RIGHT,
                                .added = res->change.added,
                                .removed = res->change.removed,
                                .unchanged = res->change.unchanged,
                                .text = text};
    if (res->change.drifted)
        event.kind = WATCH_REPAIRED;
    else if (res->change.added > 0 || res->change.removed > 0)
        event.kind = WATCH_APPLIED;
    else if (buf_len(&res->change.sent) > 0)
        event.kind = WATCH_REPAIRED;
    tell_full(s, &event);
}

static void on_failed(struct watch_sandbox *s, const struct pass_result *res)
{
    char text[sizeof(res->diag.text) * 2];
    bool block = !s->watch->config.leave;
    s->failures++;
    s->blocked |= res->blocked;
    if (block && res->opened && !res->blocked)
        (void)str_format(text, sizeof(text), "%s; and blocking its network failed: %s",
                         res->diag.text, res->block_diag.text);
    else
        (void)str_format(text, sizeof(text), "%s", res->diag.text);
    struct watch_event event = {.kind = res->blocked ? WATCH_BLOCKED : WATCH_FAILED,
                                .retry_ms = retry_later(s),
                                .text = text};
    tell_full(s, &event);
}

/* Nothing could be done, not even block it. */
static void tell_failure(struct watch_sandbox *s, const char *text)
{
    s->failures++;
    struct watch_event event = {.kind = WATCH_FAILED, .retry_ms = retry_later(s), .text = text};
    tell_full(s, &event);
}

/* A runtime that is connected and doesn't answer: that is worth a word. One that isn't tells all anew. */
static void on_unknown(struct watch_sandbox *s, const struct pass_result *res)
{
    if (res->err != ERR_CLOSED && res->err != ERR_CANCELED)
        tell_failure(s, res->diag.text);
}

/* The others of its sandbox may be there still. */
static void on_gone_meanwhile(struct watch_sandbox *s, const struct pass_result *res)
{
    struct watch_container *c = table_get(&s->watch->containers, slice_str(res->container));
    if (c != NULL && c->sandbox == s)
        forget_container(c);
    s->again = !list_empty(&s->containers);
}

static void take_result(struct watch_sandbox *s, const struct pass_result *res)
{
    const struct watch_container *entry = watch_sandbox_entry(s);
    switch (res->outcome) {
    case PASS_RIGHT:
        s->failures = 0;
        s->blocked = false;
        tell_right(s, res);
        break;
    case PASS_GONE:
        on_gone_meanwhile(s, res);
        break;
    case PASS_MOVED:
        if (entry != NULL)
            ask_again(s->watch, entry->id);
        break;
    case PASS_HOST:
        s->failures = 0;
        if (!s->told_host)
            tell(s, WATCH_HOST, "");
        s->told_host = true;
        break;
    case PASS_UNKNOWN:
        on_unknown(s, res);
        break;
    case PASS_FAILED:
        on_failed(s, res);
        break;
    }
}

static void finish_stop(struct watch *w);

static void drop_if_empty(struct watch_sandbox *s)
{
    if (!list_empty(&s->containers) || s->pass != NULL)
        return;
    (void)table_remove(&s->watch->sandboxes, slice_str(s->id));
    watch_sandbox_free(s);
}

static void on_pass_done(void *arg, const struct pass_result *res)
{
    struct watch_sandbox *s = arg;
    struct watch *w = s->watch;
    w->passes--;
    if (!list_empty(&s->containers))
        take_result(s, res);
    s->pass = NULL; /* not before: it keeps the sandbox */
    if (s->again && !list_empty(&s->containers)) {
        s->again = false;
        look_after(s, false);
    }
    drop_if_empty(s);
    check_settled(w);
    finish_stop(w);
}

static void start_pass(struct watch_sandbox *s, const struct watch_container *entry, bool reconcile)
{
    struct watch *w = s->watch;
    const struct pass_request request = {
        .container = entry->id,
        .network_path = entry->network_path,
        .policies = &w->rules->items[s->rule].policies,
        .reconcile = reconcile,
        .block = !w->config.leave,
    };
    int r = watch_pass_start(w->loop, w->runtime, &request, on_pass_done, s, &s->pass);
    if (r == 0)
        w->passes++;
    else
        tell_failure(s, err_text(r));
}

/* It can't even be blocked. The timer asks for it again. */
static void tell_no_network(struct watch_sandbox *s)
{
    const struct watch_container *c = LIST_ENTRY(s->containers.next, struct watch_container, node);
    tell_failure(s, c->network_problem);
}

static void look_after(struct watch_sandbox *s, bool reconcile)
{
    const struct watch_container *entry = watch_sandbox_entry(s);
    if (s->rule == NO_RULE || s->watch->runtime == NULL)
        return;
    if (watch_sandbox_is_host(s)) {
        if (!s->told_host)
            tell(s, WATCH_HOST, "");
        s->told_host = true;
        return;
    }
    s->retry_at = 0;
    if (s->pass != NULL)
        s->again |= !reconcile; /* the one under way repairs as well */
    else if (entry != NULL)
        start_pass(s, entry, reconcile);
    else
        tell_no_network(s);
}

/* Where nothing is known that could be opened, the runtime is asked first. */
static void retry(struct watch_sandbox *s)
{
    if (s->pass != NULL || watch_sandbox_entry(s) != NULL || list_empty(&s->containers)) {
        look_after(s, false);
        return;
    }
    (void)retry_later(s);
    ask_again(s->watch, LIST_ENTRY(s->containers.next, struct watch_container, node)->id);
}

static void on_timer(void *arg)
{
    struct watch *w = arg;
    uint64_t now = clock_mono_ns();
    bool all = w->interval_at != 0 && w->interval_at <= now;
    if (all)
        w->interval_at = now + w->config.interval_ms * NS_PER_MS;
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        if (s->retry_at != 0 && s->retry_at <= now)
            retry(s);
        else if (all && w->listed && s->retry_at == 0)
            look_after(s, true);
    }
    set_timer(w);
}

/* ---- containers come and go ---- */

static void decide(struct watch_sandbox *s)
{
    size_t found = watch_sandbox_match(s, s->watch->rules);
    if (found != NO_RULE && (s->rule == NO_RULE || found < s->rule))
        s->rule = found;
}

static int sandbox_of(struct watch *w, const char *id, struct watch_sandbox **ret)
{
    struct watch_sandbox *s = table_get(&w->sandboxes, slice_str(id));
    if (s == NULL) {
        int r = watch_sandbox_new(w, id, &s);
        if (r == 0 && (r = table_put(&w->sandboxes, slice_str(s->id), s)) < 0)
            watch_sandbox_free(s);
        if (r < 0)
            return r;
        list_push_back(&w->list, &s->node);
    }
    *ret = s;
    return 0;
}

static int remember_new(struct watch *w, const struct runtime_container *told,
                        struct watch_container **ret)
{
    struct watch_sandbox *s = NULL;
    struct watch_container *c = NULL;
    int r = sandbox_of(w, told->sandbox_id[0] != '\0' ? told->sandbox_id : told->id, &s);
    if (r < 0)
        return r;
    r = watch_container_new(told, &c);
    if (r == 0 && (r = table_put(&w->containers, slice_str(c->id), c)) < 0)
        watch_container_free(c);
    if (r < 0) {
        drop_if_empty(s);
        return r;
    }
    c->sandbox = s;
    list_push_back(&s->containers, &c->node);
    *ret = c;
    return 0;
}

/* What can't be remembered for want of memory is told all the same, and asked for again by the next list. */
static void on_container(void *arg, const struct runtime_container *told)
{
    struct watch *w = arg;
    struct watch_container *c = table_get(&w->containers, slice_str(told->id));
    if (!told->running) {
        if (c != NULL)
            forget_container(c);
        return;
    }
    int r = c != NULL ? watch_container_update(c, told) : remember_new(w, told, &c);
    if (r < 0) {
        const struct watch_event event = {.kind = WATCH_FAILED,
                                          .name = told->name,
                                          .sandbox = told->sandbox_id,
                                          .endpoint = told->network_path,
                                          .text = err_text(r)};
        w->events.on_event(w->arg, &event);
        return;
    }
    decide(c->sandbox);
    look_after(c->sandbox, false);
}

static void forget_container(struct watch_container *c)
{
    struct watch_sandbox *s = c->sandbox;
    struct watch *w = s->watch;
    bool last = s->containers.next == &c->node && s->containers.prev == &c->node;
    if (last && s->rule != NO_RULE)
        tell(s, WATCH_GONE, "");
    (void)table_remove(&w->containers, slice_str(c->id));
    watch_container_free(c);
    if (last) { /* one of this id that comes later is another */
        s->rule = NO_RULE;
        s->failures = 0;
        s->retry_at = 0;
        s->again = false;
        s->told_host = false;
        s->blocked = false;
    }
    drop_if_empty(s);
}

static void on_gone(void *arg, const char *id)
{
    struct watch *w = arg;
    struct watch_container *c = table_get(&w->containers, slice_str(id));
    if (c != NULL)
        forget_container(c);
    check_settled(w);
}

/* The containers of a sandbox go one by one, the sandbox with the last. */
static void sweep_sandbox(struct watch_sandbox *s)
{
    size_t left = 0;
    LIST_FOR_EACH (node, &s->containers)
        left++;
    struct list *node = s->containers.next;
    while (left-- > 0) {
        struct watch_container *c = LIST_ENTRY(node, struct watch_container, node);
        node = node->next;
        if (c->stale)
            forget_container(c);
    }
}

static void on_listed(void *arg)
{
    struct watch *w = arg;
    LIST_FOR_EACH (node, &w->list)
        sweep_sandbox(LIST_ENTRY(node, struct watch_sandbox, node));
    w->listed = true;
    tell_state(w, WATCH_LISTED, "");
    check_settled(w);
}

/* Its labels and its network aren't known, so neither is whether a rule matches: nothing can be done but to say so. */
static void on_problem(void *arg, const char *id, const char *text)
{
    struct watch *w = arg;
    const struct watch_event event = {
        .kind = WATCH_FAILED, .name = id, .sandbox = "", .endpoint = "", .text = text};
    w->unknown++;
    w->events.on_event(w->arg, &event);
}

static void on_state(void *arg, bool connected, const char *text)
{
    struct watch *w = arg;
    w->listed = w->listed && connected;
    w->unknown = connected ? w->unknown : 0;
    if (!connected)
        LIST_FOR_EACH (node, &w->list) {
            struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
            LIST_FOR_EACH (inner, &s->containers)
                LIST_ENTRY(inner, struct watch_container, node)->stale = true;
        }
    tell_state(w, connected ? WATCH_CONNECTED : WATCH_DISCONNECTED, text);
}

static void on_told_again(void *arg, int err, const struct runtime_container *c,
                          const struct diag *d)
{
    (void)d; /* on failure events and the next list tell */
    if (err == 0)
        on_container(arg, c);
}

static void ask_again(struct watch *w, const char *id)
{
    if (w->runtime != NULL)
        (void)runtime_ask(w->runtime, id, on_told_again, w);
}

/* ---- the whole ---- */

void watch_set_rules(struct watch *w, struct watch_rules *rules)
{
    watch_rules_free(w->rules);
    w->rules = rules;
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        bool had = s->rule != NO_RULE;
        s->rule = watch_sandbox_match(s, rules);
        if (had && s->rule == NO_RULE) {
            s->failures = 0;
            s->retry_at = 0;
            s->again = false;
            tell(s, WATCH_UNMATCHED, s->blocked ? "its network stays blocked" : "");
        }
        look_after(s, false);
    }
}

static void free_watch(struct watch *w)
{
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        LIST_FOR_EACH (inner, &s->containers)
            watch_container_free(LIST_ENTRY(inner, struct watch_container, node));
        watch_sandbox_free(s);
    }
    table_release(&w->containers);
    table_release(&w->sandboxes);
    watch_rules_free(w->rules);
    mem_free(w);
}

static void finish_stop(struct watch *w)
{
    if (w->runtime != NULL || w->passes > 0 || !w->timer_closed)
        return;
    void (*stopped)(void *arg) = w->stopped;
    void *arg = w->stopped_arg;
    free_watch(w);
    stopped(arg);
}

static void on_timer_closed(void *arg)
{
    struct watch *w = arg;
    w->timer_closed = true;
    finish_stop(w);
}

void watch_stop(struct watch *w, void (*stopped)(void *arg), void *arg)
{
    struct runtime *runtime = STEAL(w->runtime);
    if (runtime == NULL)
        return;
    w->stopped = stopped;
    w->stopped_arg = arg;
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        if (s->pass != NULL)
            watch_pass_end(s->pass);
    }
    runtime_free(runtime);
    timer_close(&w->timer, on_timer_closed);
}

static void on_nothing(void *arg)
{
    free_watch(arg);
}

static int init(struct watch *w, struct loop *loop, const struct watch_config *config,
                const struct watch_events *events, void *arg)
{
    uint8_t secret[16];
    w->loop = loop;
    w->config = *config;
    w->events = *events;
    w->arg = arg;
    if (w->config.retry_ms == 0)
        w->config.retry_ms = WATCH_RETRY_MS;
    if (config->interval_ms > 0)
        w->interval_at = clock_mono_ns() + config->interval_ms * NS_PER_MS;
    list_init(&w->list);
    random_bytes(secret, sizeof(secret));
    table_init(&w->containers, secret);
    table_init(&w->sandboxes, secret);
    return timer_init(&w->timer, loop, on_timer, w);
}

int watch_start(struct loop *loop, const struct watch_config *config, struct watch_rules *rules,
                const struct watch_events *events, void *arg, struct watch **ret, struct diag *d)
{
    static const struct runtime_events runtime_events = {on_container, on_listed, on_gone,
                                                         on_problem, on_state};
    struct watch *w = NEW(struct watch);
    if (w == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    int r = init(w, loop, config, events, arg);
    if (r < 0) {
        mem_free(w);
        return diag_set(d, r, 0, "Failed to start: %s", err_text(r));
    }
    w->rules = rules;
    r = runtime_start(loop, config->runtime, &runtime_events, w, &w->runtime, d);
    if (r < 0) {
        w->rules = NULL; /* still the caller's */
        timer_close(&w->timer, on_nothing);
        return r;
    }
    set_timer(w);
    *ret = w;
    return 0;
}
