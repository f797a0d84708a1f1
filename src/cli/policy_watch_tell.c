#include "cli/policy_watch_tell.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/output.h"

#define MESSAGE_SIZE 1200

/* ---- as JSON ---- */

/* What isn't UTF-8 (a text that was cut, for one) can't be JSON's. */
static json_t *tamed(const char *text)
{
    CLEANUP(mem_freep) char *copy = mem_strdup(text);
    if (copy == NULL)
        return NULL;
    output_tame(copy, true);
    return json_string(copy);
}

static void set_text(json_t *o, const char *key, const char *text)
{
    json_t *value = json_string(text);
    if (text[0] != '\0')
        (void)json_object_set_new(o, key, value != NULL ? value : tamed(text));
    else
        json_decref(value);
}

static json_t *new_line(const char *word)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), time);
    return json_pack("{s:s, s:s}", "time", time, "event", word);
}

/* Takes it. Flushed, so that a reader sees each when it happens; ASCII alone, as a terminal may read it too. */
static void print_line(json_t *o)
{
    if (o == NULL || json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 ||
        putchar('\n') == EOF || fflush(stdout) != 0)
        log_error("An event couldn't be written to standard output");
    json_decref(o);
}

static void print_event(const struct watch_event *e)
{
    json_t *o = new_line(watch_event_word(e->kind));
    set_text(o, "name", e->name);
    set_text(o, "sandbox", e->sandbox);
    set_text(o, "endpoint", e->endpoint);
    if (e->rule > 0)
        (void)json_object_set_new(o, "rule", json_integer((json_int_t)e->rule));
    if (e->kind == WATCH_APPLIED || e->kind == WATCH_REPAIRED || e->kind == WATCH_RIGHT) {
        (void)json_object_set_new(o, "added", json_integer((json_int_t)e->added));
        (void)json_object_set_new(o, "removed", json_integer((json_int_t)e->removed));
        (void)json_object_set_new(o, "unchanged", json_integer((json_int_t)e->unchanged));
    }
    if (e->retry_ms > 0)
        (void)json_object_set_new(o, "retry_ms", json_integer((json_int_t)e->retry_ms));
    set_text(o, "text", e->text);
    print_line(o);
}

/* ---- as lines of the log ---- */

static enum log_level level_of(enum watch_event_kind kind)
{
    static const enum log_level levels[WATCH_EVENT_COUNT] = {
        [WATCH_CONNECTED] = LOG_INFO, [WATCH_DISCONNECTED] = LOG_WARN, [WATCH_LISTED] = LOG_DEBUG,
        [WATCH_APPLIED] = LOG_INFO,   [WATCH_REPAIRED] = LOG_WARN,     [WATCH_RIGHT] = LOG_DEBUG,
        [WATCH_BLOCKED] = LOG_ERROR,  [WATCH_FAILED] = LOG_ERROR,      [WATCH_HOST] = LOG_WARN,
        [WATCH_UNMATCHED] = LOG_WARN, [WATCH_GONE] = LOG_DEBUG,
    };
    return levels[kind];
}

static int put_failure(struct buf *b, bool once, const struct watch_event *e, const char *state)
{
    int r = buf_printf(b, "%s: its policies can't be applied, and %s: %s", e->name, state, e->text);
    if (r == 0 && e->retry_ms > 0 && !once)
        r = buf_printf(b, ". Tried again in %.1f s", e->retry_ms / 1000.0);
    return r;
}

static int put_message(struct buf *b, bool once, const struct watch_event *e)
{
    switch (e->kind) {
    case WATCH_CONNECTED:
        return buf_put_str(b, e->text);
    case WATCH_DISCONNECTED:
        return buf_printf(b, "%s%s", e->text, once ? "" : "; trying again until it works");
    case WATCH_LISTED:
        return buf_put_str(b, "All containers that run have been told");
    case WATCH_APPLIED:
        return buf_printf(b, "%s: policies applied: %zu added, %zu removed, %zu unchanged", e->name,
                          e->added, e->removed, e->unchanged);
    case WATCH_REPAIRED:
        return buf_printf(b, "%s: repaired what was changed from outside: %s", e->name, e->text);
    case WATCH_RIGHT:
        return buf_printf(b, "%s: policies are right: %zu", e->name, e->unchanged);
    case WATCH_BLOCKED:
        return put_failure(b, once, e, "nothing enters or leaves");
    case WATCH_FAILED:
        return put_failure(b, once, e, "its network is NOT blocked");
    case WATCH_HOST:
        return buf_printf(b, "%s: has the host's own network, so it is left alone", e->name);
    case WATCH_UNMATCHED:
        return buf_printf(b,
                          "%s: no rule matches any more; its policies stay until `stile policy "
                          "clear`%s%s",
                          e->name, e->text[0] != '\0' ? ", and " : "", e->text);
    case WATCH_GONE:
        return buf_printf(b, "%s: has ended", e->name);
    default:
        return 0;
    }
}

static void log_it(bool once, const struct watch_event *e)
{
    struct buf b;
    struct log_field fields[3];
    size_t count = 0;
    if (!log_enabled(level_of(e->kind)))
        return;
    buf_init(&b, MESSAGE_SIZE);
    int r = put_message(&b, once, e); /* one that is too long stays at what fitted */
    const char *message = r == 0 || buf_len(&b) > 0 ? buf_cstr(&b) : NULL;
    if (e->sandbox[0] != '\0')
        fields[count++] = (struct log_field){.name = "sandbox", .text = e->sandbox};
    if (e->endpoint[0] != '\0')
        fields[count++] = (struct log_field){.name = "endpoint", .text = e->endpoint};
    if (e->rule > 0)
        fields[count++] = (struct log_field){.name = "rule", .number = e->rule};
    log_event(level_of(e->kind), message != NULL ? message : watch_event_word(e->kind), fields,
              count);
    buf_release(&b);
}

void policy_watch_tell(bool json, bool once, const struct watch_event *event)
{
    if (json)
        print_event(event);
    else
        log_it(once, event);
}

void policy_watch_tell_rules(bool json, size_t count, const char *problem)
{
    if (json) {
        json_t *o = new_line(problem == NULL ? "rules" : "rules-wrong");
        if (problem == NULL)
            (void)json_object_set_new(o, "count", json_integer((json_int_t)count));
        else
            set_text(o, "text", problem);
        print_line(o);
    } else if (problem == NULL) {
        if (count == 0)
            log_warn("There is no rule in the file: no container is given policies");
        else
            log_info("%zu %s", count, count == 1 ? "rule" : "rules");
    } else {
        log_error("The rules of before stay in use: %s", problem);
    }
}
