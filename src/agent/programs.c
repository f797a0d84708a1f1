#include "agent/programs.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"
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
};

struct programs {
    struct loop *loop;
    void (*on_found)(void *arg);
    void *arg;
    struct search *running;
    size_t waiting_count;
    uint64_t waiting[PROGRAMS_AT_ONCE];
    struct table table; /* inode → struct known in the ring */
    struct known *ring; /* PROGRAMS_KEPT */
    size_t next;
};

int programs_new(struct loop *loop, void (*on_found)(void *arg), void *arg, struct programs **ret)
{
    uint8_t secret[16];
    CLEANUP(mem_freep) struct programs *p = NEW(struct programs);
    if (p == NULL)
        return ERR_NOMEM;
    p->ring = mem_array(PROGRAMS_KEPT, sizeof(*p->ring));
    if (p->ring == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&p->table, secret);
    p->loop = loop;
    p->on_found = on_found;
    p->arg = arg;
    *ret = STEAL(p);
    return 0;
}

void programs_free(struct programs *p)
{
    if (p == NULL)
        return;
    if (p->running != NULL)
        p->running->owner = NULL;
    table_release(&p->table);
    mem_free(p->ring);
    mem_free(p);
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

static void run(void *arg)
{
    struct search *s = arg;
    program_find(s->inodes, s->count, s->programs);
}

static void start(struct programs *p);

static void on_done(void *arg, int err)
{
    CLEANUP(mem_freep) struct search *s = arg;
    struct programs *p = s->owner;
    if (p == NULL)
        return;
    p->running = NULL;
    for (size_t i = 0; err == 0 && i < s->count; i++)
        remember(p, s->inodes[i], &s->programs[i]);
    start(p);
    p->on_found(p->arg);
}

static void start(struct programs *p)
{
    if (p->running != NULL || p->waiting_count == 0)
        return;
    CLEANUP(mem_freep) struct search *s = NEW(struct search);
    if (s == NULL)
        return;
    s->owner = p;
    s->count = p->waiting_count;
    memcpy(s->inodes, p->waiting, s->count * sizeof(s->inodes[0]));
    if (work_start(p->loop, run, on_done, s, NULL) < 0)
        return;
    p->waiting_count = 0;
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
