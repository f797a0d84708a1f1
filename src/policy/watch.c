#include "policy/watch.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"
#include "loop/timer.h"
#include "policy/watch_care.h"

struct watch {
    struct watch_care care; /* its runtime: NULL once stopping */
    struct watch_rules *rules;
    struct watch_events events;
    void *arg;
    unsigned interval_ms;
    bool listed;
    struct table containers; /* by id */
    struct table sandboxes;  /* by id; those that are only waiting for their pass, too */
    struct list list;        /* of the same */
    struct timer timer;      /* of the next attempt or look, whichever is first */
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

static bool is_quiet(const struct watch *w)
{
    return w->listed && w->care.passes == 0 && w->care.questions == 0 && w->care.runtime != NULL;
}

static void check_settled(struct watch *w)
{
    if (!is_quiet(w))
        return;
    size_t failing = runtime_problems(w->care.runtime);
    LIST_FOR_EACH (node, &w->list)
        failing += LIST_ENTRY(node, struct watch_sandbox, node)->failures > 0;
    w->events.on_settled(w->arg, failing);
}

/* ---- time ---- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void set_timer(struct watch *w)
{
    uint64_t at = w->interval_at, now = clock_mono_ns();
    if (w->care.runtime == NULL)
        return;
    LIST_FOR_EACH (node, &w->list)
        at = earliest(at, LIST_ENTRY(node, struct watch_sandbox, node)->retry_at);
    if (at == 0)
        timer_stop(&w->timer);
    else
        timer_start(&w->timer, at > now ? (at - now) / NS_PER_MS + 1 : 0);
}

static void on_timer(void *arg)
{
    struct watch *w = arg;
    uint64_t now = clock_mono_ns();
    bool all = w->interval_at != 0 && w->interval_at <= now;
    if (all)
        w->interval_at = now + w->interval_ms * NS_PER_MS;
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        if (s->retry_at != 0 && s->retry_at <= now)
            watch_care_retry(s);
        else if (all && w->listed && s->retry_at == 0)
            watch_care_look_after(s, true);
    }
    set_timer(w);
}

/* ---- who there is ---- */

static void drop_if_empty(struct watch *w, struct watch_sandbox *s)
{
    if (!list_empty(&s->containers) || s->pass != NULL || s->asking)
        return;
    (void)table_remove(&w->sandboxes, slice_str(s->id));
    watch_sandbox_free(s);
}

static int sandbox_of(struct watch *w, const char *id, struct watch_sandbox **ret)
{
    struct watch_sandbox *s = table_get(&w->sandboxes, slice_str(id));
    if (s == NULL) {
        int r = watch_sandbox_new(&w->care, id, &s);
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
        drop_if_empty(w, s);
        return r;
    }
    c->sandbox = s;
    list_push_back(&s->containers, &c->node);
    *ret = c;
    return 0;
}

static void forget_container(struct watch *w, struct watch_container *c)
{
    struct watch_sandbox *s = c->sandbox;
    bool last = s->containers.next == &c->node && s->containers.prev == &c->node;
    if (last && s->rule != NO_RULE)
        watch_care_tell(s, WATCH_GONE, "");
    (void)table_remove(&w->containers, slice_str(c->id));
    watch_container_free(c);
    if (last) { /* one of this id that comes later is another */
        s->rule = NO_RULE;
        watch_care_end(s);
        s->told_host = false;
        s->blocked = false;
    }
    drop_if_empty(w, s);
}

/* ---- what the runtime tells ---- */

static void decide(struct watch *w, struct watch_sandbox *s)
{
    size_t found = watch_sandbox_match(s, w->rules);
    if (found != NO_RULE && (s->rule == NO_RULE || found < s->rule))
        s->rule = found;
}

static void tell_forgotten(struct watch *w, const struct runtime_container *told, int err)
{
    const struct watch_event event = {.kind = WATCH_FAILED,
                                      .name = told->name,
                                      .sandbox = told->sandbox_id,
                                      .endpoint = told->network_path,
                                      .text = err_text(err)};
    w->events.on_event(w->arg, &event);
}

/* What can't be remembered for want of memory is told all the same; it comes again with the next
 * list. */
static int on_container(void *arg, const struct runtime_container *told)
{
    struct watch *w = arg;
    struct watch_container *c = table_get(&w->containers, slice_str(told->id));
    if (!told->running) {
        if (c != NULL)
            forget_container(w, c);
        return 0;
    }
    int r = c != NULL ? watch_container_update(c, told) : remember_new(w, told, &c);
    if (r < 0) {
        tell_forgotten(w, told, r);
        return r;
    }
    decide(w, c->sandbox);
    watch_care_look_after(c->sandbox, false);
    set_timer(w);
    return 0;
}

static void on_gone(void *arg, const char *id)
{
    struct watch *w = arg;
    struct watch_container *c = table_get(&w->containers, slice_str(id));
    if (c != NULL)
        forget_container(w, c);
    check_settled(w);
}

/* The containers of a sandbox go one by one, the sandbox with the last. */
static void sweep_sandbox(struct watch *w, struct watch_sandbox *s)
{
    size_t left = 0;
    LIST_FOR_EACH (node, &s->containers)
        left++;
    struct list *node = s->containers.next;
    while (left-- > 0) {
        struct watch_container *c = LIST_ENTRY(node, struct watch_container, node);
        node = node->next;
        if (c->stale)
            forget_container(w, c);
    }
}

static void on_listed(void *arg)
{
    struct watch *w = arg;
    LIST_FOR_EACH (node, &w->list)
        sweep_sandbox(w, LIST_ENTRY(node, struct watch_sandbox, node));
    w->listed = true;
    tell_state(w, WATCH_LISTED, "");
    check_settled(w);
}

/* Its labels and its network aren't known, so neither is whether a rule matches: nothing can be
 * done but to say so. */
static void on_problem(void *arg, const char *id, const char *text)
{
    struct watch *w = arg;
    const struct watch_event event = {
        .kind = WATCH_FAILED, .name = id, .sandbox = "", .endpoint = "", .text = text};
    w->events.on_event(w->arg, &event);
}

static void on_state(void *arg, bool connected, const char *text)
{
    struct watch *w = arg;
    w->listed = w->listed && connected;
    if (!connected)
        LIST_FOR_EACH (node, &w->list) {
            struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
            LIST_FOR_EACH (inner, &s->containers)
                LIST_ENTRY(inner, struct watch_container, node)->stale = true;
        }
    tell_state(w, connected ? WATCH_CONNECTED : WATCH_DISCONNECTED, text);
}

/* ---- the end ---- */

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
    if (w->care.runtime != NULL || w->care.passes > 0 || !w->timer_closed)
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
    struct runtime *runtime = STEAL(w->care.runtime);
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

/* ---- what the care finds ---- */

static void on_care_event(void *arg, const struct watch_event *event)
{
    struct watch *w = arg;
    w->events.on_event(w->arg, event);
}

static void on_container_gone(void *arg, struct watch_sandbox *s, const char *id)
{
    struct watch *w = arg;
    struct watch_container *c = table_get(&w->containers, slice_str(id));
    if (c != NULL && c->sandbox == s)
        forget_container(w, c);
}

static void on_care_done(void *arg, struct watch_sandbox *s)
{
    struct watch *w = arg;
    drop_if_empty(w, s);
    set_timer(w);
    check_settled(w);
    finish_stop(w);
}

/* ---- the beginning, and other rules ---- */

void watch_set_rules(struct watch *w, struct watch_rules *rules)
{
    watch_rules_free(w->rules);
    w->rules = rules;
    w->care.rules = rules;
    LIST_FOR_EACH (node, &w->list) {
        struct watch_sandbox *s = LIST_ENTRY(node, struct watch_sandbox, node);
        bool had = s->rule != NO_RULE;
        s->rule = watch_sandbox_match(s, rules);
        if (had && s->rule == NO_RULE) {
            watch_care_end(s);
            watch_care_tell(s, WATCH_UNMATCHED, s->blocked ? "its network stays blocked" : "");
        }
        watch_care_look_after(s, false);
    }
    set_timer(w);
}

static void on_nothing(void *arg)
{
    free_watch(arg);
}

static int init(struct watch *w, struct loop *loop, const struct watch_config *config,
                const struct watch_events *events, void *arg)
{
    static const struct watch_care_events care_events = {on_care_event, on_container,
                                                         on_container_gone, on_care_done};
    uint8_t secret[16];
    w->care = (struct watch_care){
        .loop = loop,
        .leave = config->leave,
        .retry_ms = config->retry_ms != 0 ? config->retry_ms : WATCH_RETRY_MS,
        .events = &care_events,
        .arg = w,
    };
    w->events = *events;
    w->arg = arg;
    w->interval_ms = config->interval_ms;
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
    w->care.rules = rules;
    r = runtime_start(loop, config->runtime, &runtime_events, w, &w->care.runtime, d);
    if (r < 0) {
        w->rules = NULL; /* still the caller's */
        timer_close(&w->timer, on_nothing);
        return r;
    }
    set_timer(w);
    *ret = w;
    return 0;
}
