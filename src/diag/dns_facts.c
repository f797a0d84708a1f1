#include "diag/dns_facts.h"

#include "base/mem.h"
#include "base/str.h"
#include "diag/dns_question.h"
#include "diag/host_lookup.h"
#include "net/dns.h"

#define DIRECT_MS 1500
#define HOST_MS   4000 /* less than the C library's own patience with one server, 5 s */
#define OTHERS_MS 1500

static const struct {
    uint8_t version;
    uint16_t type;
} families[DNS_FAMILIES] = {{4, DNS_TYPE_A}, {6, DNS_TYPE_AAAA}};

/* An address is the right one or another. */
static enum dns_outcome judge(const struct dns_probe *p, size_t family, enum dns_outcome outcome,
                              const struct ip_addr *got)
{
    bool ours = outcome == DNS_FOREIGN && ip_addr_eq(got, &p->ours[family]);
    return ours ? DNS_OURS : outcome;
}

/* ---- our own server, directly ---- */

#define DIRECT_PER_PROBE ((size_t)DNS_FAMILIES * DNS_TRANSPORTS)

static void ask_directly(struct dns_probe *probes, size_t count)
{
    size_t room = count * DIRECT_PER_PROBE, n = 0;
    CLEANUP(mem_freep) struct dns_question *questions = mem_array(room, sizeof(*questions));
    CLEANUP(mem_freep) char(*servers)[IP_ADDR_TEXT_SIZE] = mem_array(room, IP_ADDR_TEXT_SIZE);
    if (questions == NULL || servers == NULL)
        return;
    for (size_t i = 0; i < room; i++) {
        const struct dns_probe *p = &probes[i / DIRECT_PER_PROBE];
        size_t family = i / DNS_TRANSPORTS % DNS_FAMILIES;
        if (p->ours[family].version == 0)
            continue;
        ip_addr_format(&p->ours[family], servers[n]);
        questions[n] = (struct dns_question){.server = servers[n],
                                             .transport = (enum dns_transport)(i % DNS_TRANSPORTS),
                                             .name = p->name,
                                             .type = families[family].type};
        n++;
    }
    dns_questions_ask(questions, n, DIRECT_MS);
    n = 0;
    for (size_t i = 0; i < room; i++) {
        struct dns_probe *p = &probes[i / DIRECT_PER_PROBE];
        size_t family = i / DNS_TRANSPORTS % DNS_FAMILIES;
        if (p->ours[family].version == 0)
            continue;
        p->direct[family][i % DNS_TRANSPORTS] =
            judge(p, family, questions[n].outcome, &questions[n].got);
        n++;
    }
}

/* ---- the system's resolver ---- */

static void ask_host(struct dns_probe *probes, size_t count)
{
    size_t room = MIN(count * DNS_FAMILIES, HOST_LOOKUPS_MAX), n = 0;
    CLEANUP(mem_freep) struct host_lookup *lookups = mem_array(room, sizeof(*lookups));
    if (lookups == NULL)
        return;
    for (size_t i = 0; i < room; i++) {
        const struct dns_probe *p = &probes[i / DNS_FAMILIES];
        if (p->ours[i % DNS_FAMILIES].version == 0)
            continue;
        lookups[n].version = families[i % DNS_FAMILIES].version;
        (void)str_format(lookups[n].name, sizeof(lookups[n].name), "%s", p->name);
        n++;
    }
    host_lookups_run(lookups, n, HOST_MS);
    n = 0;
    for (size_t i = 0; i < room; i++) {
        struct dns_probe *p = &probes[i / DNS_FAMILIES];
        size_t family = i % DNS_FAMILIES;
        if (p->ours[family].version == 0)
            continue;
        p->host_got[family] = lookups[n].got;
        p->host[family] = judge(p, family, lookups[n].outcome, &lookups[n].got);
        n++;
    }
}

/* ---- who else may have been asked ---- */

/* The family that the system's resolver got wrong, which the others are asked about; DNS_FAMILIES: none. */
static size_t wrong_family(const struct dns_probe *p)
{
    for (size_t family = 0; family < DNS_FAMILIES; family++)
        if (p->host[family] != DNS_NOT_ASKED && p->host[family] != DNS_OURS)
            return family;
    return DNS_FAMILIES;
}

static bool is_ours(const struct dns_probe *p, const char *server)
{
    struct ip_addr a;
    return resolver_address(server, &a) == 0 &&
           (ip_addr_eq(&a, &p->ours[0]) || ip_addr_eq(&a, &p->ours[1]));
}

static void ask_others(struct dns_probe *p, const struct resolver_facts *r)
{
    struct dns_question questions[RESOLVERS_MAX];
    size_t family = wrong_family(p);
    if (family == DNS_FAMILIES)
        return;
    for (size_t i = 0; i < r->resolvers.count; i++) {
        if (is_ours(p, r->resolvers.addrs[i]))
            continue;
        questions[p->other_count++] = (struct dns_question){
            .server = r->resolvers.addrs[i], .name = p->name, .type = families[family].type};
    }
    dns_questions_ask(questions, p->other_count, OTHERS_MS);
    for (size_t i = 0; i < p->other_count; i++) {
        struct dns_other *o = &p->others[i];
        (void)str_format(o->server, sizeof(o->server), "%s", questions[i].server);
        o->outcome = judge(p, family, questions[i].outcome, &questions[i].got);
        o->got = questions[i].got;
    }
}

void dns_probes_ask(struct dns_probe *probes, size_t count, const struct resolver_facts *r)
{
    ask_directly(probes, count);
    ask_host(probes, count);
    /* What one probe shows of the other resolvers, the rest would repeat. */
    unsigned asked = 0;
    for (size_t i = 0; i < count && asked < 2; i++) {
        ask_others(&probes[i], r);
        asked += probes[i].other_count > 0;
    }
}
