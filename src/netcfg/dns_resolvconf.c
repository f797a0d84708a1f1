#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/dns_backend.h"
#include "netcfg/file_watch.h"
#include "netcfg/host_resolvers.h"
#include "netcfg/object.h"
#include "netcfg/resolv_file.h"
#include "netcfg/resolvconf.h"

/* A record of ours among resolvconf's, so that all questions come to us.
 *
 * Its name, "lo.stile0", is one of a resolver on this host, which both flavours put before the others'. openresolv is told that
 * ours is exclusive; in Debian's all three places that the C library has for a server are filled with ours, in three spellings,
 * as equal ones would be made one: an internal name must not be asked of others when we say "failed".
 *
 * Undo bytes: version, whether openresolv's directory of exclusive records was there, length and name of the record, then what
 * /etc/resolv.conf was, for the case that the program is gone by then. Records are in /run, but openresolv's /etc/resolv.conf outlives a reboot: hence persistent. */

#define UNDO_VERSION 1
#define TEXT_MAX     ((size_t)64 * 1024)
#define LIBC_SERVERS 3
#define EXCLUSIVE    RESOLVCONF_DIRECTORY "/exclusive" /* made by openresolv, and left there */

struct dns_resolvconf {
    struct dns_backend base;
    struct resolvconf program;

    bool applied; /* by this process */
    struct object ours;

    struct file_watch *watch;
    dns_changed_fn *changed;
    void *changed_arg;
    struct resolvers last;
};

struct undo {
    bool had_exclusive;
    char name[RESOLVCONF_NAME_SIZE];
    struct resolv_state before;
};

static struct dns_resolvconf *self(struct dns_backend *b)
{
    return CONTAINER_OF(b, struct dns_resolvconf, base);
}

static int need_program(struct dns_resolvconf *r, struct diag *d)
{
    return r->program.flavour != 0 ? 0 : resolvconf_find(&r->program, d);
}

static int record_name(const struct object *o, char ret[RESOLVCONF_NAME_SIZE])
{
    return str_format(ret, RESOLVCONF_NAME_SIZE, "lo.%s", o->link);
}

/* ---- our record ---- */

static void upper(char *s)
{
    for (; *s != '\0'; s++)
        if (*s >= 'a' && *s <= 'f')
            *s = (char)(*s - 'a' + 'A');
}

static int put_server(struct buf *out, const char *prefix, const struct ip_addr *addr, bool large)
{
    char text[IP_ADDR_TEXT_SIZE];
    ip_addr_format(addr, text);
    if (large)
        upper(text);
    return buf_printf(out, "nameserver %s%s\n", prefix, text);
}

/* The other spellings: an IPv6 address in capitals, an IPv4 one as IPv6 sees it. */
static int fill_servers(const struct object_dns *dns, struct buf *out)
{
    size_t count = dns->server_count;
    int err = 0;
    for (size_t i = 0; err == 0 && i < dns->server_count && count < LIBC_SERVERS; i++, count++)
        err = dns->servers[i].version == 6 ? put_server(out, "", &dns->servers[i], true)
                                           : put_server(out, "::ffff:", &dns->servers[i], false);
    for (size_t i = 0; err == 0 && i < dns->server_count && count < LIBC_SERVERS; i++, count++)
        err =
            dns->servers[i].version == 6 ? 0 : put_server(out, "::FFFF:", &dns->servers[i], false);
    return err;
}

/* Names, addresses, options and no more: openresolv evaluates what it reads as shell. */
static bool is_plain(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '.' || c == '_' || c == ':' || c == '/' || (c == '-' && i > 0)))
            return false;
    }
    return word.len > 0;
}

/* The plain words behind the line's keyword, each after a space. */
static int put_words(struct slice line, struct buf *out)
{
    struct slice word;
    int err = 0;
    (void)resolv_word_next(&line, &word);
    while (err == 0 && resolv_word_next(&line, &word))
        if (is_plain(word))
            err = buf_printf(out, " %.*s", (int)word.len, (const char *)word.data);
    return err;
}

/* All that others say behind one of two keywords, as one line. */
static int put_gathered(struct slice list, const char *ours, const char *keyword, const char *other,
                        struct buf *out)
{
    struct resolvconf_record record;
    struct resolv_line line;
    CLEANUP(buf_release) struct buf words;
    int err = 0;
    buf_init(&words, TEXT_MAX);
    while (err == 0 && resolvconf_next(&list, &record))
        while (err == 0 && !str_eq(record.name, ours) && resolv_line_next(&record.text, &line))
            if (slice_eq_str(line.keyword, keyword) || slice_eq_str(line.keyword, other))
                err = put_words(line.text, &words);
    if (err < 0 || buf_len(&words) == 0)
        return err;
    err = buf_put_str(out, keyword);
    if (err == 0)
        err = buf_put(out, buf_slice(&words));
    return err < 0 ? err : buf_put_u8(out, '\n');
}

/* openresolv takes nothing else from others while ours is exclusive. */
static int put_others(struct slice list, const char *ours, struct buf *out)
{
    int err = put_gathered(list, ours, "search", "domain", out);
    if (err == 0)
        err = put_gathered(list, ours, "options", "options", out);
    return err < 0 ? err : put_gathered(list, ours, "sortlist", "sortlist", out);
}

static int record_text(const struct dns_resolvconf *r, const struct object *o, struct slice list,
                       const char *name, struct buf *out)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < o->dns.server_count; i++)
        err = put_server(out, "", &o->dns.servers[i], false);
    if (err < 0)
        return err;
    return r->program.flavour == RESOLVCONF_DEBIAN ? fill_servers(&o->dns, out)
                                                   : put_others(list, name, out);
}

static bool find_record(struct slice list, const char *name, struct resolvconf_record *ret)
{
    while (resolvconf_next(&list, ret))
        if (str_eq(ret->name, name))
            return true;
    return false;
}

/* Equal line by line, whatever blank lines the programs put between. */
static bool same_lines(struct slice a, struct slice b)
{
    struct resolv_line x, y;
    for (;;) {
        bool more_a, more_b;
        while ((more_a = resolv_line_next(&a, &x)) && x.keyword.len == 0)
            ;
        while ((more_b = resolv_line_next(&b, &y)) && y.keyword.len == 0)
            ;
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!slice_eq(x.text, y.text))
            return false;
    }
}

static bool host_asks_us(const struct object *o)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, RESOLV_CONF_CAP);
    return resolv_file_follow(RESOLV_CONF_PATH, &text) == 0 &&
           resolv_text_asks_us(buf_slice(&text), &o->dns);
}

static bool host_has_us(const struct object *o)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, RESOLV_CONF_CAP);
    return resolv_file_follow(RESOLV_CONF_PATH, &text) == 0 &&
           resolv_text_has_ours(buf_slice(&text), &o->dns);
}

/* ---- undo bytes ---- */

static int encode_undo(const struct undo *u, struct buf *out)
{
    size_t len = strlen(u->name);
    int err = buf_put_u8(out, UNDO_VERSION);
    if (err == 0)
        err = buf_put_u8(out, u->had_exclusive ? 1 : 0);
    if (err == 0)
        err = buf_put_u8(out, (uint8_t)len);
    if (err == 0)
        err = buf_put(out, slice_of(u->name, len));
    return err < 0 ? err : resolv_state_encode(&u->before, out);
}

static int decode_undo(struct slice bytes, struct undo *ret, struct diag *d)
{
    struct rd r = rd_init(bytes);
    uint8_t version = rd_u8(&r), had_exclusive = rd_u8(&r);
    struct slice name = rd_bytes(&r, rd_u8(&r));
    int err = r.bad                     ? ERR_TRUNCATED
              : version != UNDO_VERSION ? ERR_UNSUPPORTED
              : had_exclusive > 1       ? ERR_FORMAT
                                        : 0;
    ret->had_exclusive = had_exclusive == 1;
    if (err == 0)
        err = str_copy_slice(ret->name, sizeof(ret->name), name);
    if (err == 0)
        err = resolv_state_decode(slice_of(r.next, rd_left(&r)), &ret->before);
    return err < 0
               ? diag_set(d, err, 0, "The record of resolvconf's can't be read: %s", err_text(err))
               : 0;
}

/* ---- capture, apply, verify, undo ---- */

static int not_in_use(const struct dns_resolvconf *r, struct diag *d)
{
    return r->program.flavour == RESOLVCONF_DEBIAN
               ? diag_set(
                     d, ERR_UNSUPPORTED, 0,
                     "resolvconf is installed, but " RESOLV_CONF_PATH
                     " isn't the link to its file, or it doesn't update it: make it one (ln -sf "
                     "../run/resolvconf/resolv.conf " RESOLV_CONF_PATH
                     ") and run \"resolvconf --enable-updates\", or choose dns: file")
               : diag_set(d, ERR_UNSUPPORTED, 0,
                          "openresolv is installed, but " RESOLV_CONF_PATH
                          " isn't what it writes: remove the file and run \"resolvconf -u\", or "
                          "choose dns: file");
}

static int resolvconf_probe(struct dns_backend *b, struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    int err = need_program(r, d);
    if (err < 0)
        return err;
    return resolvconf_is_in_use(&r->program) ? 0 : not_in_use(r, d);
}

static int take_out_ours(struct resolv_state *s, const struct object *o)
{
    struct buf rest;
    if (s->kind != RESOLV_FILE || !resolv_text_has_ours(buf_slice(&s->bytes), &o->dns))
        return 0;
    buf_init(&rest, RESOLV_BEFORE_MAX);
    int err = resolv_text_without_ours(buf_slice(&s->bytes), &o->dns, &rest);
    buf_release(&s->bytes);
    s->bytes = rest;
    return err;
}

static int resolvconf_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                              struct diag *d)
{
    struct undo u;
    int err = resolvconf_probe(b, d);
    if (err < 0)
        return err;
    err = record_name(o, u.name);
    u.had_exclusive = access(EXCLUSIVE, F_OK) == 0 && !resolvconf_is_exclusive(u.name);
    if (err < 0)
        return diag_set(d, err, 0, "The interface's name \"%s\" is too long", o->link);
    err = resolv_file_read(RESOLV_CONF_PATH, &u.before, d);
    if (err < 0)
        return err;
    err = take_out_ours(&u.before, o);
    if (err == 0)
        err = encode_undo(&u, undo);
    resolv_state_release(&u.before);
    return err < 0 ? diag_set(d, err, 0, "Failed to keep what " RESOLV_CONF_PATH " is now: %s",
                              err_text(err))
                   : 0;
}

static int no_effect(struct diag *d)
{
    return diag_set(d, ERR_UNSUPPORTED, 0,
                    "resolvconf took our record, but " RESOLV_CONF_PATH
                    " doesn't ask us first: another server comes before ours (see "
                    "resolv.conf.d/head, or a local resolver's record). Change "
                    "that, or choose dns: file or none");
}

static int make_record(struct dns_resolvconf *r, const struct object *o, struct buf *text,
                       char name[RESOLVCONF_NAME_SIZE], struct diag *d)
{
    CLEANUP(buf_release) struct buf list;
    buf_init(&list, RESOLVCONF_LIST_MAX);
    int err = record_name(o, name);
    if (err == 0)
        err = resolvconf_list(&r->program, &list, d);
    return err < 0 ? err : record_text(r, o, buf_slice(&list), name, text);
}

static void rearm(struct dns_resolvconf *r);

static int resolvconf_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                            struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    CLEANUP(buf_release) struct buf text;
    char name[RESOLVCONF_NAME_SIZE];
    (void)old;
    buf_init(&text, TEXT_MAX);
    int err = need_program(r, d);
    if (err == 0)
        err = make_record(r, o, &text, name, d);
    if (err == 0)
        err = resolvconf_add(&r->program, name, buf_slice(&text), d);
    if (err == 0 && !host_asks_us(o))
        err = resolvconf_update(&r->program, d);
    if (err < 0)
        return err;
    if (!host_asks_us(o))
        return no_effect(d);
    r->ours = *o;
    r->ours.dns.zones = NULL;
    r->ours.dns.zone_count = 0;
    r->applied = true;
    rearm(r);
    return 0;
}

static int is_present(struct dns_resolvconf *r, const struct object *o, bool *ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf list;
    CLEANUP(buf_release) struct buf text;
    char name[RESOLVCONF_NAME_SIZE];
    struct resolvconf_record record;
    buf_init(&list, RESOLVCONF_LIST_MAX);
    buf_init(&text, TEXT_MAX);
    int err = need_program(r, d);
    if (err == 0)
        err = record_name(o, name);
    if (err == 0)
        err = resolvconf_list(&r->program, &list, d);
    if (err == 0)
        err = record_text(r, o, buf_slice(&list), name, &text);
    if (err == 0)
        *ret = find_record(buf_slice(&list), name, &record) &&
               same_lines(record.text, buf_slice(&text)) && host_asks_us(o);
    return err;
}

static int resolvconf_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                             enum object_presence *ret, struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    bool present = false;
    (void)undo;
    int err = is_present(r, o, &present, d);
    if (err < 0 && err != ERR_NOTFOUND)
        return err;
    *ret = present                                         ? OBJECT_PRESENT
           : err == 0 && resolvconf_is_in_use(&r->program) ? OBJECT_MISSING
                                                           : OBJECT_FOREIGN;
    return 0;
}

/* The program is gone, and with it whoever would make the file anew. */
static int undo_by_hand(const struct object *o, const struct undo *u, enum object_undone *ret,
                        struct diag *d)
{
    *ret = OBJECT_GONE;
    if (!host_has_us(o))
        return 0;
    *ret = OBJECT_UNDONE;
    return resolv_file_write(RESOLV_CONF_PATH, &u->before, d);
}

/* What the program starts may fail without its saying so. */
static int delete_record(const struct dns_resolvconf *r, const char *name, bool *ret_any,
                         struct diag *d)
{
    *ret_any = true;
    int err = resolvconf_delete(&r->program, name, d);
    if (err < 0 || !resolvconf_has(&r->program, name))
        return err;
    return diag_set(d, ERR_IO, 0,
                    "\"resolvconf -d %s\" left our record where it was, in " RESOLVCONF_DIRECTORY,
                    name);
}

/* Ours, and what a killed run of the program left of it ("lo.stile0_new.123"). */
static int delete_records(const struct dns_resolvconf *r, const char *name, bool *ret_any,
                          struct diag *d)
{
    CLEANUP(buf_release) struct buf list;
    struct resolvconf_record record;
    char leftover[RESOLVCONF_NAME_SIZE];
    buf_init(&list, RESOLVCONF_LIST_MAX);
    int err = resolvconf_list(&r->program, &list, d);
    if (err == 0)
        err = str_format(leftover, sizeof(leftover), "%s_new.", name);
    struct slice rest = buf_slice(&list);
    while (err == 0 && resolvconf_next(&rest, &record))
        if (str_eq(record.name, name) || str_starts(record.name, leftover))
            err = delete_record(r, record.name, ret_any, d);
    if (err == 0 && resolvconf_has(&r->program, name)) /* not listed, or only among the exclusive */
        err = delete_record(r, name, ret_any, d);
    return err;
}

static int undo_with(const struct dns_resolvconf *r, const struct object *o, const struct undo *u,
                     enum object_undone *ret, struct diag *d)
{
    bool any = false;
    int err = delete_records(r, u->name, &any, d);
    if (err == 0 && host_has_us(o)) {
        any = true;
        err = resolvconf_update(&r->program, d);
    }
    if (err < 0)
        return err;
    if (!u->had_exclusive)
        (void)rmdir(EXCLUSIVE);
    *ret = any ? OBJECT_UNDONE : OBJECT_GONE;
    if (host_has_us(o))
        return diag_set(d, ERR_IO, 0,
                        "resolvconf removed our record, but " RESOLV_CONF_PATH
                        " still has our servers: run \"resolvconf -u\"");
    return 0;
}

static int resolvconf_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                           enum object_undone *ret, struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    struct undo u;
    int err = decode_undo(undo, &u, d);
    if (err < 0)
        return err;
    err = need_program(r, d);
    if (err == ERR_NOTFOUND)
        err = undo_by_hand(o, &u, ret, d);
    else if (err == 0)
        err = undo_with(r, o, &u, ret, d);
    resolv_state_release(&u.before);
    if (err == 0)
        r->applied = false;
    return err;
}

/* ---- upstreams, watch ---- */

static int resolvconf_servers(struct dns_backend *b, const struct object *ours,
                              struct resolvers *ret, struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    CLEANUP(buf_release) struct buf list;
    struct resolvers all = {0};
    char name[RESOLVCONF_NAME_SIZE] = "";
    buf_init(&list, RESOLVCONF_LIST_MAX);
    int err = need_program(r, d);
    if (err == 0)
        err = resolvconf_list(&r->program, &list, d);
    if (err < 0)
        return err;
    if (ours != NULL && record_name(ours, name) < 0)
        name[0] = '\0';
    resolvconf_upstreams(&r->program, buf_slice(&list), name, &all);
    for (size_t i = 0; ours != NULL && i < ours->dns.server_count; i++)
        resolvers_remove(&all, &ours->dns.servers[i]);
    /* Servers that no record has: the administrator's own, in the program's configuration. */
    if (all.count == 0 && host_resolvers_read(RESOLV_CONF_PATH, ours, &all) < 0)
        return diag_set(d, ERR_NOMEM, 0, "Failed to read the resolvers: out of memory");
    *ret = all;
    return 0;
}

static void rearm(struct dns_resolvconf *r)
{
    if (r->watch == NULL)
        return;
    file_watch_clear(r->watch);
    (void)file_watch_add(r->watch, RESOLV_CONF_PATH);
    (void)file_watch_add(r->watch, RESOLVCONF_DIRECTORY "/resolv.conf");
    (void)file_watch_add_directory(r->watch, r->program.flavour == RESOLVCONF_DEBIAN
                                                 ? RESOLVCONF_DIRECTORY "/interface"
                                                 : RESOLVCONF_DIRECTORY "/interfaces");
}

static void on_files_changed(void *arg)
{
    struct dns_resolvconf *r = arg;
    struct resolvers now;
    unsigned changed = 0;
    bool present = true;
    rearm(r);
    if (r->applied && is_present(r, &r->ours, &present, NULL) == 0 && !present)
        changed |= DNS_CHANGED_SETTINGS;
    if (resolvconf_servers(&r->base, r->applied ? &r->ours : NULL, &now, NULL) == 0 &&
        !resolvers_equal(&now, &r->last)) {
        r->last = now;
        changed |= DNS_CHANGED_UPSTREAMS;
    }
    if (changed != 0)
        r->changed(r->changed_arg, changed);
}

static int resolvconf_watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed,
                            void *arg, struct diag *d)
{
    struct dns_resolvconf *r = self(b);
    r->changed = changed;
    r->changed_arg = arg;
    int err = resolvconf_servers(b, r->applied ? &r->ours : NULL, &r->last, d);
    if (err == 0)
        err = file_watch_new(loop, on_files_changed, r, &r->watch, d);
    if (err == 0)
        rearm(r);
    return err;
}

static void resolvconf_unwatch(struct dns_backend *b)
{
    file_watch_free(STEAL(self(b)->watch));
}

static void resolvconf_free(struct dns_backend *b)
{
    resolvconf_unwatch(b);
    mem_free(self(b));
}

static const struct dns_backend_ops ops = {
    .name = "resolvconf",
    .probe = resolvconf_probe,
    .capture = resolvconf_capture,
    .apply = resolvconf_apply,
    .verify = resolvconf_verify,
    .undo = resolvconf_undo,
    .upstreams = resolvconf_servers,
    .watch = resolvconf_watch,
    .unwatch = resolvconf_unwatch,
    .free = resolvconf_free,
};

int dns_resolvconf_new(struct dns_backend **ret, struct diag *d)
{
    struct dns_resolvconf *r = NEW(struct dns_resolvconf);
    if (r == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the DNS back-end: out of memory");
    r->base = (struct dns_backend){.ops = &ops, .exclusive = true, .persistent = true};
    *ret = &r->base;
    return 0;
}
