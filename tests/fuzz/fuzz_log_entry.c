/* A line of another process's log, an engine's above all: it is an entry with every text in place, or it is refused. */
#include <stdlib.h>
#include <string.h>

#include "agent/log_entry.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_entry entry;
    if (log_entry_parse(slice_of(data, size), &entry) < 0)
        return 0;
    require(entry.line.level <= LOG_ERROR);
    require(entry.line.component != NULL && entry.line.message != NULL);
    for (size_t i = 0; i < entry.line.field_count; i++)
        require(entry.line.fields[i].name != NULL);
    log_entry_release(&entry);
    return 0;
}
