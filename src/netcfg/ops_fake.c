#include "netcfg/ops_fake.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct thing {
    struct object_key key;
    struct object object; /* owned */
    bool ours;            /* of addresses and routes: the tag */
};

static bool is_setting(const struct object *o)
{
    return o->kind == OBJECT_LINK || o->kind == OBJECT_DNS;
}

static struct slice key_slice(const struct object_key *key)
{
    return slice_of(key->bytes, key->len);
}

static struct thing *find(const struct fake_os *f, const struct object *o)
{
    struct object_key key;
    object_key(o, &key);
    return table_get(&f->things, key_slice(&key));
}

static void thing_free(struct thing *t)
{
    object_release(&t->object);
    mem_free(t);
}

static void take_out(struct fake_os *f, struct thing *t)
{
    (void)table_remove(&f->things, key_slice(&t->key));
    thing_free(t);
}

static int put(struct fake_os *f, const struct object *o, bool ours)
{
    struct thing *t = find(f, o), *fresh = NEW(struct thing);
    if (fresh == NULL || object_copy(o, &fresh->object) < 0) {
        mem_free(fresh);
        return ERR_NOMEM;
    }
    fresh->ours = ours;
    object_key(o, &fresh->key);
    if (t != NULL)
        take_out(f, t);
    int r = table_put(&f->things, key_slice(&fresh->key), fresh);
    if (r < 0)
        thing_free(fresh);
    return r;
}

/* ---- what netcfg calls ---- */

static enum fuse_action step(struct fake_os *f)
{
    return f->fuse == NULL ? FUSE_GO : fuse_step(f->fuse);
}

static int broken(struct diag *d)
{
    return diag_set(d, ERR_IO, 0, "The operation failed");
}

/* Whether what is there is ours and as we want it. */
static bool is_ours(const struct thing *t, const struct object *o)
{
    return t != NULL && object_eq(&t->object, o) && (is_setting(o) || t->ours);
}

/* Undo bytes: the object that was there before, or nothing. */
static bool is_before(const struct thing *t, struct slice undo)
{
    CLEANUP(object_release) struct object before = {0};
    if (undo.len == 0)
        return t == NULL;
    return t != NULL && object_decode(undo, &before) == 0 && object_eq(&t->object, &before);
}

static int fake_capture(void *os, const struct object *o, struct buf *undo, struct diag *d)
{
    struct fake_os *f = os;
    const struct thing *t = find(f, o);
    char text[OBJECT_TEXT_SIZE];
    f->looks++;
    if (step(f) != FUSE_GO)
        return broken(d);
    if (t == NULL)
        return 0;
    if (is_setting(o))
        return object_encode(&t->object, undo);
    if (t->ours)
        return 0; /* an earlier process's: not the host's */
    object_text(o, text);
    return diag_set(d, ERR_EXISTS, 0, "The host has another %s", text);
}

static int fake_apply(void *os, const struct object *o, const struct object *old, struct diag *d)
{
    struct fake_os *f = os;
    const struct thing *t = find(f, o);
    (void)old;
    f->operations++;
    enum fuse_action a = step(f);
    bool refused = f->refused[o->kind] > 0;
    if (refused)
        f->refused[o->kind]--;
    if (refused || (t != NULL && !is_setting(o) && !t->ours))
        return broken(d);
    if (fuse_happens(a) && put(f, o, !is_setting(o)) < 0)
        return diag_set(d, ERR_NOMEM, 0, "out of memory");
    return a == FUSE_GO ? 0 : broken(d);
}

static int fake_verify(void *os, const struct object *o, struct slice undo,
                       enum object_presence *ret_presence, struct diag *d)
{
    struct fake_os *f = os;
    const struct thing *t = find(f, o);
    f->looks++;
    if (step(f) != FUSE_GO)
        return broken(d);
    if (is_ours(t, o))
        *ret_presence = OBJECT_PRESENT;
    else if (t == NULL || is_before(t, undo))
        *ret_presence = OBJECT_MISSING;
    else
        *ret_presence = OBJECT_FOREIGN;
    return 0;
}

static int bring_back(struct fake_os *f, struct thing *t, struct slice undo)
{
    CLEANUP(object_release) struct object before = {0};
    if (undo.len == 0) {
        take_out(f, t);
        return 0;
    }
    int r = object_decode(undo, &before);
    return r < 0 ? r : put(f, &before, false);
}

static int fake_undo(void *os, const struct object *o, struct slice undo,
                     enum object_undone *ret_undone, struct diag *d)
{
    struct fake_os *f = os;
    struct thing *t = find(f, o);
    f->operations++;
    enum fuse_action a = step(f);
    bool ours = is_ours(t, o), before = is_before(t, undo);
    if (fuse_happens(a) && ours && !before && bring_back(f, t, undo) < 0)
        return diag_set(d, ERR_NOMEM, 0, "out of memory");
    if (a != FUSE_GO)
        return broken(d);
    if (before || t == NULL)
        *ret_undone = OBJECT_GONE;
    else
        *ret_undone = ours ? OBJECT_UNDONE : OBJECT_LEFT;
    return 0;
}

void fake_os_init(struct fake_os *f, struct fuse *fuse)
{
    static const uint8_t secret[16];
    *f = (struct fake_os){.fuse = fuse, .ops.os = f};
    table_init(&f->things, secret);
    for (int k = 1; k < OBJECT_KIND_COUNT; k++) {
        f->kinds[k] = (struct object_ops){
            .persistent = k == OBJECT_DNS,
            .capture = fake_capture,
            .apply = fake_apply,
            .verify = fake_verify,
            .undo = fake_undo,
        };
        f->ops.kinds[k] = &f->kinds[k];
    }
}

/* ---- what the host does by itself ---- */

static void remove_where(struct fake_os *f,
                         bool (*goes)(const struct fake_os *f, const struct thing *t,
                                      const char *link),
                         const char *link)
{
    struct thing *t;
    size_t i = 0;
    while ((t = table_next(&f->things, &i)) != NULL) {
        if (!goes(f, t, link))
            continue;
        take_out(f, t);
        i = 0; /* the table has moved */
    }
}

static bool goes_at_reboot(const struct fake_os *f, const struct thing *t, const char *link)
{
    (void)link;
    return !f->kinds[t->object.kind].persistent;
}

static bool goes_with_link(const struct fake_os *f, const struct thing *t, const char *link)
{
    return goes_at_reboot(f, t, link) && str_eq(t->object.link, link);
}

void fake_os_release(struct fake_os *f)
{
    struct thing *t;
    for (size_t i = 0; (t = table_next(&f->things, &i)) != NULL;)
        thing_free(t);
    table_release(&f->things);
}

void fake_os_reboot(struct fake_os *f)
{
    remove_where(f, goes_at_reboot, NULL);
}

void fake_os_remove_link(struct fake_os *f, const char *link)
{
    remove_where(f, goes_with_link, link);
}

int fake_os_set(struct fake_os *f, const struct object *o)
{
    return put(f, o, false);
}

void fake_os_remove(struct fake_os *f, const struct object *o)
{
    struct thing *t = find(f, o);
    if (t != NULL)
        take_out(f, t);
}

static int compare(const void *a, const void *b)
{
    const struct thing *const *x = a, *const *y = b;
    size_t len = MIN((*x)->key.len, (*y)->key.len);
    int r = memcmp((*x)->key.bytes, (*y)->key.bytes, len);
    return r != 0 ? r : ((*x)->key.len > len) - ((*y)->key.len > len);
}

static int put_line(const struct thing *t, struct buf *out)
{
    CLEANUP(buf_release) struct buf bytes;
    buf_init(&bytes, OBJECT_BYTES_MAX);
    char text[OBJECT_TEXT_SIZE];
    object_text(&t->object, text);
    int r = object_encode(&t->object, &bytes);
    if (r == 0)
        r = buf_printf(out, "%s%s ", text, t->ours ? " (ours)" : "");
    struct slice s = buf_slice(&bytes);
    for (size_t i = 0; i < s.len && r == 0; i++)
        r = buf_printf(out, "%02x", s.data[i]);
    return r == 0 ? buf_put_str(out, "\n") : r;
}

int fake_os_snapshot(const struct fake_os *f, struct buf *ret_text)
{
    const struct thing *t;
    CLEANUP(mem_freep) const struct thing **all = mem_array(f->things.count + 1, sizeof(*all));
    size_t count = 0;
    int r = all == NULL ? ERR_NOMEM : 0;
    for (size_t i = 0; r == 0 && (t = table_next(&f->things, &i)) != NULL;)
        all[count++] = t;
    if (r == 0)
        qsort(all, count, sizeof(*all), compare);
    for (size_t i = 0; i < count && r == 0; i++)
        r = put_line(all[i], ret_text);
    return r;
}
