/* The log of commands and services: one line per event, as text or JSON to standard error, or natively to the journal; and, where a
 * process keeps it, the last of it in memory, for `stile logs`.
 *
 * Libraries log at debug only. Thread-safe. Bytes that are not printable are escaped, so nothing
 * from a peer can forge a line. No secret is ever passed here.
 */
#ifndef STILE_BASE_LOG_H
#define STILE_BASE_LOG_H

#include "base/compiler.h"

struct buf;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format {
    LOG_TEXT,
    LOG_JSON,
    LOG_JOURNAL, /* see log_journal.h; as text to standard error when the journal isn't there */
};

/* component names the process ("agent", "engine", "gateway"), a static string. Default: LOG_WARN,
 * LOG_TEXT, "stile". */
void log_setup(const char *component, enum log_level level, enum log_format format);
/* Writes to this fd instead of 2. */
void log_set_fd(int fd);
/* From now on also keeps the last LOG_KEPT_SIZE bytes of lines of this level and above, whatever is written. Each such line is
 * then formatted: a process with debug lines in its hot path keeps none (the engine's lines are kept by its agent). ERR_NOMEM. */
#define LOG_KEPT_SIZE (512 * 1024)
int log_keep(enum log_level level);
/* What is kept, appended to out: JSON, one object per line, the oldest first. ERR_TOOBIG, ERR_NOMEM. */
int log_kept(struct buf *out);

bool log_enabled(enum log_level level); /* a line of this level is written or kept */
bool log_written(enum log_level level); /* … is written */
enum log_level log_level(void);         /* from which lines are written */
/* Changes that alone. */
void log_set_level(enum log_level level);
enum log_format log_format(void);
int log_level_parse(const char *s, enum log_level *ret_level);    /* debug info warn error */
int log_format_parse(const char *s, enum log_format *ret_format); /* text json journal */

PRINTF_LIKE(2, 3) void log_write(enum log_level level, const char *fmt, ...);
/* Keeps a line that has been told otherwise. */
PRINTF_LIKE(2, 3) void log_only_keep(enum log_level level, const char *fmt, ...);

/* An event with fields: " name=value" after the message in text, members of their own in JSON, NAME=value in the journal. What
 * doesn't fit into a line is left out. */
struct log_field {
    const char *name; /* not "time", "level", "component" or "message" */
    const char *text; /* NULL: the number is meant */
    uint64_t number;
};
void log_event(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);
/* A message that is put together, and one field. */
PRINTF_LIKE(3, 4)
void log_write_with(enum log_level level, const struct log_field *field, const char *fmt, ...);

/* A line of another process of ours, as that one told it. */
struct log_line {
    int64_t time_us; /* since 1970, UTC */
    enum log_level level;
    const char *component;
    const char *message;
    const struct log_field *fields;
    size_t field_count;
};
void log_relay(const struct log_line *line);

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
