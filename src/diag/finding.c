#include "diag/finding.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

void findings_init(struct findings *f)
{
    *f = (struct findings){.items = NULL};
}

void findings_release(struct findings *f)
{
    mem_free(f->items);
    findings_init(f);
}

static struct finding *next_slot(struct findings *f)
{
    if (f->count == FINDINGS_MAX)
        return &f->lost;
    if (f->count == f->size) {
        size_t size = f->size == 0 ? 16 : f->size * 2;
        struct finding *items = mem_resize(f->items, size, sizeof(*items));
        if (items == NULL)
            return &f->lost;
        f->items = items;
        f->size = size;
    }
    return &f->items[f->count++];
}

struct finding *findings_add(struct findings *f, enum severity severity, const char *id,
                             const char *subject)
{
    struct finding *slot = next_slot(f);
    *slot = (struct finding){.severity = severity};
    (void)str_format(slot->id, sizeof(slot->id), "%s", id);
    (void)str_format(slot->subject, sizeof(slot->subject), "%s", subject != NULL ? subject : "");
    return slot;
}

/* What a terminal or a log would take for more than text is shown as '?'. */
static void make_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    if (str_is_utf8(slice_str(text)))
        return;
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}

PRINTF_LIKE(3, 0) static void write_text(char *dst, size_t size, const char *fmt, va_list args)
{
    if (vsnprintf(dst, size, fmt, args) < 0)
        dst[0] = '\0';
    make_printable(dst);
}

void finding_title(struct finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_text(f->title, sizeof(f->title), fmt, args);
    va_end(args);
}

void finding_detail(struct finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_text(f->detail, sizeof(f->detail), fmt, args);
    va_end(args);
}

void finding_remedy(struct finding *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_text(f->remedy, sizeof(f->remedy), fmt, args);
    va_end(args);
}

bool finding_same(const struct finding *a, const struct finding *b)
{
    return str_eq(a->id, b->id) && str_eq(a->subject, b->subject);
}

enum severity findings_worst(const struct findings *f)
{
    enum severity worst = SEVERITY_OK;
    for (size_t i = 0; i < f->count; i++)
        worst = MAX(worst, f->items[i].severity);
    return worst;
}

size_t findings_count(const struct findings *f, enum severity severity)
{
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        count += f->items[i].severity == severity;
    return count;
}

const char *severity_name(enum severity s)
{
    switch (s) {
    case SEVERITY_OK:
        return "ok";
    case SEVERITY_NOTICE:
        return "notice";
    case SEVERITY_PROBLEM:
        break;
    }
    return "problem";
}
