/* What a transaction did, line by line, for people and logs. Plain memory. */
#ifndef STILE_NETCFG_REPORT_H
#define STILE_NETCFG_REPORT_H

#include "netcfg/object.h"

enum netcfg_what {
    NETCFG_APPLIED = 1,
    NETCFG_UNDONE,   /* taken back */
    NETCFG_GONE,     /* was to be taken back, and wasn't there any more */
    NETCFG_LEFT,     /* someone else's now: left alone */
    NETCFG_FAILED,   /* the text says why */
    NETCFG_REPAIRED, /* was missing, and is back */
    NETCFG_NOTE,     /* about no single object: the journal */
    NETCFG_WAITS,    /* of an exclusive kind: for another session's end */
};

#define NETCFG_LINES_MAX 64
#define NETCFG_LINE_SIZE 256

struct netcfg_line {
    enum netcfg_what what;
    enum object_kind kind;            /* 0 for NOTE */
    uint32_t session;                 /* whose it is or was; 0 none */
    char link[OBJECT_LINK_NAME_SIZE]; /* empty for NOTE */
    int64_t since_s;             /* of a leftover: when it was applied, Unix time; 0 not known */
    char text[NETCFG_LINE_SIZE]; /* "Removed the route 100.64.0.0/10 on stile0" */
};

struct netcfg_report {
    struct netcfg_line lines[NETCFG_LINES_MAX];
    size_t count; /* of lines */
    size_t total; /* what was to be told; more than count if it didn't fit */
};

void netcfg_report_init(struct netcfg_report *r);
/* r may be NULL. `why` is NULL, or what is put after the line. Returns the line, NULL if there was no room. */
struct netcfg_line *netcfg_report_object(struct netcfg_report *r, enum netcfg_what what,
                                         uint32_t session, const struct object *o, const char *why);
PRINTF_LIKE(2, 3) void netcfg_report_note(struct netcfg_report *r, const char *fmt, ...);
size_t netcfg_report_of(const struct netcfg_report *r, enum netcfg_what what); /* lines of it */

#endif
