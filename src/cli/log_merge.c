#include "cli/log_merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/str.h"

void log_merge_init(struct log_merge *m)
{
    *m = (struct log_merge){0};
}

void log_merge_release(struct log_merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        log_entry_release(m->entries[i]);
        mem_free(m->entries[i]);
    }
    mem_free((void *)m->entries);
}

static int push(struct log_merge *m, struct log_entry *e)
{
    if (m->count == m->size) {
        size_t size = m->size == 0 ? 256 : 2 * m->size;
        struct log_entry **grown = mem_resize((void *)m->entries, size, sizeof(struct log_entry *));
        if (grown == NULL)
            return ERR_NOMEM;
        m->entries = grown;
        m->size = size;
    }
    m->entries[m->count++] = e;
    return 0;
}

static void set_pid(struct log_entry *e, uint32_t pid)
{
    if (pid != 0 && e->line.field_count < LOG_ENTRY_FIELDS_MAX)
        e->fields[e->line.field_count++] = (struct log_field){.name = "pid", .number = pid};
}

static int add_line(struct log_merge *m, struct slice text, uint32_t pid)
{
    struct log_entry *e = NEW(struct log_entry);
    if (e == NULL)
        return ERR_NOMEM;
    if (log_entry_parse(text, e) < 0) {
        mem_free(e);
        return 0;
    }
    set_pid(e, pid);
    int r = push(m, e);
    if (r < 0) {
        log_entry_release(e);
        mem_free(e);
    }
    return r;
}

int log_merge_add(struct log_merge *m, struct slice lines, uint32_t pid)
{
    int r = 0;
    while (r == 0 && lines.len > 0) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        size_t len = end != NULL ? (size_t)(end - lines.data) : lines.len;
        r = add_line(m, slice_first(lines, len), pid);
        lines = slice_from(lines, len + 1);
    }
    return r;
}

static int by_time(const void *a, const void *b)
{
    const struct log_entry *x = *(struct log_entry *const *)a, *y = *(struct log_entry *const *)b;
    return (x->line.time_us > y->line.time_us) - (x->line.time_us < y->line.time_us);
}

/* Equal times keep the order they came in: glibc's qsort is a merge sort only while memory lasts, so not qsort. */
static void sort(struct log_merge *m, struct log_entry **room, size_t start, size_t end)
{
    if (end - start < 2)
        return;
    size_t middle = start + (end - start) / 2, left = start, right = middle;
    sort(m, room, start, middle);
    sort(m, room, middle, end);
    for (size_t i = start; i < end; i++) {
        bool take_left =
            left < middle && (right == end || by_time(&m->entries[left], &m->entries[right]) <= 0);
        room[i] = m->entries[take_left ? left++ : right++];
    }
    memcpy((void *)(m->entries + start), (void *)(room + start),
           (end - start) * sizeof(struct log_entry *));
}

/* Texts of a line without names and addresses, as long as they are shown. */
struct redacted {
    struct buf texts[LOG_ENTRY_FIELDS_MAX + 1];
    struct log_field fields[LOG_ENTRY_FIELDS_MAX];
};

static int redact(struct redactor *r, const char *text, struct buf *b, const char **ret)
{
    buf_clear(b);
    int err = redact_text(r, slice_str(text), b);
    if (err == 0 && (*ret = buf_cstr(b)) == NULL)
        err = ERR_NOMEM;
    return err;
}

static int redact_line(struct redactor *r, struct redacted *room, struct log_line *line)
{
    int err = redact(r, line->message, &room->texts[LOG_ENTRY_FIELDS_MAX], &line->message);
    for (size_t i = 0; err == 0 && i < line->field_count; i++) {
        room->fields[i] = line->fields[i];
        if (line->fields[i].text != NULL)
            err = redact(r, line->fields[i].text, &room->texts[i], &room->fields[i].text);
    }
    line->fields = room->fields;
    return err;
}

static int write_line(const struct log_entry *e, enum log_format format, struct redactor *r,
                      struct redacted *room, struct buf *out)
{
    struct log_line line = e->line;
    uint8_t memory[LOG_LINE_SIZE];
    int err = r != NULL ? redact_line(r, room, &line) : 0;
    return err == 0 ? buf_put(out, log_line_format(&line, format, memory)) : err;
}

int log_merge_write(struct log_merge *m, enum log_format format, struct redactor *r,
                    struct buf *out)
{
    struct redacted *room = NEW(struct redacted);
    struct log_entry **sorted = mem_array(m->count, sizeof(struct log_entry *));
    int err = room == NULL || sorted == NULL ? ERR_NOMEM : 0;
    for (size_t i = 0; err == 0 && i <= LOG_ENTRY_FIELDS_MAX; i++)
        buf_init(&room->texts[i], LOG_LINE_SIZE);
    if (err == 0)
        sort(m, sorted, 0, m->count);
    for (size_t i = 0; err == 0 && i < m->count; i++)
        err = write_line(m->entries[i], format, r, room, out);
    for (size_t i = 0; room != NULL && i <= LOG_ENTRY_FIELDS_MAX; i++)
        buf_release(&room->texts[i]);
    mem_free(room);
    mem_free((void *)sorted);
    return err;
}
