/* What each profile's gateway looks like from here: reachable, its certificate, its clock, and the log-in. */
#ifndef STILE_DIAG_GATEWAY_FACTS_H
#define STILE_DIAG_GATEWAY_FACTS_H

#include "agent/profile.h"
#include "net/ip.h"

/* How far it went. */
enum gateway_stage {
    GATEWAY_PROFILE, /* the profile couldn't be read */
    GATEWAY_CONNECT, /* no name, no connection */
    GATEWAY_TLS,     /* connected; no TLS with whom we trust */
    GATEWAY_ASK,     /* whom we trust; doesn't answer as it should */
    GATEWAY_DONE,    /* it listed the apps */
};

struct gateway_facts {
    char profile[PROFILE_NAME_SIZE];
    char user[PROFILE_NAME_SIZE];
    char cluster[PROFILE_NAME_SIZE];
    char gateway[PROFILE_HOST_SIZE];
    char gateway_name[PROFILE_HOST_SIZE];
    struct ip_addr addresses[2]; /* by the system's resolver, of each family; version 0: unknown */
    int64_t log_in_ends_s;
    size_t zone_count;
    char zones[PROFILE_ZONES_MAX][PROFILE_HOST_SIZE];
    enum gateway_stage stage; /* the one that failed; GATEWAY_DONE: none did */
    int err;
    struct diag diag;
    bool has_cert; /* the gateway showed one, whether or not it is trusted */
    int64_t cert_begins_s;
    int64_t cert_ends_s;
    bool has_time;          /* the gateway told its time */
    int64_t skew_us;        /* its clock minus ours */
    int64_t uncertainty_us; /* half of the time that asking took */
    char version[32];       /* of the gateway; empty: unknown */
};

struct gateways {
    struct gateway_facts *items; /* owned */
    size_t count;
};

struct loop;
struct home;

/* All profiles, at once. Blocks for GATEWAY_PROBE_MS at most. */
#define GATEWAY_PROBE_MS 10000
int gateways_probe(struct loop *loop, const struct home *home, struct gateways *ret,
                   struct diag *d);
/* Fills in the addresses. Blocks for GATEWAY_LOOKUP_MS at most. */
#define GATEWAY_LOOKUP_MS 4000
void gateways_look_up(struct gateways *g);
void gateways_release(struct gateways *g);

#endif
