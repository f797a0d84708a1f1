/* What diagnosis knows of the host, the broker, the sessions and the gateways: gathered first, then judged by checks that ask
 * nobody any more. A test fills one in by hand.
 */
#ifndef STILE_DIAG_FACTS_H
#define STILE_DIAG_FACTS_H

#include "agent/home.h"
#include "broker/messages.h"
#include "diag/dns_facts.h"
#include "diag/gateway_facts.h"
#include "diag/host_facts.h"

#define FACTS_SESSIONS_MAX 32
#define FACTS_RANGES_MAX   8
#define FACTS_ZONES_MAX    64
#define FACTS_ZONE_SIZE    256
#define FACTS_TEXT_SIZE    128

/* One of the user's agents. */
struct session_facts {
    uint32_t pid;
    int err; /* 0, or why it didn't answer; then nothing else is known */
    struct diag diag;
    bool up; /* `stile up`: in this host's network. Else `stile run`, in one of its own */
    char version[FACTS_TEXT_SIZE];
    char state[FACTS_TEXT_SIZE]; /* of `stile up`; "up" when it works */
    char state_detail[512];
    char interface_name[HOST_NAME_SIZE];
    char dns_backend[BROKER_BACKEND_SIZE];
    bool no_ipv4;
    bool no_ipv6;
    size_t range_count;
    struct prefix ranges[FACTS_RANGES_MAX];
    struct prefix prefix6; /* version 0: none */
    size_t zone_count;
    char zones[FACTS_ZONES_MAX][FACTS_ZONE_SIZE];
};

/* The system's broker. */
struct broker_facts {
    int err; /* 0, or why it didn't tell its status */
    struct diag diag;
    struct broker_status_reply status; /* when err is 0 */
};

struct facts {
    struct host_facts host;
    struct broker_facts broker;
    size_t session_count;
    struct session_facts *sessions; /* owned; FACTS_SESSIONS_MAX at most */
    size_t probe_count;
    struct dns_probe *probes; /* owned */
    size_t zones_not_probed;
    struct gateways gateways;
    int home_err; /* the profiles and agents couldn't be looked for */
    struct diag home_diag;
    int64_t taken_us; /* when, wall clock */
};

/* home NULL: the default. Blocks for some seconds at most, in the calling thread (its own event loop is made and ended here);
 * never fails as a whole: what isn't known is marked so. Any thread, several at once. ERR_NOMEM. */
int facts_gather(const char *home, struct facts *ret);
void facts_release(struct facts *f);

/* The session in this host's network, if it is the only one that counts: NULL if there is none. */
const struct session_facts *facts_up_session(const struct facts *f);
/* Sessions of other users aren't told to an ordinary one: then a link may be theirs. */
bool facts_others_are_unknown(const struct facts *f);
/* While a session is there, its back-end may well have written the file. */
bool facts_resolv_conf_is_left_over(const struct facts *f);
/* The DNS server's own address in a session. Version 0: the family is off. */
struct ip_addr session_dns_address(const struct session_facts *s, uint8_t version);

#endif
