/* The log of commands and services: one line per event to standard error, as text or JSON.
 *
 * Libraries log at debug only. Thread-safe. Bytes that are not printable are escaped, so nothing
 * from a peer can forge a line. No secret is ever passed here.
 */
#ifndef STILE_BASE_LOG_H
#define STILE_BASE_LOG_H

#include "base/compiler.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* component names the process ("agent", "engine", "gateway"), a static string. Default: LOG_WARN,
 * LOG_TEXT, "stile". */
void log_setup(const char *component, enum log_level level, enum log_format format);
/* Writes to this fd instead of 2. */
void log_set_fd(int fd);
bool log_enabled(enum log_level level);
enum log_level log_level(void);
enum log_format log_format(void);
int log_level_parse(const char *s, enum log_level *ret_level);    /* debug info warn error */
int log_format_parse(const char *s, enum log_format *ret_format); /* text json */

PRINTF_LIKE(2, 3) void log_write(enum log_level level, const char *fmt, ...);

/* An event with fields: " name=value" after the message in text, members of their own in JSON. What doesn't fit into a line is
 * left out. */
struct log_field {
    const char *name; /* not "time", "level", "component" or "message" */
    const char *text; /* NULL: the number is meant */
    uint64_t number;
};
void log_event(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
