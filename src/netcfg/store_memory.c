#include "netcfg/store_memory.h"

#include "base/mem.h"

struct handle {
    struct store store;
    struct store_memory *memory;
};

static struct store_memory *of(struct store *s)
{
    return CONTAINER_OF(s, struct handle, store)->memory;
}

void store_memory_init(struct store_memory *m, struct fuse *fuse)
{
    *m = (struct store_memory){.fuse = fuse};
    buf_init(&m->file, STORE_SIZE_MAX);
    buf_init(&m->damaged, STORE_SIZE_MAX);
}

void store_memory_release(struct store_memory *m)
{
    buf_release(&m->file);
    buf_release(&m->damaged);
}

static int no_room(struct diag *d)
{
    return diag_set(d, ERR_IO, 0, "Failed to write the journal: No space left on device");
}

static int read_file(struct store *s, struct buf *ret_bytes, struct diag *d)
{
    int r = buf_put(ret_bytes, buf_slice(&of(s)->file));
    return r == 0 ? 0 : diag_set(d, r, 0, "Failed to read the journal: %s", err_text(r));
}

/* ---- each write: may it happen, and then ---- */

static enum fuse_action begin(struct store_memory *m)
{
    enum fuse_action a = m->fuse == NULL ? FUSE_GO : fuse_step(m->fuse);
    m->writes += fuse_happens(a);
    return a;
}

static int end(enum fuse_action a, struct diag *d)
{
    return a == FUSE_GO ? 0 : no_room(d);
}

static int refuse_read_only(const struct store_memory *m, struct diag *d)
{
    return m->read_only
               ? diag_set(d, ERR_IO, 0, "Failed to write the journal: Read-only file system")
               : 0;
}

static int append(struct store *s, struct slice bytes, struct diag *d)
{
    struct store_memory *m = of(s);
    if (refuse_read_only(m, d) < 0)
        return ERR_IO;
    enum fuse_action a = begin(m);
    if (a == FUSE_KILL_WITHIN) {
        m->fuse->write_len = bytes.len;
        bytes = slice_first(bytes, m->fuse->part);
    }
    if (m->full)
        bytes = slice_first(bytes, bytes.len / 2);
    if (fuse_happens(a) && buf_put(&m->file, bytes) < 0)
        return no_room(d);
    return m->full ? no_room(d) : end(a, d);
}

static int cut(struct store *s, uint64_t size, struct diag *d)
{
    struct store_memory *m = of(s);
    if (refuse_read_only(m, d) < 0)
        return ERR_IO;
    enum fuse_action a = begin(m);
    size_t len = buf_len(&m->file);
    if (fuse_happens(a) && size < len)
        m->file.end -= len - (size_t)size;
    return end(a, d);
}

static int replace(struct store *s, struct slice whole, struct diag *d)
{
    struct store_memory *m = of(s);
    if (refuse_read_only(m, d) < 0)
        return ERR_IO;
    enum fuse_action a = begin(m);
    if (m->full)
        return no_room(d);
    /* What is killed within leaves the old file: a new one takes its place in one step. */
    if (fuse_happens(a) && a != FUSE_KILL_WITHIN) {
        struct buf fresh;
        buf_init(&fresh, STORE_SIZE_MAX);
        if (buf_put(&fresh, whole) < 0)
            return no_room(d);
        buf_release(&m->file);
        m->file = fresh;
    }
    return end(a, d);
}

static int keep_damaged(struct store *s, struct diag *d)
{
    struct store_memory *m = of(s);
    if (refuse_read_only(m, d) < 0)
        return ERR_IO;
    enum fuse_action a = begin(m);
    if (fuse_happens(a)) {
        buf_clear(&m->damaged);
        if (buf_put(&m->damaged, buf_slice(&m->file)) < 0)
            return no_room(d);
    }
    return end(a, d);
}

static void close_handle(struct store *s)
{
    of(s)->locked = false;
    mem_free(CONTAINER_OF(s, struct handle, store));
}

int store_memory_open(struct store_memory *m, struct store **ret_s, struct diag *d)
{
    static const struct store_ops ops = {
        .read = read_file,
        .append = append,
        .truncate = cut,
        .replace = replace,
        .keep_damaged = keep_damaged,
        .close = close_handle,
    };
    if (m->locked)
        return diag_set(d, ERR_BUSY, 0, "Another one has the journal open");
    struct handle *h = NEW(struct handle);
    if (h == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the journal: out of memory");
    *h = (struct handle){.store.ops = &ops, .memory = m};
    m->locked = true;
    *ret_s = &h->store;
    return 0;
}
