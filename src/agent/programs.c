#include "agent/programs.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"
#include "loop/timer.h"
#include "loop/work.h"

struct known {
    uint64_t inode;
    struct program program;
};

/* One search in the pool; owned by it, so that it may outlive its asker. */
struct search {
    struct programs *owner; /* NULL: nobody waits any more. Touched in the loop only */
    size_t count;
    uint64_t inodes[PROGRAMS_AT_ONCE];
    struct program programs[PROGRAMS_AT_ONCE];
    uint32_t likely[PROGRAMS_LIKELY];
    bool everywhere; /* may; afterwards: did */
    uint64_t took_ns;
};

struct programs {
    struct loop *loop;
    void (*on_found)(void *arg);
    void *arg;
    struct search *running;
    /* The first tried_count of them weren't found in likely places. */
    size_t waiting_count;
    size_t tried_count;
    uint64_t waiting[PROGRAMS_AT_ONCE];
    uint32_t likely[PROGRAMS_LIKELY]; /* pids found last, the latest first; 0: none */
    uint64_t everywhere_ns;           /* all may be looked at from then on */
    struct timer timer;               /* when it has been closed, all of this is freed */
    struct table table;               /* inode → struct known in the ring */
    struct known *ring;               /* PROGRAMS_KEPT */
    size_t next;
};

static void start(struct programs *p);

static void on_timer(void *arg)
{
    start(arg);
}

int programs_new(struct loop *loop, void (*on_found)(void *arg), void *arg, struct programs **ret)
{
    uint8_t secret[16];
    CLEANUP(mem_freep) struct programs *p = NEW(struct programs);
    CLEANUP(mem_freep) struct known *ring = mem_array(PROGRAMS_KEPT, sizeof(*ring));
    if (p == NULL || ring == NULL)
        return ERR_NOMEM;
    int r = timer_init(&p->timer, loop, on_timer, p);
    if (r < 0)
        return r;
    random_bytes(secret, sizeof(secret));
    table_init(&p->table, secret);
    p->ring = STEAL(ring);
    p->loop = loop;
    p->on_found = on_found;
    p->arg = arg;
    *ret = STEAL(p);
    return 0;
}

static void on_closed(void *arg)
{
    mem_free(arg);
}

void programs_free(struct programs *p)
{
    if (p == NULL)
        return;
    if (p->running != NULL)
        p->running->owner = NULL;
    table_release(&p->table);
    mem_free(p->ring);
    timer_close(&p->timer, on_closed);
}

static struct slice inode_key(const uint64_t *inode)
{
    return slice_of(inode, sizeof(*inode));
}

static void remember(struct programs *p, uint64_t inode, const struct program *program)
{
    struct known *k = &p->ring[p->next];
    if (table_get(&p->table, inode_key(&inode)) != NULL)
        return;
    if (k->inode != 0)
        table_remove(&p->table, inode_key(&k->inode));
    k->inode = inode;
    k->program = *program;
    if (table_put(&p->table, inode_key(&k->inode), k) < 0)
        k->inode = 0;
    p->next = (p->next + 1) % PROGRAMS_KEPT;
}

/* To the front; the one that was found longest ago goes. */
static void prefer(struct programs *p, uint32_t pid)
{
    size_t at = 0;
    while (at + 1 < PROGRAMS_LIKELY && p->likely[at] != pid)
        at++;
    memmove(&p->likely[1], &p->likely[0], at * sizeof(p->likely[0]));
    p->likely[0] = pid;
}

static void run(void *arg)
{
    struct search *s = arg;
    size_t likely_count = 0;
    while (likely_count < PROGRAMS_LIKELY && s->likely[likely_count] != 0)
        likely_count++;
    uint64_t began = clock_mono_ns();
    s->everywhere =
        program_find(s->inodes, s->count, s->likely, likely_count, s->everywhere, s->programs);
    s->took_ns = clock_mono_ns() - began;
}

static void take(struct programs *p, const struct search *s)
{
    if (s->everywhere)
        p->everywhere_ns = clock_mono_ns() + PROGRAMS_REST * s->took_ns;
    for (size_t i = 0; i < s->count; i++) {
        bool found = s->programs[i].pid != 0;
        if (found)
            prefer(p, s->programs[i].pid);
        if (found || s->everywhere) {
            remember(p, s->inodes[i], &s->programs[i]);
        } else if (p->waiting_count < PROGRAMS_AT_ONCE) {
            /* In front of those that came meanwhile. */
            p->waiting[p->waiting_count++] = p->waiting[p->tried_count];
            p->waiting[p->tried_count++] = s->inodes[i];
        }
    }
}

static void on_done(void *arg, int err)
{
    CLEANUP(mem_freep) struct search *s = arg;
    struct programs *p = s->owner;
    if (p == NULL)
        return;
    p->running = NULL;
    if (err == 0)
        take(p, s);
    start(p);
    p->on_found(p->arg);
}

static void start(struct programs *p)
{
    uint64_t now = clock_mono_ns();
    bool everywhere = now >= p->everywhere_ns;
    if (p->running != NULL || p->waiting_count == 0)
        return;
    /* Only such as have to be looked for everywhere, and it isn't time. */
    if (!everywhere && p->tried_count == p->waiting_count) {
        timer_start(&p->timer, (p->everywhere_ns - now) / NS_PER_MS + 1);
        return;
    }
    CLEANUP(mem_freep) struct search *s = NEW(struct search);
    if (s == NULL)
        return;
    size_t skip = everywhere ? 0 : p->tried_count;
    s->owner = p;
    s->everywhere = everywhere;
    s->count = p->waiting_count - skip;
    memcpy(s->inodes, p->waiting + skip, s->count * sizeof(s->inodes[0]));
    memcpy(s->likely, p->likely, sizeof(s->likely));
    if (work_start(p->loop, run, on_done, s, NULL) < 0)
        return;
    p->waiting_count = skip;
    p->tried_count = skip;
    p->running = STEAL(s);
}

void programs_ask(struct programs *p, uint64_t inode)
{
    /* Over the cap a program stays unknown: it is for the log only. */
    if (inode == 0 || p->waiting_count == PROGRAMS_AT_ONCE || programs_get(p, inode) != NULL)
        return;
    p->waiting[p->waiting_count++] = inode;
    start(p);
}

const struct program *programs_get(const struct programs *p, uint64_t inode)
{
    const struct known *k = table_get(&p->table, inode_key(&inode));
    return k == NULL ? NULL : &k->program;
}
