/* What a session knows of names: its zones, its ranges, and which app stands behind which virtual address.
 *
 * One writer, the control thread; any thread may read. An app's record is immutable and counted: a reader holds what it
 * looked up while a newer record takes its place. Addresses are assigned at the first question and stay for the
 * life of the session, per name (DESIGN §5); what the gateway says of the app may change and is asked again when stale.
 */
#ifndef STILE_ENGINE_NAMES_H
#define STILE_ENGINE_NAMES_H

#include <stdatomic.h>

#include "net/name.h"
#include "net/pool.h"
#include "stile/vnet/v1/client_application.pb-c.h"

#define NAMES_ZONES_MAX     256
#define NAMES_FORWARDED_MAX 4096
#define NAMES_RANGES_MAX    8
#define NAMES_APPS_MAX      65536

/* What a name turned out to be; immutable. */
struct names_app {
    atomic_uint refs;
    struct name fqdn;
    struct ip_addr v4; /* both families are always assigned, whichever are served */
    struct ip_addr v6;
    Stile__Vnet__V1__AppInfo *info; /* owned */
    uint64_t resolved_ns;           /* when the agent said so, clock_mono_ns */
};

struct names_app *names_app_ref(struct names_app *app);
void names_app_unref(struct names_app *app); /* NULL does nothing */

struct names;

struct names_config {
    struct prefix prefix6; /* the session's /48 */
    struct prefix ranges[NAMES_RANGES_MAX];
    size_t range_count; /* at least 1; the first holds the TUN and the DNS server */
    bool no_ipv4;       /* addresses of this family are never answered */
    bool no_ipv6;
};

int names_new(const struct names_config *config, struct names **ret);
void names_free(struct names *n);
const struct names_config *names_config(const struct names *n);

/* Control thread: replaces zones and the names that are always forwarded. Bad names are skipped with a debug line. */
int names_set_zones(struct names *n, char *const *zones, size_t zone_count, char *const *forwarded,
                    size_t forwarded_count);

/* Control thread: records what the agent said, assigns addresses the first time. info is taken in every case. The range is
 * the one in info if the session has it, else the first. ERR_LIMIT: addresses or room ran out. */
int names_put(struct names *n, const struct name *fqdn, Stile__Vnet__V1__AppInfo *info,
              uint64_t now_ns, struct names_app **ret);

/* Any thread; counted references, NULL if absent. */
struct names_app *names_by_name(struct names *n, const struct name *fqdn);
struct names_app *names_by_addr(struct names *n, const struct ip_addr *addr);

enum names_place {
    NAMES_OUTSIDE,   /* in no zone of the session: upstream's business, no agent is asked */
    NAMES_FORWARDED, /* in a zone, but always forwarded: a gateway's own name, a web app */
    NAMES_INSIDE,    /* the agent knows */
};

/* Any thread. The longest zone that holds the name goes to ret_zone when inside. */
enum names_place names_place(struct names *n, const struct name *fqdn, struct name *ret_zone);

/* Any thread: is this address the TUN's, the DNS server's, an app's, or anywhere in our ranges? */
bool names_is_tun(const struct names *n, const struct ip_addr *addr);
bool names_is_dns(const struct names *n, const struct ip_addr *addr);
/* The DNS server's own address of this family (4 or 6); valid as long as n. */
const struct ip_addr *names_dns(const struct names *n, uint8_t version);
bool names_in_ranges(const struct names *n, const struct ip_addr *addr);

#endif
