/* The clusters the user is logged in to: profiles as they are on disk now, each with its connection and its list of apps.
 *
 * Profiles are read again when their directory changes, so a log-in or log-out by another process takes effect at the next
 * question. Lists of apps are fetched at the start, after each change and every few minutes.
 */
#ifndef STILE_AGENT_CLUSTERS_H
#define STILE_AGENT_CLUSTERS_H

#include "agent/access.h"
#include "agent/profile.h"
#include "base/list.h"
#include "stile/access/v1/access.pb-c.h"

struct clusters;

/* One cluster. Valid until the next turn of the loop. */
struct member {
    struct profile *profile;
    struct access *access;
    Stile__Access__V1__ListAppsResponse *listing; /* NULL until it was fetched */
    /* Private: */
    struct clusters *owner;
    struct list node; /* of those that were dropped and wait to be freed */
    Stile__Access__V1__ListAppsRequest list_request;
    bool listing_asked;
};

struct clusters_events {
    /* A profile was added, replaced or removed: what was learnt from it is void. Its name. */
    void (*on_profile)(void *arg, const char *profile);
    /* Zones, ranges or forwarded names may be others now. */
    void (*on_change)(void *arg);
};

/* only: the profiles to use, ended by NULL; NULL: all. only and home are borrowed. Having none is no error here. A damaged profile is logged and
 * left out. */
int clusters_new(struct loop *loop, const struct home *home, const char *const *only,
                 const struct clusters_events *events, void *arg, struct clusters **ret,
                 struct diag *d);
/* NULL is fine. */
void clusters_free(struct clusters *c);

/* Reads again what has changed on disk. May call events. */
void clusters_refresh(struct clusters *c);

size_t clusters_count(const struct clusters *c);
struct member *clusters_at(struct clusters *c, size_t index);
/* By profile's name; NULL if it isn't there. */
struct member *clusters_find(struct clusters *c, const char *profile);
/* The zones that count for this member: of its list of apps if that was fetched, else of its profile. */
size_t member_zone_count(const struct member *m);
const char *member_zone(const struct member *m, size_t index);
const char *member_range(const struct member *m);

/* Whose name this is: an app's public name first, else the longest zone. NULL: nobody's. */
struct member *clusters_for_name(struct clusters *c, const char *fqdn);

#endif
