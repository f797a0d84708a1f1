/* A line of a log as base/log writes it in JSON, read again. What it says comes from a process that isn't trusted: it is text. */
#ifndef STILE_AGENT_LOG_ENTRY_H
#define STILE_AGENT_LOG_ENTRY_H

#include <jansson.h>

#include "base/log.h"
#include "base/slice.h"

#define LOG_ENTRY_FIELDS_MAX 24
#define LOG_ENTRY_COMPONENT  24 /* with the NUL; longer ones are ERR_FORMAT */

struct log_entry {
    struct log_line line; /* texts and fields are the entry's */
    struct log_field fields[LOG_ENTRY_FIELDS_MAX];
    json_t *json; /* owned */
};

/* One line, with or without its end. ERR_FORMAT: it is something else. Members that are neither texts nor whole numbers, and those
 * over LOG_ENTRY_FIELDS_MAX, are left out. The entry isn't moved afterwards. */
int log_entry_parse(struct slice text, struct log_entry *e);
void log_entry_release(struct log_entry *e);

#endif
