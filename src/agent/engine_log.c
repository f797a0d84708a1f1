#include "agent/engine_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define READS_AT_THE_END 64

struct engine_log {
    uv_poll_t *poll; /* freed by itself when it is closed */
    int fd;
    size_t len;
    bool skipping; /* the rest of a line that was too long */
    char line[ENGINE_LOG_LINE_MAX];
};

static void take_json(struct slice line, enum log_level *level, char *message)
{
    json_t *entry = json_loadb((const char *)line.data, line.len, 0, NULL);
    const char *text = json_string_value(json_object_get(entry, "message"));
    const char *name = json_string_value(json_object_get(entry, "level"));
    enum log_level parsed;
    if (text != NULL && name != NULL && log_level_parse(name, &parsed) == 0) {
        *level = parsed;
        (void)str_format(message, ENGINE_LOG_LINE_MAX, "%s", text);
    }
    json_decref(entry);
}

/* "TIME LEVEL COMPONENT: MESSAGE" */
static void take_text(const char *line, enum log_level *level, char *message)
{
    char name[8];
    enum log_level parsed;
    const char *at = line + CLOCK_TEXT_SIZE; /* the time, and a space in the place of its NUL */
    if (strlen(line) < CLOCK_TEXT_SIZE || at[-1] != ' ' || line[CLOCK_TEXT_SIZE - 2] != 'Z')
        return;
    const char *space = strchr(at, ' ');
    const char *colon = space != NULL ? strstr(space, ": ") : NULL;
    if (colon == NULL ||
        str_copy_slice(name, sizeof(name), slice_of(at, (size_t)(space - at))) < 0 ||
        log_level_parse(name, &parsed) < 0)
        return;
    *level = parsed;
    (void)str_format(message, ENGINE_LOG_LINE_MAX, "%s", colon + 2);
}

void engine_log_parse(struct slice line, enum log_level *ret_level,
                      char ret_message[ENGINE_LOG_LINE_MAX])
{
    char text[ENGINE_LOG_LINE_MAX];
    size_t len = MIN(line.len, sizeof(text) - 1);
    memcpy(text, line.data, len);
    text[len] = '\0';
    *ret_level = LOG_WARN;
    memcpy(ret_message, text, len + 1);
    if (text[0] == '{')
        take_json(line, ret_level, ret_message);
    else
        take_text(text, ret_level, ret_message);
}

static void end_line(struct engine_log *log)
{
    enum log_level level;
    char message[ENGINE_LOG_LINE_MAX];
    if (log->len > 0 && !log->skipping) {
        engine_log_parse(slice_of(log->line, log->len), &level, message);
        const struct log_line line = {
            .time_us = clock_wall_us(), .level = level, .component = "engine", .message = message};
        log_relay(&line);
    }
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
