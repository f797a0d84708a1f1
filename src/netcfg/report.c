#include "netcfg/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

void netcfg_report_init(struct netcfg_report *r)
{
    r->count = 0;
    r->total = 0;
}

static struct netcfg_line *next_line(struct netcfg_report *r)
{
    if (r == NULL)
        return NULL;
    r->total++;
    if (r->count == NETCFG_LINES_MAX)
        return NULL;
    struct netcfg_line *line = &r->lines[r->count++];
    *line = (struct netcfg_line){0};
    return line;
}

static const struct words {
    const char *before, *after; /* of the object */
} words[] = {
    [NETCFG_APPLIED] = {"Set the ", ""},
    [NETCFG_UNDONE] = {"Removed the ", ""},
    [NETCFG_GONE] = {"Already gone: the ", ""},
    [NETCFG_LEFT] = {"Left alone: the ", ", changed by someone else"},
    [NETCFG_FAILED] = {"Failed on the ", ""},
    [NETCFG_REPAIRED] = {"Repaired the ", ""},
    [NETCFG_WAITS] = {"The ",
                      " wait until another session ends: the way this host resolves names has "
                      "room for one session only"},
};

struct netcfg_line *netcfg_report_object(struct netcfg_report *r, enum netcfg_what what,
                                         uint32_t session, const struct object *o, const char *why)
{
    struct netcfg_line *line = next_line(r);
    char text[OBJECT_TEXT_SIZE];
    if (line == NULL || (size_t)what >= ARRAY_LEN(words))
        return NULL;
    line->what = what;
    line->kind = o->kind;
    line->session = session;
    memcpy(line->link, o->link, sizeof(line->link));
    object_text(o, text);
    (void)str_format(line->text, sizeof(line->text), "%s%s%s%s%s", words[what].before, text,
                     words[what].after, why == NULL ? "" : ": ", why == NULL ? "" : why);
    return line;
}

void netcfg_report_note(struct netcfg_report *r, const char *fmt, ...)
{
    struct netcfg_line *line = next_line(r);
    va_list args;
    if (line == NULL)
        return;
    line->what = NETCFG_NOTE;
    va_start(args, fmt);
    (void)vsnprintf(line->text, sizeof(line->text), fmt, args);
    va_end(args);
}

size_t netcfg_report_of(const struct netcfg_report *r, enum netcfg_what what)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->lines[i].what == what;
    return n;
}
