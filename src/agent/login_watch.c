#include "agent/login_watch.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"

#define TEXT_SIZE 512

struct known {
    char name[PROFILE_NAME_SIZE];
    char cluster[PROFILE_NAME_SIZE];
    uint64_t stamp;
    bool expired; /* and that was told */
    bool seen;    /* in this look */
};

struct login_watch {
    struct clusters *clusters;
    void (*tell)(void *arg, const char *text);
    void *arg;
    struct timer timer; /* when it has been closed, all of this is freed */
    struct known known[PROFILES_MAX];
    size_t count;
    bool looked; /* the first list isn't news */
};

PRINTF_LIKE(2, 3) static void say(struct login_watch *w, const char *fmt, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    w->tell(w->arg, text);
}

static struct known *find(struct login_watch *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (str_eq(w->known[i].name, name))
            return &w->known[i];
    return NULL;
}

static struct known *add(struct login_watch *w, const struct profile *p)
{
    if (w->count == PROFILES_MAX)
        return NULL;
    struct known *k = &w->known[w->count++];
    *k = (struct known){.stamp = p->stamp};
    (void)str_format(k->name, sizeof(k->name), "%s", p->name);
    (void)str_format(k->cluster, sizeof(k->cluster), "%s", p->cluster.name);
    return k;
}

static void look_at(struct login_watch *w, const struct profile *p)
{
    struct diag d = {0};
    struct known *k = find(w, p->name);
    bool is_new = k == NULL || k->stamp != p->stamp;
    if (k == NULL)
        k = add(w, p);
    if (k == NULL)
        return;
    bool expired = profile_expired(p);
    if (is_new && w->looked && !expired)
        say(w, "Logged in to %s as %s%s", p->cluster.name, p->user, k->expired ? " again" : "");
    if (expired && (!k->expired || is_new)) {
        (void)profile_log_in_again(p, &d);
        say(w, "%s", d.text);
    }
    k->stamp = p->stamp;
    k->expired = expired;
    k->seen = true;
}

static void forget_gone(struct login_watch *w)
{
    for (size_t i = 0; i < w->count;) {
        if (w->known[i].seen) {
            w->known[i++].seen = false;
            continue;
        }
        say(w, "Logged out of %s", w->known[i].cluster);
        w->known[i] = w->known[--w->count];
    }
}

/* Seconds until the next one expires; at most LOGIN_WATCH_S. */
static uint64_t next_s(const struct login_watch *w)
{
    int64_t next = LOGIN_WATCH_S;
    const struct member *m;
    for (size_t i = 0; (m = clusters_at(w->clusters, i)) != NULL; i++)
        if (!profile_expired(m->profile))
            next = MIN(next, profile_usable_s(m->profile));
    return (uint64_t)MAX(next, 1);
}

void login_watch_look(struct login_watch *w)
{
    const struct member *m;
    for (size_t i = 0; (m = clusters_at(w->clusters, i)) != NULL; i++)
        look_at(w, m->profile);
    forget_gone(w);
    w->looked = true;
    timer_start(&w->timer, next_s(w) * 1000);
}

static void on_timer(void *arg)
{
    login_watch_look(arg);
}

int login_watch_new(struct loop *loop, struct clusters *clusters,
                    void (*tell)(void *arg, const char *text), void *arg, struct login_watch **ret)
{
    struct login_watch *w = NEW(struct login_watch);
    int r = w != NULL ? timer_init(&w->timer, loop, on_timer, w) : ERR_NOMEM;
    if (r < 0) {
        mem_free(w);
        return r;
    }
    w->clusters = clusters;
    w->tell = tell;
    w->arg = arg;
    timer_start(&w->timer, 0);
    *ret = w;
    return 0;
}

static void on_closed(void *arg)
{
    mem_free(arg);
}

void login_watch_free(struct login_watch *w)
{
    if (w != NULL)
        timer_close(&w->timer, on_closed);
}
