#include "diag/dns_verdict.h"

#include <string.h>

#include "base/str.h"

#define REMEDY_RESTART "Start the session anew: stile down, then stile up"

const char *dns_verdict_name(enum dns_verdict_kind kind)
{
    static const char *const names[] = {
        [VERDICT_NONE] = "none",           [VERDICT_OK] = "ok",
        [VERDICT_NOT_ASKED] = "not-asked", [VERDICT_HIJACKED] = "hijacked",
        [VERDICT_TIMEOUT] = "timeout",     [VERDICT_FAILED] = "failed"};
    return names[kind];
}

/* A judgement in the making. */
struct judge {
    const struct facts *f;
    const struct dns_probe *p;
    const struct session_facts *s;
    size_t family;
    struct dns_verdict *v;
};

/* ---- who sends what where, in resolved ---- */

/* Bytes of the domain if the zone is it or lies in it; everything lies in the empty one. -1: no. */
static int match_length(const char *zone, const char *domain)
{
    size_t lz = strlen(zone), ld = strlen(domain);
    if (ld == 0)
        return 0;
    if (ld > lz || !str_eq_nocase(zone + (lz - ld), domain))
        return -1;
    return ld == lz || zone[lz - ld - 1] == '.' ? (int)ld : -1;
}

/* The longest domain that holds the zone, of our link, or of any other. */
static const struct resolved_domain *best_domain(const struct judge *j, bool of_our_link)
{
    const struct resolver_facts *r = &j->f->host.resolver;
    const struct resolved_domain *best = NULL;
    int longest = -1;
    for (size_t i = 0; i < r->domain_count; i++) {
        bool ours = str_eq(r->domains[i].interface_name, j->s->interface_name);
        int len = match_length(j->p->zone, r->domains[i].domain);
        if (ours != of_our_link || len <= longest)
            continue;
        longest = len;
        best = &r->domains[i];
    }
    return best;
}

static bool link_has_server(const struct judge *j)
{
    const struct resolver_facts *r = &j->f->host.resolver;
    const struct host_link *l = host_view_link_named(&j->f->host.view, j->s->interface_name);
    for (size_t i = 0; l != NULL && i < r->link_count; i++)
        if (r->links[i] == l->index)
            return true;
    return l == NULL; /* can't be told */
}

static void say_link(struct judge *j, const struct resolved_domain *d)
{
    const char *link = d->interface_name[0] != '\0' ? d->interface_name : "the whole system";
    j->v->kind = VERDICT_HIJACKED;
    (void)str_format(j->v->who, sizeof(j->v->who), "%s%s (%s in systemd-resolved)",
                     d->interface_name[0] != '\0' ? "the interface " : "", link,
                     d->domain[0] != '\0' ? d->domain : "every domain");
    (void)str_format(j->v->why, sizeof(j->v->why),
                     "systemd-resolved sends questions for %s to the servers of %s",
                     d->domain[0] != '\0' ? d->domain : "every domain", link);
    (void)str_format(j->v->remedy, sizeof(j->v->remedy),
                     "Take that domain from %s (it belongs to another VPN or to its connection's "
                     "settings; resolvectl domain shows it), or disconnect it",
                     link);
}

/* The domain of another link that is as long as ours or longer: its servers are asked too, or alone. NULL: none. */
static const struct resolved_domain *rival(const struct judge *j)
{
    const struct resolved_domain *ours = best_domain(j, true);
    const struct resolved_domain *other = best_domain(j, false);
    size_t our_length = ours != NULL ? strlen(ours->domain) : 0;
    bool wins = other != NULL && other->domain[0] != '\0' && strlen(other->domain) >= our_length;
    return wins ? other : NULL;
}

static void judge_resolved(struct judge *j)
{
    const struct resolved_domain *ours = best_domain(j, true);
    const struct resolved_domain *other = rival(j);
    struct dns_verdict *v = j->v;
    v->kind = VERDICT_NOT_ASKED;
    if (other != NULL) {
        say_link(j, other);
    } else if (ours == NULL || ours->domain[0] == '\0') {
        (void)str_format(v->why, sizeof(v->why),
                         "systemd-resolved isn't told to ask %s for %s (the interface lacks the "
                         "domain)",
                         j->s->interface_name, j->p->zone);
        (void)str_format(v->remedy, sizeof(v->remedy), REMEDY_RESTART);
    } else if (!link_has_server(j)) {
        (void)str_format(v->why, sizeof(v->why),
                         "systemd-resolved has no DNS server for the interface %s",
                         j->s->interface_name);
        (void)str_format(v->remedy, sizeof(v->remedy), REMEDY_RESTART);
    } else {
        (void)str_format(v->why, sizeof(v->why),
                         "systemd-resolved is told to ask %s for %s, and answered otherwise",
                         j->s->interface_name, j->p->zone);
        (void)str_format(v->remedy, sizeof(v->remedy),
                         "Let it forget what it knows (resolvectl flush-caches); if it stays so, "
                         "restart systemd-resolved");
    }
}

/* ---- resolv.conf ---- */

static bool is_our_server(const struct judge *j, const char *server)
{
    struct ip_addr a;
    return resolver_address(server, &a) == 0 &&
           (ip_addr_eq(&a, &j->p->ours[0]) || ip_addr_eq(&a, &j->p->ours[1]));
}

static const char *remedy_of_backend(const struct judge *j)
{
    if (str_eq(j->s->dns_backend, "none"))
        return "The service was told not to change the resolver (dns: none in "
               "/etc/stile/broker.yaml): let the system's resolver ask stile's DNS server for the "
               "zone, as stile up says at its start";
    return "Something wrote it after stile: see who (a DHCP client, another VPN), then start the "
           "session anew: stile down, then stile up";
}

static void judge_resolv_conf(struct judge *j)
{
    const struct resolvers *r = &j->f->host.resolver.resolvers;
    struct dns_verdict *v = j->v;
    const char *first = r->count > 0 ? r->addrs[0] : "127.0.0.1";
    bool there = false;
    for (size_t i = 0; i < r->count; i++)
        there = there || is_our_server(j, r->addrs[i]);
    v->kind = VERDICT_NOT_ASKED;
    if (!there && resolver_was_written_by_stile(&j->f->host.resolver)) {
        (void)str_format(v->why, sizeof(v->why),
                         "/etc/resolv.conf names the DNS server of another session, %s, and that "
                         "doesn't pass the question on",
                         first);
        (void)str_format(v->remedy, sizeof(v->remedy),
                         REMEDY_RESTART ". Until then stile run works");
        return;
    }
    if (r->count > 0 && is_our_server(j, first))
        (void)str_format(
            v->why, sizeof(v->why),
            "/etc/resolv.conf names stile's DNS server first, and yet another answered");
    else if (there)
        (void)str_format(v->why, sizeof(v->why),
                         "another resolver, %s, stands before stile's in /etc/resolv.conf", first);
    else
        (void)str_format(v->why, sizeof(v->why),
                         "/etc/resolv.conf names %s, not stile's DNS server", first);
    (void)str_format(v->remedy, sizeof(v->remedy), "%s", remedy_of_backend(j));
}

/* The resolver of resolv.conf that says what the system said. */
static const struct dns_other *who_said_so(const struct judge *j)
{
    for (size_t i = 0; i < j->p->other_count; i++) {
        const struct dns_other *o = &j->p->others[i];
        if (o->outcome == DNS_FOREIGN && ip_addr_eq(&o->got, &j->p->host_got[j->family]))
            return o;
    }
    return NULL;
}

static void name_the_answerer(struct judge *j)
{
    struct dns_verdict *v = j->v;
    const struct dns_other *o = who_said_so(j);
    char got[IP_ADDR_TEXT_SIZE];
    ip_addr_format(&j->p->host_got[j->family], got);
    v->kind = VERDICT_HIJACKED;
    if (v->who[0] != '\0')
        return; /* a link of resolved */
    if (o != NULL)
        (void)str_format(v->who, sizeof(v->who), "the resolver %s of /etc/resolv.conf (%s)",
                         o->server, got);
    else
        (void)str_format(v->who, sizeof(v->who), "someone who answers %s", got);
}

/* ---- the C library ---- */

static bool ends_in_local(const char *zone)
{
    return str_eq(zone, "local") || str_ends(zone, ".local");
}

/* Before any DNS server is asked at all. */
static bool judge_nss(struct judge *j)
{
    const struct resolver_facts *r = &j->f->host.resolver;
    struct dns_verdict *v = j->v;
    if (r->nsswitch_missing)
        return false;
    if (!resolver_has_service(r, "dns", false) && !resolver_has_service(r, "resolve", false)) {
        v->kind = VERDICT_NOT_ASKED;
        (void)str_format(v->why, sizeof(v->why),
                         "programs ask no DNS server: the line hosts: of /etc/nsswitch.conf has no "
                         "dns");
        (void)str_format(v->remedy, sizeof(v->remedy),
                         "Let the administrator add dns to it, as in: hosts: files dns");
        return true;
    }
    if (ends_in_local(j->p->zone) && resolver_has_service(r, "mdns", true)) {
        v->kind = VERDICT_HIJACKED;
        (void)str_format(v->who, sizeof(v->who), "multicast DNS (mdns in /etc/nsswitch.conf)");
        (void)str_format(v->why, sizeof(v->why),
                         "names that end in .local belong to multicast DNS on this host");
        (void)str_format(v->remedy, sizeof(v->remedy),
                         "Let the administrator put dns before mdns in the line hosts:, or ask the "
                         "gateway's for a zone outside of .local");
        return true;
    }
    return false;
}

static void judge_misled(struct judge *j, bool answered)
{
    if (judge_nss(j))
        return;
    if (resolver_uses_resolved(&j->f->host.resolver))
        judge_resolved(j);
    else
        judge_resolv_conf(j);
    if (answered)
        name_the_answerer(j);
}

static void judge_unanswered(struct judge *j, enum dns_verdict_kind kind, const char *what)
{
    const struct dns_probe *p = j->p;
    bool we_answer =
        p->direct[j->family][DNS_UDP] == DNS_OURS || p->direct[j->family][DNS_TCP] == DNS_OURS;
    bool by_resolved = resolver_uses_resolved(&j->f->host.resolver);
    struct dns_verdict *v = j->v;
    if (we_answer && by_resolved && rival(j) != NULL) {
        say_link(j, rival(j));
        return;
    }
    v->kind = kind;
    (void)str_format(v->why, sizeof(v->why), "the system's resolver %s for a name in %s%s", what,
                     p->zone,
                     we_answer ? ", though stile's DNS server answers when it is asked directly"
                               : "; stile's DNS server doesn't answer either");
    if (!we_answer)
        (void)str_format(v->remedy, sizeof(v->remedy), REMEDY_RESTART);
    else if (by_resolved)
        (void)str_format(v->remedy, sizeof(v->remedy),
                         "Look at systemd-resolved: resolvectl status (is DNSSEC or DNS over TLS "
                         "forced?), journalctl -u systemd-resolved");
    else
        (void)str_format(v->remedy, sizeof(v->remedy),
                         "See that the resolvers of /etc/resolv.conf can be reached, and that no "
                         "firewall of this host drops DNS");
}

void dns_judge(const struct facts *f, const struct dns_probe *p, size_t family,
               struct dns_verdict *ret)
{
    struct judge j = {.f = f, .p = p, .s = &f->sessions[p->session], .family = family, .v = ret};
    memset(ret, 0, sizeof(*ret));
    switch (p->host[family]) {
    case DNS_NOT_ASKED:
        break;
    case DNS_OURS:
        ret->kind = VERDICT_OK;
        if (resolver_uses_resolved(&f->host.resolver) && rival(&j) != NULL) {
            say_link(&j, rival(&j));
            ret->kind = VERDICT_OK; /* this time */
        }
        break;
    case DNS_FOREIGN:
        judge_misled(&j, true);
        break;
    case DNS_NO_NAME:
        judge_misled(&j, false);
        break;
    case DNS_FAILED:
        judge_unanswered(&j, VERDICT_FAILED, "gets an error");
        break;
    case DNS_SILENT:
        judge_unanswered(&j, VERDICT_TIMEOUT, "gets no answer in time");
        break;
    }
}
