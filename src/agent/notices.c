#include "agent/notices.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

static void show(const char *text)
{
    /* In a log that is kept it is a line like others; to a person it needs no date. */
    if (log_format() != LOG_TEXT || log_written(LOG_DEBUG)) {
        log_warn("%s", text);
        return;
    }
    fprintf(stderr, "stile: %s\n", text);
    log_only_keep(LOG_WARN, "%s", text);
}

static bool told_lately(const struct notices *n, const char *text, uint64_t now)
{
    for (size_t i = 0; i < NOTICES_KEPT; i++)
        if (n->told[i].told_ns != 0 && now - n->told[i].told_ns < NOTICE_REPEAT_S * NS_PER_S &&
            str_eq(n->told[i].text, text))
            return true;
    return false;
}

void notices_tell(struct notices *n, const char *fmt, ...)
{
    struct notice *slot = &n->told[n->next];
    char text[NOTICE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    /* Parts may come from a gateway: nothing that steers a terminal. */
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    uint64_t now = clock_mono_ns();
    if (told_lately(n, text, now))
        return;
    slot->told_ns = now;
    (void)str_format(slot->text, sizeof(slot->text), "%s", text);
    n->next = (n->next + 1) % NOTICES_KEPT;
    if (n->show != NULL)
        n->show(n->arg, text);
    else
        show(text);
}

void notices_forget(struct notices *n)
{
    memset(n->told, 0, sizeof(n->told));
}
