/* How this host's programs come to ask us for the names of our zones: one back-end per way a Linux host keeps its resolver.
 *
 *   name            per zone?                      volatile?                          what it changes
 *   resolved        yes                            yes                                the link's settings in systemd-resolved (D-Bus)
 *   networkmanager  with dns=dnsmasq; else no      yes                                the link's applied connection in NetworkManager (D-Bus)
 *   resolvconf      no                             see dns_resolvconf.c               a record for the link, by the program resolvconf(8)
 *   file            no                             no                                 /etc/resolv.conf
 *   none            -                              -                                  nothing: the text says what to configure
 *
 * "Not per zone" is `exclusive`: every question of the host comes to us, and we forward what isn't ours; one session at a time.
 *
 * `auto` takes the first of these that is true (what really resolves names here, not what is installed):
 *   1. resolved: the name org.freedesktop.resolve1 is owned on the system bus, and /etc/resolv.conf leads to its stub: a link to
 *      /run/systemd/resolve/stub-resolv.conf or /usr/lib/systemd/resolv.conf, or a nameserver 127.0.0.53 or 127.0.0.54.
 *      (/run/systemd/resolve/resolv.conf leads past it.)
 *   2. networkmanager: the name org.freedesktop.NetworkManager is owned, it is 1.42 or later, its DnsManager's mode is "default"
 *      or "dnsmasq" with a resolv.conf manager that isn't "unmanaged", and /etc/resolv.conf is what it wrote. (It is
 *      uncertain: it may leave our link alone, and does one without IPv4.)
 *   3. resolvconf: the program is there (not resolved's own resolvectl under that name) and /etc/resolv.conf is what it writes.
 *   4. file: /etc/resolv.conf may be replaced.
 *   5. none.
 *
 * Everything here belongs to one thread (netcfg's). A call blocks for 5 s at most for each question to a daemon, and a back-end
 * that had to wait so long once answers ERR_TIMEOUT at once for the rest of the same operation.
 */
#ifndef STILE_NETCFG_DNS_BACKEND_H
#define STILE_NETCFG_DNS_BACKEND_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"
#include "netcfg/ops.h"

struct object;    /* netcfg/object.h: here always of kind OBJECT_DNS */
struct resolvers; /* net/resolv_conf.h */
struct dns_backend;

#define DNS_BACKEND_NAME_SIZE 16

#define DNS_CHANGED_UPSTREAMS 1u /* other resolvers than before: upstreams() has the new ones */
#define DNS_CHANGED_SETTINGS                                                                       \
    2u /* ours may be gone (a daemon was restarted, a file replaced): verify */

/* In the loop's thread; never for what apply and undo did themselves. May call back into the back-end, but not unwatch or free. */
typedef void dns_changed_fn(void *arg, unsigned changed);

struct dns_backend_ops {
    const char *name;

    /* It works for some links only: apply says ERR_UNSUPPORTED, and has done nothing, where it doesn't. */
    bool uncertain;

    /* 0: this is what resolves the names of this host; `exclusive` is then as it will be. ERR_UNSUPPORTED: it is there, but
     * isn't (d says why): may be forced. ERR_NOTFOUND, and anything else: there is nothing to work with. NULL: always 0. */
    int (*probe)(struct dns_backend *b, struct diag *d);

    /* Like those of struct object_ops. What capture puts is what undo and verify get, after the back-end's name was put before
     * it and taken off again. undo must work in a fresh process, on a back-end that nobody probed, with the daemon gone. */
    int (*capture)(struct dns_backend *b, const struct object *o, struct buf *undo, struct diag *d);
    int (*apply)(struct dns_backend *b, const struct object *o, const struct object *old,
                 struct diag *d);
    int (*verify)(struct dns_backend *b, const struct object *o, struct slice undo,
                  enum object_presence *ret, struct diag *d);
    int (*undo)(struct dns_backend *b, const struct object *o, struct slice undo,
                enum object_undone *ret, struct diag *d);

    /* Where names that aren't ours are to be asked: never our own servers, never a stub on this host that would ask us again.
     * ours is the object that is applied now, NULL if none is. */
    int (*upstreams)(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                     struct diag *d);

    /* NULL: nothing to watch. unwatch lets the loop close what watch opened there; the back-end may be freed at once. */
    int (*watch)(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                 struct diag *d);
    void (*unwatch)(struct dns_backend *b);

    void (*free)(struct dns_backend *b);
};

/* The first member of every back-end's own struct. */
struct dns_backend {
    const struct dns_backend_ops *ops;
    bool exclusive;  /* all questions of the host come to us */
    bool persistent; /* what it changes survives a reboot */

    /* dns_backend.c's own: */
    bool automatic;            /* `auto` took it */
    struct dns_backend *spare; /* of an uncertain one: what is tried next */
    struct dns_backend
        *instead; /* the spare, once this one turned out not to work for our links; not owned */
    struct loop *loop; /* of a watch, else NULL */
    dns_changed_fn *changed;
    void *changed_arg;
};

/* Each in its own .c; opens nothing outside of the process. */
int dns_resolved_new(struct dns_backend **ret, struct diag *d);
int dns_networkmanager_new(struct dns_backend **ret, struct diag *d);
int dns_resolvconf_new(struct dns_backend **ret, struct diag *d);
int dns_file_new(struct dns_backend **ret, struct diag *d);
int dns_none_new(struct dns_backend **ret, struct diag *d);

/* choice: "auto" or a name. By name it is taken even if its probe says no, unless it can't work at all (ERR_NOTFOUND: no bus, no
 * such service, no such program). ERR_INVAL: no such name. */
int dns_backend_detect(const char *choice, struct dns_backend **ret, struct diag *d);

/* What it is called. Where an uncertain one that `auto` took doesn't work for our links, the next one in the order that is as
 * exclusive as it is used in its place: its name then. */
const char *dns_backend_name(const struct dns_backend *b);

/* Without a probe: for what an earlier process left behind. ERR_NOTFOUND: no such name. */
int dns_backend_by_name(const char *name, struct dns_backend **ret, struct diag *d);

void dns_backend_free(struct dns_backend *b); /* NULL does nothing; unwatches */

/* What ops_linux calls. Undo bytes are records of a back-end's name and its own bytes; of an uncertain back-end a second one, of
 * its spare. b may be NULL for verify and undo, and may be another back-end than the one that wrote them: the one that did is
 * opened by its name for the call. ERR_FORMAT for bytes that aren't ours. */
int dns_backend_capture(struct dns_backend *b, const struct object *o, struct buf *undo,
                        struct diag *d);
int dns_backend_apply(struct dns_backend *b, const struct object *o, const struct object *old,
                      struct diag *d);
int dns_backend_verify(struct dns_backend *b, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d);
int dns_backend_undo(struct dns_backend *b, const struct object *o, struct slice undo,
                     enum object_undone *ret, struct diag *d);
int dns_backend_upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                          struct diag *d);
int dns_backend_watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                      struct diag *d);
void dns_backend_unwatch(struct dns_backend *b);

#endif
