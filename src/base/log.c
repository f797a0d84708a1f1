#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log_journal.h"
#include "base/log_line.h"
#include "base/log_ring.h"
#include "base/str.h"

#define KEEP_NOTHING (LOG_ERROR + 1)

static _Atomic(const char *) current_component = "stile";
static atomic_int current_level = LOG_WARN;
static atomic_int current_format = LOG_TEXT;
static atomic_int current_fd = 2;
static atomic_int kept_level = KEEP_NOTHING;
/* Made once and never freed: other threads may be logging. */
static _Atomic(struct log_ring *) kept;

static const char *const format_names[] = {"text", "json", "journal"};
_Static_assert(ARRAY_LEN(format_names) == LOG_JOURNAL + 1, "one name per format");

void log_setup(const char *component, enum log_level level, enum log_format format)
{
    if (format == LOG_JOURNAL && log_format() != LOG_JOURNAL)
        (void)log_journal_open(LOG_JOURNAL_PATH); /* else standard error has it */
    atomic_store(&current_component, component);
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

void log_set_fd(int fd)
{
    atomic_store(&current_fd, fd);
}

int log_keep(enum log_level level)
{
    struct log_ring *ring = atomic_load(&kept);
    if (ring == NULL) {
        int r = log_ring_new(LOG_KEPT_SIZE, &ring);
        if (r < 0)
            return r;
        atomic_store(&kept, ring);
    }
    atomic_store(&kept_level, (int)level);
    return 0;
}

int log_kept(struct buf *out)
{
    struct log_ring *ring = atomic_load(&kept);
    return ring != NULL ? log_ring_copy(ring, out) : 0;
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

enum log_format log_format(void)
{
    return (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);
}

bool log_written(enum log_level level)
{
    return level >= log_level();
}

static bool is_kept(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&kept_level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return log_written(level) || is_kept(level);
}

static int index_of(const char *const *names, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(names[i], s))
            return (int)i;
    }
    return ERR_FORMAT;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++)
        if (str_eq(log_level_name(level), s)) {
            *ret_level = level;
            return 0;
        }
    return ERR_FORMAT;
}

int log_format_parse(const char *s, enum log_format *ret_format)
{
    int i = index_of(format_names, ARRAY_LEN(format_names), s);
    if (i < 0)
        return i;
    *ret_format = (enum log_format)i;
    return 0;
}

/* One write per line, so that lines of several threads and processes don't mix. What can't be
 * written is lost. */
static void write_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.data, (unsigned int)s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s = slice_from(s, (size_t)n);
    }
}

static void write_line(const struct log_line *line)
{
    uint8_t memory[LOG_LINE_SIZE];
    enum log_format format = log_format();
    if (format == LOG_JOURNAL) {
        if (log_journal_send(log_line_format(line, LOG_JOURNAL, memory)))
            return;
        format = LOG_TEXT;
    }
    write_all(atomic_load(&current_fd), log_line_format(line, format, memory));
}

static void keep_line(const struct log_line *line)
{
    uint8_t memory[LOG_LINE_SIZE];
    log_ring_put(atomic_load(&kept), log_line_format(line, LOG_JSON, memory));
}

void log_relay(const struct log_line *line)
{
    int saved_errno = errno;
    if (log_written(line->level))
        write_line(line);
    if (is_kept(line->level))
        keep_line(line);
    errno = saved_errno;
}

void log_event(enum log_level level, const char *message, const struct log_field *fields,
               size_t count)
{
    if (log_enabled(level))
        log_relay(&(struct log_line){.time_us = clock_wall_us(),
                                     .level = level,
                                     .component = atomic_load(&current_component),
                                     .message = message,
                                     .fields = fields,
                                     .field_count = count});
}

PRINTF_LIKE(2, 0)
static void format_message(char message[LOG_MESSAGE_SIZE], const char *fmt, va_list args)
{
    int n = vsnprintf(message, LOG_MESSAGE_SIZE, fmt, args);
    if (n < 0)
        str_format(message, LOG_MESSAGE_SIZE, "(message can't be formatted: %.64s)", fmt);
    if (n >= LOG_MESSAGE_SIZE)
        memcpy(message + LOG_MESSAGE_SIZE - 4, "...", 4);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    char message[LOG_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    format_message(message, fmt, args);
    va_end(args);
    log_event(level, message, NULL, 0);
    errno = saved_errno;
}

void log_write_with(enum log_level level, const struct log_field *field, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    char message[LOG_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    format_message(message, fmt, args);
    va_end(args);
    log_event(level, message, field, 1);
    errno = saved_errno;
}

void log_only_keep(enum log_level level, const char *fmt, ...)
{
    if (!is_kept(level))
        return;
    int saved_errno = errno;
    char message[LOG_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    format_message(message, fmt, args);
    va_end(args);
    keep_line(&(struct log_line){.time_us = clock_wall_us(),
                                 .level = level,
                                 .component = atomic_load(&current_component),
                                 .message = message});
    errno = saved_errno;
}
