#include "netcfg/state.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"

void state_init(struct state *s)
{
    uint8_t secret[16];
    *s = (struct state){0};
    random_bytes(secret, sizeof(secret));
    table_init(&s->by_key, secret);
}

void state_release(struct state *s)
{
    table_release(&s->by_key);
    mem_free(s->items);
    state_init(s);
}

static struct slice key_slice(const struct object_key *key)
{
    return slice_of(key->bytes, key->len);
}

/* The table points into the array: when that moves, all is entered anew. */
static int move_to(struct state *s, struct state_item *items, size_t size)
{
    struct table fresh = {.secret = {s->by_key.secret[0], s->by_key.secret[1]}};
    for (size_t i = 0; i < s->count; i++) {
        items[i] = s->items[i];
        if (table_put(&fresh, key_slice(&items[i].key), &items[i]) < 0) {
            table_release(&fresh);
            return ERR_NOMEM;
        }
    }
    table_release(&s->by_key);
    mem_free(s->items);
    s->by_key = fresh;
    s->items = items;
    s->size = size;
    return 0;
}

static int grow(struct state *s)
{
    size_t size = s->size == 0 ? 16 : s->size * 2;
    struct state_item *items = mem_array(size, sizeof(*items));
    int r = items == NULL ? ERR_NOMEM : move_to(s, items, size);
    if (r < 0)
        mem_free(items);
    return r;
}

int state_add(struct state *s, const struct object *o, uint32_t session, void *tag)
{
    struct state_item item = {.object = o, .session = session, .tag = tag};
    object_key(o, &item.key);
    if (table_get(&s->by_key, key_slice(&item.key)) != NULL)
        return ERR_EXISTS;
    if (s->count == s->size && grow(s) < 0)
        return ERR_NOMEM;
    struct state_item *slot = &s->items[s->count];
    *slot = item;
    int r = table_put(&s->by_key, key_slice(&slot->key), slot);
    if (r == 0)
        s->count++;
    return r;
}

const struct state_item *state_get(const struct state *s, const struct object *o)
{
    struct object_key key;
    object_key(o, &key);
    return table_get(&s->by_key, key_slice(&key));
}

static int conflict(const struct state_item *item, const struct object *o, struct diag *d)
{
    char text[OBJECT_TEXT_SIZE];
    object_text(o, text);
    return diag_set(d, ERR_EXISTS, 0,
                    "The %s is in use by another session (number %u) with other settings: end that "
                    "session, or use another range",
                    text, item->session);
}

static int merge_one(struct state *s, const struct object *o, uint32_t session, struct diag *d)
{
    int r = state_add(s, o, session, NULL);
    if (r == ERR_NOMEM)
        return diag_set(d, ERR_NOMEM, 0, "Failed to merge the sessions' plans: out of memory");
    if (r == 0)
        return 0;
    const struct state_item *item = state_get(s, o);
    return item == NULL || object_eq(item->object, o) ? 0 : conflict(item, o, d);
}

int state_merge(const struct state_source *sources, size_t count,
                const bool exclusive[OBJECT_KIND_COUNT], struct state *ret_s, struct diag *d)
{
    uint32_t owner[OBJECT_KIND_COUNT] = {0}; /* of each exclusive kind, 0: nobody yet */
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        for (size_t j = 0; j < sources[i].plan->count && r == 0; j++) {
            const struct object *o = &sources[i].plan->objects[j];
            if (exclusive[o->kind] && owner[o->kind] != 0)
                continue;
            owner[o->kind] = sources[i].session;
            r = merge_one(ret_s, o, sources[i].session, d);
        }
    }
    if (r < 0)
        state_release(ret_s);
    return r;
}

void steps_release(struct steps *s)
{
    mem_free(s->list);
    *s = (struct steps){0};
}

static void put_step(struct steps *s, enum step_verb verb, const struct state_item *from,
                     const struct state_item *to)
{
    s->list[s->count++] = (struct step){.verb = verb, .from = from, .to = to};
}

static void forward_steps(const struct state *from, const struct state *to, enum object_kind kind,
                          bool (*again)(const struct state_item *from), struct steps *s)
{
    for (size_t i = 0; i < to->count; i++) {
        const struct state_item *want = &to->items[i];
        if (want->object->kind != kind)
            continue;
        const struct state_item *have = table_get(&from->by_key, key_slice(&want->key));
        if (have == NULL)
            put_step(s, STEP_ADD, NULL, want);
        else if (!object_eq(have->object, want->object) || (again != NULL && again(have)))
            put_step(s, STEP_CHANGE, have, want);
    }
}

static void backward_steps(const struct state *from, const struct state *to, enum object_kind kind,
                           struct steps *s)
{
    for (size_t i = from->count; i-- > 0;) {
        const struct state_item *have = &from->items[i];
        if (have->object->kind == kind && table_get(&to->by_key, key_slice(&have->key)) == NULL)
            put_step(s, STEP_REMOVE, have, NULL);
    }
}

int state_diff(const struct state *from, const struct state *to,
               bool (*again)(const struct state_item *from), struct steps *ret_steps)
{
    struct steps s = {.list = mem_array(from->count + to->count, sizeof(*s.list))};
    if (s.list == NULL)
        return ERR_NOMEM;
    for (int kind = 1; kind < OBJECT_KIND_COUNT; kind++)
        forward_steps(from, to, (enum object_kind)kind, again, &s);
    s.forward = s.count;
    for (int kind = OBJECT_KIND_COUNT - 1; kind > 0; kind--)
        backward_steps(from, to, (enum object_kind)kind, &s);
    *ret_steps = s;
    return 0;
}
