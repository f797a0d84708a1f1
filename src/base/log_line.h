/* A line of the log in each of its forms. */
#ifndef STILE_BASE_LOG_LINE_H
#define STILE_BASE_LOG_LINE_H

#include "base/log.h"
#include "base/slice.h"

#define LOG_MESSAGE_SIZE 1024 /* longer ones are cut before, visibly */
/* What precedes the message, every byte of it as \u00xx, and fields. */
#define LOG_LINE_SIZE (256 + 6 * LOG_MESSAGE_SIZE + 4096)

const char *log_level_name(enum log_level level);

/* Writes the line with its end to memory of LOG_LINE_SIZE bytes; what was written. Fields that don't fit are left out.
 * LOG_JOURNAL: the fields of journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): MESSAGE, PRIORITY,
 * SYSLOG_IDENTIFIER=stile, STILE_COMPONENT, and the line's fields as STILE_NAME. */
struct slice log_line_format(const struct log_line *line, enum log_format format,
                             uint8_t memory[LOG_LINE_SIZE]);

#endif
