/* The system's resolver itself: would it ask any DNS server at all, and does something keep old answers? */
#include "base/str.h"
#include "diag/check.h"

static void judge_nsswitch(const struct facts *f, struct findings *ret)
{
    const struct resolver_facts *r = &f->host.resolver;
    bool asks = r->nsswitch_missing || resolver_has_service(r, "dns", false) ||
                resolver_has_service(r, "resolve", false);
    if (asks)
        return;
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "nsswitch-no-dns", "");
    finding_title(n,
                  "Programs ask no DNS server: the line hosts: of /etc/nsswitch.conf has no dns");
    finding_detail(n, "It is: hosts:%.*s", (int)MIN(r->nsswitch_hosts.len, 200),
                   r->nsswitch_hosts.len > 0 ? (const char *)r->nsswitch_hosts.data : "");
    finding_remedy(n, "Let the administrator add dns to it, as in: hosts: files dns");
}

static void judge_caches(const struct facts *f, struct findings *ret)
{
    static const struct {
        const char *name, *remedy;
    } texts[CACHES] = {
        {"nscd",
         "If a name keeps an old answer: nscd -i hosts, as root; or switch its cache of hosts "
         "off in /etc/nscd.conf (enable-cache hosts no)"},
        {"sssd", "If a name keeps an old answer: sss_cache -E, as root"},
    };
    for (size_t i = 0; i < CACHES; i++) {
        /* sssd answers names of hosts only when it is told to. */
        if (!f->host.caches[i] ||
            (i == CACHE_SSSD && !resolver_has_service(&f->host.resolver, "sss", false)))
            continue;
        struct finding *n = findings_add(ret, SEVERITY_NOTICE, "name-cache", texts[i].name);
        finding_title(n, "%s keeps answers for programs, also those from before a session",
                      texts[i].name);
        finding_remedy(n, "%s", texts[i].remedy);
    }
}

static void tell(const struct facts *f, struct findings *ret)
{
    const struct resolver_facts *r = &f->host.resolver;
    char servers[256] = "";
    for (size_t i = 0; i < r->resolvers.count && i < 3; i++) {
        char longer[256];
        (void)str_format(longer, sizeof(longer), "%s%s%s", servers, i > 0 ? ", " : "",
                         r->resolvers.addrs[i]);
        (void)str_format(servers, sizeof(servers), "%s", longer);
    }
    struct finding *n = findings_add(ret, SEVERITY_OK, "resolver", "");
    if (resolver_uses_resolved(r))
        finding_title(n, "Programs ask systemd-resolved");
    else
        finding_title(n, "Programs ask the resolvers of /etc/resolv.conf: %s", servers);
}

static void run(const struct facts *f, struct findings *ret)
{
    size_t before = ret->count;
    judge_nsswitch(f, ret);
    if (ret->count == before && !facts_resolv_conf_is_left_over(f))
        tell(f, ret);
    judge_caches(f, ret);
}

const struct check check_resolver = {
    .id = "resolver", .heading = "The system's resolver", .run = run};
