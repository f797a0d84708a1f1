#include "engine/dns_answer.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

void dns_log(const struct dns_query *q, const struct name *zone, const char *verdict)
{
    char type[DNS_TYPE_TEXT_SIZE];

    if (!log_enabled(LOG_DEBUG))
        return;
    dns_type_format(q->type, type);
    log_write(LOG_DEBUG, "dns: name=%s type=%s zone=%s verdict=%s",
              q->name.len > 0 ? q->name.text : ".", type, zone != NULL ? zone->text : "-", verdict);
}

void dns_answer_error(const struct dns_query *q, enum dns_rcode rcode, struct wr *out)
{
    (void)dns_write_answer(out, q, &(struct dns_answer){.rcode = rcode});
}

static bool family_is_off(const struct names *n, uint16_t type)
{
    const struct names_config *c = names_config(n);

    return type == DNS_TYPE_A ? c->no_ipv4 : c->no_ipv6;
}

void dns_answer_app(struct names *n, const struct dns_query *q, const struct names_app *app,
                    struct wr *out)
{
    struct dns_answer a = {.authoritative = true, .ttl = DNS_ANSWER_TTL_S};
    struct name zone;

    bool in_zone = names_place(n, &app->fqdn, &zone) == NAMES_INSIDE;
    bool address =
        (q->type == DNS_TYPE_A || q->type == DNS_TYPE_AAAA) && !family_is_off(n, q->type);
    if (address)
        a.address = q->type == DNS_TYPE_A ? &app->v4 : &app->v6;
    else
        a.soa = in_zone ? &zone : &app->fqdn;
    (void)dns_write_answer(out, q, &a);
    dns_log(q, in_zone ? &zone : NULL, address ? "app" : "app, no such record");
}

/* PTR of a virtual address: the name, or that there is none; never upstream's business. */
static enum dns_step answer_reverse(struct names *n, const struct dns_query *q, struct wr *out)
{
    struct ip_addr addr;

    if (dns_parse_ptr(&q->name, &addr) < 0 || !names_in_ranges(n, &addr))
        return DNS_FORWARD;
    struct names_app *app = names_by_addr(n, &addr);
    struct dns_answer a = {.authoritative = true, .ttl = DNS_ANSWER_TTL_S};
    if (app == NULL)
        a.rcode = DNS_NXDOMAIN;
    if (app == NULL || q->type != DNS_TYPE_PTR)
        a.soa = &q->name;
    else
        a.ptr = &app->fqdn;
    (void)dns_write_answer(out, q, &a);
    dns_log(q, NULL, app != NULL ? "virtual address" : "virtual address without a name");
    names_app_unref(app);
    return DNS_REPLY;
}

static bool is_probe(const struct name *n, const struct name *zone)
{
    const char *dot = strchr(n->text, '.');

    return str_starts(n->text, DNS_PROBE_PREFIX) && dot != NULL && str_eq(dot + 1, zone->text);
}

/* Not to be kept by anyone on the way (TTL 0): the next answer may be another's. */
static void answer_probe(struct names *n, const struct dns_query *q, const struct name *zone,
                         struct wr *out)
{
    struct dns_answer a = {.authoritative = true};
    bool address =
        (q->type == DNS_TYPE_A || q->type == DNS_TYPE_AAAA) && !family_is_off(n, q->type);

    if (address)
        a.address = names_dns(n, q->type == DNS_TYPE_A ? 4 : 6);
    else
        a.soa = zone;
    (void)dns_write_answer(out, q, &a);
    dns_log(q, zone, "probe");
}

static enum dns_step answer_name(struct names *n, const struct dns_query *q, uint64_t now_ns,
                                 struct wr *out)
{
    struct name zone;
    enum names_place place = names_place(n, &q->name, &zone);

    if (place != NAMES_INSIDE)
        return answer_reverse(n, q, out);
    if (is_probe(&q->name, &zone)) {
        answer_probe(n, q, &zone, out);
        return DNS_REPLY;
    }
    struct names_app *app = names_by_name(n, &q->name);
    if (app == NULL)
        return DNS_RESOLVE;
    bool fresh = now_ns - app->resolved_ns < DNS_FRESH_NS;
    if (fresh)
        dns_answer_app(n, q, app, out);
    names_app_unref(app);
    return fresh ? DNS_REPLY : DNS_RESOLVE;
}

enum dns_step dns_answer(struct names *n, struct slice message, uint64_t now_ns,
                         struct dns_query *ret_query, struct wr *out)
{
    int err = dns_parse_query(message, ret_query);

    if (err == ERR_TRUNCATED || err == ERR_PROTOCOL)
        return DNS_DROP;
    if (err < 0) {
        dns_answer_error(ret_query, err == ERR_UNSUPPORTED ? DNS_NOTIMP : DNS_FORMERR, out);
        dns_log(ret_query, NULL, "malformed");
        return DNS_REPLY;
    }
    if (ret_query->edns && ret_query->edns_version > 0) {
        dns_answer_error(ret_query, DNS_BADVERS, out);
        dns_log(ret_query, NULL, "bad EDNS version");
        return DNS_REPLY;
    }
    if (ret_query->class != DNS_CLASS_IN)
        return DNS_FORWARD;
    return answer_name(n, ret_query, now_ns, out);
}
