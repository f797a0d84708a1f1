#include "policy/watch_care.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

/* ---- telling ---- */

static void tell_full(const struct watch_sandbox *s, struct watch_event *event)
{
    const struct watch_container *entry = watch_sandbox_entry(s);
    event->name = watch_sandbox_name(s);
    event->sandbox = s->id;
    event->endpoint = entry != NULL ? entry->network_path : "";
    event->rule = s->rule == NO_RULE ? 0 : s->rule + 1;
    s->care->events->on_event(s->care->arg, event);
}

void watch_care_tell(const struct watch_sandbox *s, enum watch_event_kind kind, const char *text)
{
    struct watch_event event = {.kind = kind, .text = text};
    tell_full(s, &event);
}

static void tell_host(struct watch_sandbox *s)
{
    if (!s->told_host)
        watch_care_tell(s, WATCH_HOST, "");
    s->told_host = true;
}

/* ---- failures ---- */

/* The wait before the next attempt. */
static unsigned retry_later(struct watch_sandbox *s)
{
    unsigned first = s->care->retry_ms;
    uint64_t ms = (uint64_t)first << MIN(s->failures > 0 ? s->failures - 1 : 0, 16U);
    ms = MIN(ms, (uint64_t)MAX(WATCH_RETRY_MAX_MS, first));
    s->retry_at = clock_mono_ns() + ms * NS_PER_MS;
    return (unsigned)ms;
}

void watch_care_fail(struct watch_sandbox *s, const char *text)
{
    s->failures++;
    struct watch_event event = {.kind = WATCH_FAILED, .retry_ms = retry_later(s), .text = text};
    tell_full(s, &event);
}

/* ---- what a pass comes to ---- */

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
    bool block = !s->care->leave;
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

/* A runtime that is connected and doesn't answer: that is worth a word. One that isn't tells all
 * anew. */
static void on_unknown(struct watch_sandbox *s, int err, const struct diag *d)
{
    if (err != ERR_CLOSED && err != ERR_CANCELED)
        watch_care_fail(s, d->text);
}

static void on_told_again(void *arg, int err, const struct runtime_container *c,
                          const struct diag *d)
{
    struct watch_sandbox *s = arg;
    struct watch_care *care = s->care;
    care->questions--;
    int r = err == 0 ? care->events->on_told(care->arg, c) : 0;
    if (err < 0 && !list_empty(&s->containers))
        on_unknown(s, err, d);
    else if (r < 0)
        (void)retry_later(s);
    s->asking = false; /* not before: it keeps the sandbox */
    care->events->on_done(care->arg, s);
}

/* For what is so of a container now: its network is another than was told. */
static void ask_again(struct watch_sandbox *s, const char *container)
{
    struct watch_care *care = s->care;
    if (s->asking || care->runtime == NULL)
        return;
    int r = runtime_ask(care->runtime, container, on_told_again, s);
    if (r < 0) {
        watch_care_fail(s, err_text(r));
        return;
    }
    s->asking = true;
    care->questions++;
}

/* The others of its sandbox may be there still. */
static void on_gone_meanwhile(struct watch_sandbox *s, const struct pass_result *res)
{
    s->care->events->on_gone(s->care->arg, s, res->container);
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
            ask_again(s, entry->id);
        break;
    case PASS_HOST:
        s->failures = 0;
        tell_host(s);
        break;
    case PASS_UNKNOWN:
        on_unknown(s, res->err, &res->diag);
        break;
    case PASS_FAILED:
        on_failed(s, res);
        break;
    }
}

/* ---- passes ---- */

static void on_pass_done(void *arg, const struct pass_result *res)
{
    struct watch_sandbox *s = arg;
    struct watch_care *care = s->care;
    care->passes--;
    if (!list_empty(&s->containers))
        take_result(s, res);
    s->pass = NULL; /* not before: it keeps the sandbox */
    if (s->again && !list_empty(&s->containers)) {
        s->again = false;
        watch_care_look_after(s, false);
    }
    care->events->on_done(care->arg, s);
}

static void start_pass(struct watch_sandbox *s, const struct watch_container *entry, bool reconcile)
{
    struct watch_care *care = s->care;
    const struct pass_request request = {
        .container = entry->id,
        .network_path = entry->network_path,
        .policies = &care->rules->items[s->rule].policies,
        .reconcile = reconcile,
        .block = !care->leave,
    };
    int r = watch_pass_start(care->loop, care->runtime, &request, on_pass_done, s, &s->pass);
    if (r == 0)
        care->passes++;
    else
        watch_care_fail(s, err_text(r));
}

/* It can't even be blocked. The timer asks for it again. */
static void tell_no_network(struct watch_sandbox *s)
{
    const struct watch_container *c = LIST_ENTRY(s->containers.next, struct watch_container, node);
    watch_care_fail(s, c->network_problem);
}

void watch_care_look_after(struct watch_sandbox *s, bool reconcile)
{
    const struct watch_container *entry = watch_sandbox_entry(s);
    if (s->rule == NO_RULE || s->care->runtime == NULL)
        return;
    if (watch_sandbox_is_host(s)) {
        tell_host(s);
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

void watch_care_retry(struct watch_sandbox *s)
{
    if (s->pass != NULL || watch_sandbox_entry(s) != NULL || list_empty(&s->containers)) {
        watch_care_look_after(s, false);
        return;
    }
    (void)retry_later(s);
    ask_again(s, LIST_ENTRY(s->containers.next, struct watch_container, node)->id);
}

void watch_care_end(struct watch_sandbox *s)
{
    s->failures = 0;
    s->retry_at = 0;
    s->again = false;
}
