#include "netcfg/dns_file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/bus.h"
#include "netcfg/file_watch.h"
#include "netcfg/host_resolvers.h"
#include "netcfg/object.h"
#include "netcfg/resolv_file.h"

struct dns_file {
    struct dns_backend base;
    char path[PATH_MAX];

    bool known; /* before is what was there before ours: of the last capture or verify */
    struct resolv_state before;

    bool applied; /* by this process */
    struct object ours;

    struct file_watch *watch;
    dns_changed_fn *changed;
    void *changed_arg;
    struct resolvers last; /* the upstreams that changed() was last told of */
};

static struct dns_file *self(struct dns_backend *b)
{
    return CONTAINER_OF(b, struct dns_file, base);
}

static void forget_before(struct dns_file *f)
{
    resolv_state_release(&f->before);
    resolv_state_init(&f->before);
    f->known = false;
}

static void learn_before(struct dns_file *f, struct resolv_state *take)
{
    forget_before(f);
    f->before = *take;
    f->known = true;
    resolv_state_init(take);
}

/* Our object without its zones: all questions come anyway. */
static void remember_ours(struct dns_file *f, const struct object *o)
{
    f->ours = *o;
    f->ours.dns.zones = NULL;
    f->ours.dns.zone_count = 0;
    f->applied = true;
}

/* What programs read where the state is. */
static int text_of(const struct dns_file *f, const struct resolv_state *s, struct buf *out)
{
    char target[PATH_MAX];
    if (s->kind == RESOLV_FILE)
        return buf_put(out, buf_slice(&s->bytes));
    if (s->kind != RESOLV_LINK || resolv_file_target(f->path, s, target, sizeof(target)) < 0)
        return 0;
    return resolv_file_follow(target, out);
}

static int wanted_text(const struct dns_file *f, const struct object *o, struct buf *out)
{
    CLEANUP(buf_release) struct buf before;
    buf_init(&before, RESOLV_CONF_CAP);
    int err = text_of(f, &f->before, &before);
    return err < 0 ? err : resolv_text_make(&o->dns, buf_slice(&before), out);
}

static bool is_intact(const struct resolv_state *s)
{
    return s->kind == RESOLV_FILE && resolv_text_is_ours(buf_slice(&s->bytes));
}

static bool has_ours(const struct resolv_state *s, const struct object *o)
{
    return s->kind == RESOLV_FILE && resolv_text_has_ours(buf_slice(&s->bytes), &o->dns);
}

/* The state with our lines taken out of its text. */
static int strip(struct resolv_state *s, const struct object *o)
{
    struct buf rest;
    buf_init(&rest, RESOLV_TEXT_MAX);
    int err = resolv_text_without_ours(buf_slice(&s->bytes), &o->dns, &rest);
    if (err < 0) {
        buf_release(&rest);
        return err;
    }
    buf_release(&s->bytes);
    s->bytes = rest;
    return 0;
}

/* What is to come back one day, as the file is now. */
static int look_before(struct dns_file *f, const struct object *o, struct diag *d)
{
    CLEANUP(resolv_state_release) struct resolv_state now;
    int err = resolv_file_read(f->path, &now, d);
    if (err < 0) {
        resolv_state_init(&now);
        return err;
    }
    if (is_intact(&now) && f->known)
        return 0;
    /* Ours without a journal that knows of it, or someone's edit of ours. */
    if (has_ours(&now, o))
        err = strip(&now, o);
    if (err == 0 && buf_len(&now.bytes) > RESOLV_BEFORE_MAX)
        err = ERR_TOOBIG;
    if (err < 0)
        return diag_set(d, err, 0, "%s is too large to be kept: stile leaves it alone", f->path);
    learn_before(f, &now);
    return 0;
}

static bool resolved_runs(void)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    char owner[BUS_OWNER_SIZE];
    return bus_open(&bus, NULL) == 0 &&
           bus_owner(bus, "org.freedesktop.resolve1", owner, NULL) == 0;
}

/* systemd-resolved takes the servers of a resolv.conf that isn't its own for everybody's, and forgets them no more once the link
 * to its own is back: they would be asked when we are gone. */
static int refuse_resolveds(const struct dns_file *f, struct diag *d)
{
    char target[PATH_MAX], real[PATH_MAX];
    if (f->before.kind != RESOLV_LINK ||
        resolv_file_target(f->path, &f->before, target, sizeof(target)) < 0 ||
        realpath(target, real) == NULL || !str_starts(real, "/run/systemd/resolve/") ||
        !resolved_runs())
        return 0;
    return diag_set(d, ERR_UNSUPPORTED, 0,
                    "systemd-resolved runs on this host and has %s: choose dns: resolved, or auto",
                    f->path);
}

static int file_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d)
{
    struct dns_file *f = self(b);
    int err = look_before(f, o, d);
    if (err == 0)
        err = refuse_resolveds(f, d);
    if (err < 0)
        return err;
    err = resolv_state_encode(&f->before, undo);
    return err < 0
               ? diag_set(d, err, 0, "Failed to keep what %s is now: %s", f->path, err_text(err))
               : 0;
}

static void rearm(struct dns_file *f)
{
    char target[PATH_MAX];
    if (f->watch == NULL)
        return;
    file_watch_clear(f->watch);
    (void)file_watch_add(f->watch, f->path);
    (void)file_watch_add(f->watch, HOST_RESOLVERS_UPLINK);
    if (f->known && f->before.kind == RESOLV_LINK &&
        resolv_file_target(f->path, &f->before, target, sizeof(target)) == 0)
        (void)file_watch_add(f->watch, target);
}

/* What may be written over: what capture saw, ours (of whatever plan), or a write of ours that was cut. */
static bool may_replace(const struct dns_file *f, const struct resolv_state *now,
                        const struct object *o, struct slice wanted)
{
    return resolv_state_eq(now, &f->before) || is_intact(now) || has_ours(now, o) ||
           (now->kind == RESOLV_FILE && f->before.kind == RESOLV_FILE &&
            resolv_text_is_torn(buf_slice(&now->bytes), buf_slice(&f->before.bytes), wanted));
}

static int put_wanted(struct dns_file *f, const struct object *o, struct slice wanted,
                      struct diag *d)
{
    CLEANUP(resolv_state_release) struct resolv_state now;
    int err = resolv_file_read(f->path, &now, d);
    if (err < 0) {
        resolv_state_init(&now);
        return err;
    }
    if (now.kind == RESOLV_FILE && slice_eq(buf_slice(&now.bytes), wanted))
        return 0;
    if (!may_replace(f, &now, o, wanted))
        return diag_set(d, ERR_BUSY, 0,
                        "Someone else has changed %s at this very moment: try again", f->path);
    return resolv_file_write_text(f->path, &f->before, wanted, d);
}

static int file_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d)
{
    struct dns_file *f = self(b);
    CLEANUP(buf_release) struct buf wanted;
    (void)old;
    buf_init(&wanted, RESOLV_TEXT_MAX);
    int err = f->known ? 0 : look_before(f, o, d);
    if (err < 0)
        return err;
    err = wanted_text(f, o, &wanted);
    if (err < 0)
        return diag_set(d, err, 0, "Failed to make %s: %s", f->path, err_text(err));
    err = put_wanted(f, o, buf_slice(&wanted), d);
    if (err < 0)
        return err;
    remember_ours(f, o);
    rearm(f);
    return 0;
}

static int decode_before(struct dns_file *f, struct slice undo, struct diag *d)
{
    struct resolv_state s;
    int err = resolv_state_decode(undo, &s);
    if (err < 0)
        return diag_set(d, err, 0, "The record of what %s was can't be read: %s", f->path,
                        err_text(err));
    learn_before(f, &s);
    return 0;
}

static enum object_presence presence(const struct dns_file *f, const struct resolv_state *now,
                                     const struct object *o, struct slice wanted)
{
    struct slice text = buf_slice(&now->bytes);
    if (now->kind != RESOLV_FILE)
        return OBJECT_MISSING;
    if (slice_eq(text, wanted))
        return OBJECT_PRESENT;
    /* Edited, and still asking us: as good as ours. The lines that were taken over from where a link led may have changed. */
    return !is_intact(now) && has_ours(now, o) && resolv_text_asks_us(text, &o->dns) &&
                   !resolv_state_eq(now, &f->before)
               ? OBJECT_PRESENT
               : OBJECT_MISSING;
}

static int file_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d)
{
    struct dns_file *f = self(b);
    CLEANUP(buf_release) struct buf wanted;
    CLEANUP(resolv_state_release) struct resolv_state now;
    buf_init(&wanted, RESOLV_TEXT_MAX);
    resolv_state_init(&now);
    int err = decode_before(f, undo, d);
    if (err == 0 && (err = wanted_text(f, o, &wanted)) < 0)
        err = diag_set(d, err, 0, "Failed to verify %s: %s", f->path, err_text(err));
    if (err < 0)
        return err;
    if (resolv_file_read(f->path, &now, d) < 0) {
        resolv_state_init(&now);
        *ret = OBJECT_FOREIGN;
        return 0;
    }
    *ret = presence(f, &now, o, buf_slice(&wanted));
    return 0;
}

static int restore(const struct dns_file *f, struct resolv_state *now, const struct object *o,
                   enum object_undone *ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf wanted;
    buf_init(&wanted, RESOLV_TEXT_MAX);
    int err = wanted_text(f, o, &wanted);
    if (err < 0)
        return diag_set(d, err, 0, "Failed to bring back %s: %s", f->path, err_text(err));
    *ret = OBJECT_UNDONE;
    struct slice text = buf_slice(&now->bytes), before = buf_slice(&f->before.bytes);
    bool torn = now->kind == RESOLV_FILE && f->before.kind == RESOLV_FILE &&
                (resolv_text_is_torn(text, before, buf_slice(&wanted)) ||
                 resolv_text_is_torn(text, buf_slice(&wanted), before));
    if (is_intact(now) || torn)
        return resolv_file_write(f->path, &f->before, d);
    if (!has_ours(now, o)) {
        *ret = OBJECT_LEFT;
        return diag_set(d, 0, 0, "%s is someone else's now", f->path);
    }
    err = strip(now, o);
    return err < 0 ? diag_set(d, err, 0, "Failed to take our lines out of %s: %s", f->path,
                              err_text(err))
                   : resolv_file_write(f->path, now, d);
}

static int file_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                     enum object_undone *ret, struct diag *d)
{
    struct dns_file *f = self(b);
    CLEANUP(resolv_state_release) struct resolv_state now;
    enum object_undone undone = OBJECT_GONE;
    resolv_state_init(&now);
    int err = decode_before(f, undo, d);
    if (err < 0)
        return err;
    (void)resolv_file_clean(f->path);
    err = resolv_file_read(f->path, &now, d);
    if (err == ERR_UNSUPPORTED || err == ERR_TOOBIG)
        undone = OBJECT_LEFT;
    else if (err == 0 && !resolv_state_eq(&now, &f->before))
        err = restore(f, &now, o, &undone, d);
    if (err < 0 && undone != OBJECT_LEFT)
        return err;
    forget_before(f);
    f->applied = false;
    rearm(f);
    *ret = undone;
    return 0;
}

/* What was before ours, or what someone has put over it. */
static int file_upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                          struct diag *d)
{
    const struct dns_file *f = self(b);
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf rest;
    buf_init(&text, RESOLV_TEXT_MAX);
    buf_init(&rest, RESOLV_TEXT_MAX);
    const struct object_dns *dns = ours != NULL ? &ours->dns : NULL;
    int err = resolv_file_follow(f->path, &text);
    if (err == 0 && f->known && resolv_text_is_ours(buf_slice(&text)))
        err = text_of(f, &f->before, &rest);
    else if (err == 0)
        err = resolv_text_without_ours(buf_slice(&text), dns, &rest);
    if (err < 0)
        return diag_set(d, err, 0, "Failed to read the resolvers of %s: %s", f->path,
                        err_text(err));
    host_resolvers_of(buf_slice(&rest), ours, ret);
    return 0;
}

static bool settings_changed(const struct dns_file *f)
{
    CLEANUP(buf_release) struct buf wanted;
    CLEANUP(buf_release) struct buf now;
    buf_init(&wanted, RESOLV_TEXT_MAX);
    buf_init(&now, RESOLV_TEXT_MAX);
    return f->applied &&
           (wanted_text(f, &f->ours, &wanted) < 0 || resolv_file_follow(f->path, &now) < 0 ||
            !slice_eq(buf_slice(&wanted), buf_slice(&now)));
}

static void on_files_changed(void *arg)
{
    struct dns_file *f = arg;
    struct resolvers now;
    unsigned changed = settings_changed(f) ? DNS_CHANGED_SETTINGS : 0;
    rearm(f);
    if (file_upstreams(&f->base, f->applied ? &f->ours : NULL, &now, NULL) == 0 &&
        !resolvers_equal(&now, &f->last)) {
        f->last = now;
        changed |= DNS_CHANGED_UPSTREAMS;
    }
    if (changed != 0)
        f->changed(f->changed_arg, changed);
}

static int file_watch_start(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed,
                            void *arg, struct diag *d)
{
    struct dns_file *f = self(b);
    f->changed = changed;
    f->changed_arg = arg;
    int err = file_watch_new(loop, on_files_changed, f, &f->watch, d);
    if (err < 0)
        return err;
    rearm(f);
    return file_upstreams(b, f->applied ? &f->ours : NULL, &f->last, d);
}

static void file_watch_stop(struct dns_backend *b)
{
    file_watch_free(STEAL(self(b)->watch));
}

static int file_probe(struct dns_backend *b, struct diag *d)
{
    const struct dns_file *f = self(b);
    struct resolv_state now;
    int err = resolv_file_read(f->path, &now, d);
    if (err < 0)
        return ERR_UNSUPPORTED;
    resolv_state_release(&now);
    return resolv_file_may_write(f->path, d) < 0 ? ERR_UNSUPPORTED : 0;
}

static void file_free(struct dns_backend *b)
{
    struct dns_file *f = self(b);
    file_watch_stop(b);
    resolv_state_release(&f->before);
    mem_free(f);
}

static const struct dns_backend_ops ops = {
    .name = "file",
    .probe = file_probe,
    .capture = file_capture,
    .apply = file_apply,
    .verify = file_verify,
    .undo = file_undo,
    .upstreams = file_upstreams,
    .watch = file_watch_start,
    .unwatch = file_watch_stop,
    .free = file_free,
};

int dns_file_new_at(const char *path, struct dns_backend **ret, struct diag *d)
{
    struct dns_file *f = NEW(struct dns_file);
    if (f == NULL || str_copy(f->path, sizeof(f->path), path) < 0) {
        mem_free(f);
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the back-end of %s", path);
    }
    f->base = (struct dns_backend){.ops = &ops, .exclusive = true, .persistent = true};
    resolv_state_init(&f->before);
    *ret = &f->base;
    return 0;
}

int dns_file_new(struct dns_backend **ret, struct diag *d)
{
    return dns_file_new_at(RESOLV_CONF_PATH, ret, d);
}
