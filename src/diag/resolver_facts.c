/* How the system's resolver is set up: resolv.conf, nsswitch.conf, systemd-resolved. See diag/dns_facts.h. */
#include <net/if.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "diag/dns_facts.h"
#include "diag/small_file.h"
#include "netcfg/bus.h"

#define NSSWITCH_PATH "/etc/nsswitch.conf"
/* Begins the lines that are ours in resolv.conf (netcfg/resolv_text.h). */
#define OUR_LINE "#stile: "

static const struct bus_object resolve1 = {.service = "org.freedesktop.resolve1",
                                           .path = "/org/freedesktop/resolve1",
                                           .interface = "org.freedesktop.resolve1.Manager"};

/* ---- resolved ---- */

static void add_domain(struct resolver_facts *r, int32_t link, const char *domain)
{
    if (r->domain_count == RESOLVED_DOMAINS_MAX)
        return;
    struct resolved_domain *d = &r->domains[r->domain_count++];
    char name[IF_NAMESIZE] = "";
    size_t len = strlen(domain);
    if (len > 0 && domain[len - 1] == '.')
        len--;
    d->link_index = link > 0 ? (uint32_t)link : 0;
    (void)if_indextoname(d->link_index, name);
    (void)str_format(d->interface_name, sizeof(d->interface_name), "%s", name);
    if (str_copy_slice(d->domain, sizeof(d->domain), slice_of(domain, len)) < 0)
        r->domain_count--;
    else
        str_lower(d->domain);
}

static int load_domains(struct bus *bus, struct resolver_facts *r)
{
    CLEANUP(bus_message_freep) struct bus_message *m = NULL;
    struct diag d = {0};
    int err = bus_property(bus, &resolve1, "Domains", "a(isb)", &m, &d);
    if (err < 0)
        return err;
    if (!bus_enter(m, 'a', "(isb)"))
        return ERR_PROTOCOL;
    while (bus_enter(m, 'r', "isb")) {
        int32_t link = 0;
        const char *domain = NULL;
        int routing_only = 0;
        if (bus_get(m, "isb", &link, &domain, &routing_only) && domain != NULL)
            add_domain(r, link, domain);
        (void)bus_leave(m);
    }
    return 0;
}

static void add_link(struct resolver_facts *r, int32_t link)
{
    for (size_t i = 0; i < r->link_count; i++)
        if (r->links[i] == (uint32_t)link)
            return;
    if (link > 0 && r->link_count < RESOLVED_LINKS_MAX)
        r->links[r->link_count++] = (uint32_t)link;
}

static int load_links(struct bus *bus, struct resolver_facts *r)
{
    CLEANUP(bus_message_freep) struct bus_message *m = NULL;
    struct diag d = {0};
    int err = bus_property(bus, &resolve1, "DNS", "a(iiay)", &m, &d);
    if (err < 0)
        return err;
    if (!bus_enter(m, 'a', "(iiay)"))
        return ERR_PROTOCOL;
    while (bus_enter(m, 'r', "iiay")) {
        int32_t link = 0, family = 0;
        struct slice address;
        if (bus_get(m, "ii", &link, &family) && bus_get_bytes(m, &address))
            add_link(r, link);
        (void)bus_leave(m);
    }
    return 0;
}

static int load_resolved(struct resolver_facts *r)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    char owner[BUS_OWNER_SIZE];
    struct diag d = {0};
    int err = bus_open(&bus, &d);
    if (err == 0)
        err = bus_owner(bus, resolve1.service, owner, &d);
    if (err == 0)
        err = load_domains(bus, r);
    if (err == 0)
        err = load_links(bus, r);
    return err;
}

/* ---- files ---- */

/* The words behind "hosts:". */
static bool hosts_line(struct slice text, struct slice *ret)
{
    struct resolv_line line; /* the same lines and words, but for the colon */
    while (resolv_line_next(&text, &line)) {
        if (!slice_eq_str(line.keyword, "hosts:"))
            continue;
        size_t at = (size_t)(line.keyword.data - line.text.data) + line.keyword.len;
        *ret = slice_from(line.text, at);
        return true;
    }
    return false;
}

static void load_nsswitch(struct resolver_facts *r)
{
    CLEANUP(buf_release) struct buf text;
    struct slice words = {0};
    buf_init(&text, RESOLV_CONF_CAP);
    r->nsswitch_missing =
        small_file_read(NSSWITCH_PATH, &text) < 0 || !hosts_line(buf_slice(&text), &words);
    if (r->nsswitch_missing || words.len == 0)
        return;
    r->nsswitch_hosts = slice_of(mem_dup(words.data, words.len), words.len);
    if (r->nsswitch_hosts.data == NULL)
        r->nsswitch_hosts.len = 0;
}

static void load_resolv_conf(struct resolver_facts *r)
{
    struct buf text;
    buf_init(&text, RESOLV_CONF_CAP);
    if (small_file_read(RESOLV_CONF_PATH, &text) < 0)
        buf_clear(&text);
    struct slice all = buf_slice(&text);
    resolvers_parse(all, &r->resolvers);
    if (all.len > 0)
        r->resolv_conf = slice_of(mem_dup(all.data, all.len), all.len);
    if (r->resolv_conf.data == NULL)
        r->resolv_conf.len = 0;
    buf_release(&text);
}

void resolver_facts_load(struct resolver_facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    load_resolv_conf(ret);
    load_nsswitch(ret);
    ret->resolved_err = load_resolved(ret);
}

void resolver_facts_release(struct resolver_facts *r)
{
    mem_free((void *)(uintptr_t)r->resolv_conf.data);
    mem_free((void *)(uintptr_t)r->nsswitch_hosts.data);
    memset(r, 0, sizeof(*r));
}

/* ---- questions ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool resolver_has_service(const struct resolver_facts *r, const char *word, bool prefix)
{
    struct slice left = r->nsswitch_hosts;
    struct slice wanted = slice_str(word);
    while (left.len > 0) {
        size_t len = 0;
        while (len < left.len && !is_blank(left.data[len]))
            len++;
        bool fits = prefix ? len >= wanted.len : len == wanted.len;
        if (fits && slice_eq(slice_first(left, wanted.len), wanted))
            return true;
        left = slice_from(left, len + 1);
    }
    return false;
}

bool resolver_was_written_by_stile(const struct resolver_facts *r)
{
    return r->resolv_conf.len > 0 &&
           memmem(r->resolv_conf.data, r->resolv_conf.len, OUR_LINE, sizeof(OUR_LINE) - 1) != NULL;
}

bool resolver_uses_resolved(const struct resolver_facts *r)
{
    if (r->resolved_err != 0)
        return false;
    if (resolver_has_service(r, "resolve", false))
        return true;
    for (size_t i = 0; i < r->resolvers.count; i++)
        if (str_eq(r->resolvers.addrs[i], "127.0.0.53") ||
            str_eq(r->resolvers.addrs[i], "127.0.0.54"))
            return true;
    return false;
}
