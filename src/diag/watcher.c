/* The checks are made by a process of their own, `stile diag` with a channel in place of standard output: it may be slow, wait for
 * a resolver that doesn't answer, or be ended at any moment, and has nothing of the agent's in its memory.
 *
 *   quiet (timer: the debounce) → running (timer: its limit) → quiet, or once more
 */
#include "diag/watcher.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "diag/report.h"
#include "diag/seen.h"
#include "loop/socket.h"
#include "loop/timer.h"
#include "platform/local_pair.h"
#include "platform/private_dir.h"
#include "platform/process.h"

#define DEBOUNCE_MS 1500
#define LIMIT_MS    60000

struct watcher {
    struct watcher_config config;
    char home[PRIVATE_PATH_SIZE];
    struct timer timer;
    struct process *process; /* NULL: quiet */
    struct stream *channel;
    struct buf json;
    bool again; /* asked for while running */
    struct seen seen;
};

static void end_run(struct watcher *w)
{
    process_free(STEAL(w->process));
    stream_close(STEAL(w->channel));
    buf_release(&w->json);
    timer_stop(&w->timer);
    if (w->again)
        timer_start(&w->timer, DEBOUNCE_MS);
    w->again = false;
}

static void judge(struct watcher *w)
{
    struct findings found[CHECKS_COUNT];
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_init(&found[i]);
    int err = report_parse(buf_slice(&w->json), found);
    if (err == 0)
        seen_update(&w->seen, found, w->config.show, w->config.arg);
    else
        log_debug("The diagnosis can't be read: %s", err_text(err));
    for (size_t i = 0; i < CHECKS_COUNT; i++)
        findings_release(&found[i]);
}

static void on_data(void *arg, struct slice bytes)
{
    struct watcher *w = arg;
    if (buf_put(&w->json, bytes) < 0)
        end_run(w);
}

static void on_end(void *arg)
{
    struct watcher *w = arg;
    judge(w);
    end_run(w);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)err;
    log_debug("The diagnosis was lost: %s", d->text);
    end_run(arg);
}

/* What it wrote comes through the channel, which ends with it. */
static void on_ended(void *arg, int status, int signal)
{
    (void)arg;
    (void)status;
    (void)signal;
}

static int start_process(struct watcher *w, int channel, struct diag *d)
{
    const int fds[] = {channel};
    const char *argv[] = {"stile", "diag", "--report-fd", "3", "--home", w->home, NULL};
    if (w->home[0] == '\0')
        argv[4] = NULL;
    const struct process_config config = {
        .role = "diag", .argv = argv, .fds = fds, .fd_count = ARRAY_LEN(fds), .own_session = true};
    return process_start(w->config.loop, &config, on_ended, w, &w->process, d);
}

static int start_run(struct watcher *w, struct diag *d)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error};
    int pair[2];
    int err = local_pair_stream(pair, d);
    if (err < 0)
        return err;
    err = start_process(w, pair[1], d);
    (void)close(pair[1]);
    if (err == 0)
        err = socket_stream_new(w->config.loop, pair[0], &w->channel);
    if (err < 0) {
        (void)close(pair[0]);
        return err;
    }
    buf_init(&w->json, REPORT_TEXT_MAX);
    stream_set_events(w->channel, &events, w);
    return stream_read_start(w->channel);
}

static void on_timer(void *arg)
{
    struct watcher *w = arg;
    struct diag d = {0};
    if (w->process != NULL) {
        log_debug("The diagnosis took too long");
        end_run(w);
        return;
    }
    timer_start(&w->timer, LIMIT_MS);
    int err = start_run(w, &d);
    if (err < 0) {
        log_debug("The diagnosis couldn't be started: %s",
                  d.text[0] != '\0' ? d.text : err_text(err));
        end_run(w);
    }
}

int watcher_new(const struct watcher_config *config, struct watcher **ret)
{
    struct watcher *w = NEW(struct watcher);
    if (w == NULL)
        return ERR_NOMEM;
    w->config = *config;
    w->config.home = NULL;
    buf_init(&w->json, REPORT_TEXT_MAX);
    seen_init(&w->seen);
    int err = config->home != NULL ? str_copy(w->home, sizeof(w->home), config->home) : 0;
    if (err == 0)
        err = timer_init(&w->timer, config->loop, on_timer, w);
    if (err < 0) {
        mem_free(w);
        return err;
    }
    *ret = w;
    return 0;
}

void watcher_check(struct watcher *w)
{
    if (w->process != NULL)
        w->again = true;
    else
        timer_start(&w->timer, DEBOUNCE_MS);
}

static void on_timer_closed(void *w)
{
    mem_free(w);
}

void watcher_free(struct watcher *w)
{
    if (w == NULL)
        return;
    w->again = false;
    end_run(w);
    seen_release(&w->seen);
    timer_close(&w->timer, on_timer_closed);
}
