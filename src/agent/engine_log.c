#include "agent/engine_log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/log_entry.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"

#define READS_AT_THE_END 64

struct engine_log {
    uv_poll_t *poll; /* freed by itself when it is closed */
    int fd;
    size_t len;
    bool skipping; /* the rest of a line that was too long */
    char line[ENGINE_LOG_LINE_MAX];
};

void engine_log_tell(struct slice line)
{
    struct log_entry entry;
    char text[LOG_MESSAGE_SIZE];
    struct log_line last_words = {
        .time_us = clock_wall_us(), .level = LOG_WARN, .component = "engine", .message = text};
    if (log_entry_parse(line, &entry) == 0) {
        entry.line.component = "engine";
        log_relay(&entry.line);
        log_entry_release(&entry);
        return;
    }
    size_t len = MIN(line.len, sizeof(text) - 1);
    memcpy(text, line.data, len);
    text[len] = '\0';
    log_relay(&last_words);
}

static void end_line(struct engine_log *log)
{
    if (log->len > 0 && !log->skipping)
        engine_log_tell(slice_of(log->line, log->len));
    log->len = 0;
    log->skipping = false;
}

static void take(struct engine_log *log, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            end_line(log);
            continue;
        }
        if (log->len == sizeof(log->line)) {
            end_line(log);
            log->skipping = true;
        }
        if (!log->skipping)
            log->line[log->len++] = bytes[i];
    }
}

/* False: nothing is there now, or nothing comes any more. */
static bool read_some(struct engine_log *log, bool *ret_ended)
{
    char bytes[4096];
    ssize_t n = read(log->fd, bytes, sizeof(bytes));
    *ret_ended = n == 0;
    if (n <= 0)
        return false;
    take(log, bytes, (size_t)n);
    return true;
}

static void on_readable(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct engine_log *log = poll->data;
    bool ended = false;
    if (read_some(log, &ended) || !ended)
        return;
    end_line(log);
    uv_poll_stop(poll);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

int engine_log_new(struct loop *loop, int fd, struct engine_log **ret)
{
    CLEANUP(mem_freep) struct engine_log *log = NEW(struct engine_log);
    CLEANUP(mem_freep) uv_poll_t *poll = NEW(uv_poll_t);
    int flags = fcntl(fd, F_GETFL);
    if (log == NULL || poll == NULL)
        return ERR_NOMEM;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return ERR_IO;
    int r = uv_poll_init(&loop->uv, poll, fd);
    if (r < 0)
        return loop_err(r);
    log->fd = fd;
    log->poll = STEAL(poll);
    log->poll->data = log;
    uv_poll_start(log->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    *ret = STEAL(log);
    return 0;
}

void engine_log_free(struct engine_log *log)
{
    bool ended = false;
    if (log == NULL)
        return;
    for (int i = 0; i < READS_AT_THE_END && read_some(log, &ended); i++)
        ;
    end_line(log);
    uv_close((uv_handle_t *)log->poll, on_closed);
    close(log->fd);
    mem_free(log);
}
