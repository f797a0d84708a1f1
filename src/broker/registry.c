#include "broker/registry.h"

#include <string.h>

#include "base/mem.h"
#include "net/name.h"
#include "net/prefix.h"

struct claim {
    struct list node;
    uint32_t session;
    struct broker_network network;
    struct broker_network next; /* while changing */
    bool changing;
};

void registry_init(struct registry *c)
{
    list_init(&c->all);
}

static void drop(struct claim *claim)
{
    list_remove(&claim->node);
    mem_free(claim);
}

void registry_release(struct registry *c)
{
    LIST_FOR_EACH (node, &c->all)
        drop(LIST_ENTRY(node, struct claim, node));
}

static bool same_or_below(const char *name, const char *zone)
{
    size_t name_len = strlen(name);
    size_t zone_len = strlen(zone);
    if (name_len < zone_len || strcmp(name + name_len - zone_len, zone) != 0)
        return false;
    return name_len == zone_len || name[name_len - zone_len - 1] == '.';
}

static int check_zones(const struct broker_network *theirs, const struct broker_network *n,
                       struct diag *d)
{
    static const char remedy[] =
        "Wait until it ends, leave this log-in out (stile up --profile), or use `stile run -- "
        "PROGRAM`, which needs no zone of the machine";
    for (uint32_t i = 0; i < n->zone_count; i++) {
        const char *zone = n->zones[i];
        for (uint32_t k = 0; k < theirs->zone_count; k++) {
            if (strcmp(zone, theirs->zones[k]) == 0)
                return diag_set(d, ERR_EXISTS, 0,
                                "Zone %s is taken by another user's session on this machine. %s",
                                zone, remedy);
            if (same_or_below(zone, theirs->zones[k]) || same_or_below(theirs->zones[k], zone))
                return diag_set(d, ERR_EXISTS, 0,
                                "Zone %s overlaps one that is taken by another user's session on "
                                "this machine. %s",
                                zone, remedy);
        }
    }
    return 0;
}

static struct prefix range_at(const struct broker_network *n, uint32_t i)
{
    struct prefix p = {.addr = ip_addr_from(4, n->ranges[i].addr),
                       .bits = (uint8_t)n->ranges[i].bits};
    return p;
}

static int check_ranges(const struct broker_network *theirs, const struct broker_network *n,
                        struct diag *d)
{
    for (uint32_t i = 0; i < n->range_count; i++) {
        struct prefix range = range_at(n, i);
        for (uint32_t k = 0; k < theirs->range_count; k++) {
            struct prefix other = range_at(theirs, k);
            char text[PREFIX_TEXT_SIZE];
            if (!prefix_overlaps(&range, &other))
                continue;
            prefix_format(&range, text);
            return diag_set(d, ERR_EXISTS, 0,
                            "Range %s is taken by another user's session on this machine; choose "
                            "another one (stile up --range)",
                            text);
        }
    }
    if ((n->flags & BROKER_NO_IPV6) == 0 && (theirs->flags & BROKER_NO_IPV6) == 0 &&
        memcmp(n->ipv6_prefix, theirs->ipv6_prefix, sizeof(n->ipv6_prefix)) == 0)
        return diag_set(d, ERR_EXISTS, 0,
                        "The session's IPv6 prefix is taken by another session; try again");
    return 0;
}

static int check_one(const struct broker_network *theirs, const struct broker_network *n,
                     struct diag *d)
{
    int r = check_zones(theirs, n, d);
    return r < 0 ? r : check_ranges(theirs, n, d);
}

static struct claim *find(const struct registry *c, uint32_t session)
{
    LIST_FOR_EACH (node, &c->all) {
        struct claim *claim = LIST_ENTRY(node, struct claim, node);
        if (claim->session == session)
            return claim;
    }
    return NULL;
}

int registry_check(const struct registry *c, uint32_t session, const struct broker_network *n,
                   struct diag *d)
{
    LIST_FOR_EACH (node, &c->all) {
        struct claim *claim = LIST_ENTRY(node, struct claim, node);
        if (claim->session == session)
            continue;
        int r = check_one(&claim->network, n, d);
        if (r == 0 && claim->changing)
            r = check_one(&claim->next, n, d);
        if (r < 0)
            return r;
    }
    return 0;
}

int registry_set(struct registry *c, uint32_t session, const struct broker_network *n,
                 struct diag *d)
{
    int r = registry_check(c, session, n, d);
    if (r < 0)
        return r;
    struct claim *claim = find(c, session);
    if (claim == NULL) {
        claim = NEW(struct claim);
        if (claim == NULL)
            return diag_set(d, ERR_NOMEM, 0, "Out of memory");
        claim->session = session;
        list_push_back(&c->all, &claim->node);
    }
    claim->network = *n;
    return 0;
}

int registry_change(struct registry *c, uint32_t session, const struct broker_network *n,
                    struct diag *d)
{
    struct claim *claim = find(c, session);
    if (claim == NULL)
        return registry_set(c, session, n, d);
    int r = registry_check(c, session, n, d);
    if (r < 0)
        return r;
    claim->next = *n;
    claim->changing = true;
    return 0;
}

void registry_settle(struct registry *c, uint32_t session, bool changed)
{
    struct claim *claim = find(c, session);
    if (claim == NULL || !claim->changing)
        return;
    if (changed)
        claim->network = claim->next;
    claim->changing = false;
}

void registry_drop(struct registry *c, uint32_t session)
{
    struct claim *claim = find(c, session);
    if (claim != NULL)
        drop(claim);
}
