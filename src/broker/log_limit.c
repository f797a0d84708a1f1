#include "broker/log_limit.h"

#include "broker/user_log.h"

static void tell_left_out(const struct log_limit *l)
{
    for (size_t i = 0; i < l->user_count; i++)
        if (l->users[i].left_out > 0)
            user_log(LOG_WARN, l->users[i].uid,
                     "%llu more connections or requests of uid %u were refused within a minute",
                     (unsigned long long)l->users[i].left_out, (unsigned)l->users[i].uid);
    if (l->others.left_out > 0)
        log_warn("%llu more connections or requests of other users were refused within a minute",
                 (unsigned long long)l->others.left_out);
}

static void on_window_end(void *arg)
{
    struct log_limit *l = arg;
    tell_left_out(l);
    l->user_count = 0;
    l->others = (struct log_limit_count){0};
}

void log_limit_init(struct log_limit *l, struct loop *loop, uint64_t window_ms)
{
    *l = (struct log_limit){.window_ms = window_ms};
    (void)timer_init(&l->timer, loop, on_window_end, l);
}

void log_limit_close(struct log_limit *l, void (*closed)(void *arg), void *arg)
{
    on_window_end(l);
    l->timer.arg = arg;
    timer_close(&l->timer, closed);
}

static struct log_limit_count *count_of(struct log_limit *l, uint32_t uid)
{
    for (size_t i = 0; i < l->user_count; i++)
        if (l->users[i].uid == uid)
            return &l->users[i];
    if (l->user_count == LOG_LIMIT_USERS)
        return &l->others;
    l->users[l->user_count] = (struct log_limit_count){.uid = uid};
    return &l->users[l->user_count++];
}

bool log_limit_allows(struct log_limit *l, uint32_t uid)
{
    struct log_limit_count *count = count_of(l, uid);
    if (!timer_active(&l->timer))
        timer_start(&l->timer, l->window_ms);
    bool allowed = count->lines < LOG_LIMIT_LINES;
    if (allowed)
        count->lines++;
    else
        count->left_out++;
    return allowed;
}
