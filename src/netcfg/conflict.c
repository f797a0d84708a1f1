#include "netcfg/conflict.h"

#include "base/buf.h"
#include "base/str.h"

/* Prefixes no longer than this cover everything, or half of it. */
enum {
    EVERYTHING_BITS = 1,
    PLACE_SIZE = 96,
    REASONS_MAX = RANGE_CHOICE_TEXT_SIZE - PREFIX_TEXT_SIZE - 16, /* and the outcome behind them */
};

/* Candidates for *found replace it when they are more specific. */
struct search {
    const struct conflict_query *query;
    const struct prefix *wanted;
    bool any;
    struct conflict found;
};

/* "tailscale0 (tun, Tailscale)"; empty for no link. */
static void describe_link(const struct host_link *link, char text[PLACE_SIZE])
{
    const char *product = link == NULL ? NULL : host_link_product(link);
    const bool named = product != NULL && !str_starts(product, "a ") && !str_starts(product, "an ");

    if (link == NULL)
        text[0] = '\0';
    else if (link->kind[0] != '\0' && named)
        (void)str_format(text, PLACE_SIZE, "%s (%s, %s)", link->name, link->kind, product);
    else if (link->kind[0] != '\0')
        (void)str_format(text, PLACE_SIZE, "%s (%s)", link->name, link->kind);
    else
        (void)str_format(text, PLACE_SIZE, "%s", link->name);
}

static void describe(struct conflict *c, const char *what, const struct host_link *link)
{
    char place[PLACE_SIZE];
    char prefix[PREFIX_TEXT_SIZE];

    describe_link(link, place);
    if (c->kind == CONFLICT_ROUTE)
        prefix_format(&c->prefix, prefix);
    else
        ip_addr_format(&c->prefix.addr, prefix);
    (void)str_format(c->text, sizeof(c->text), "%s %s%s%s", what, prefix,
                     place[0] == '\0' ? "" : " on ", place);
}

static bool is_own(const struct search *s, const struct host_link *link)
{
    return link != NULL && s->query->own_link != NULL && str_eq(link->name, s->query->own_link);
}

/* An address that is found again as a route says less: equally specific ones stay behind the first. */
static void offer(struct search *s, enum conflict_kind kind, const struct prefix *p,
                  const struct host_link *link, const char *what)
{
    if (!prefix_overlaps(s->wanted, p) || is_own(s, link))
        return;
    if (s->any && p->bits <= s->found.prefix.bits)
        return;
    s->any = true;
    s->found = (struct conflict){.kind = kind, .prefix = *p};
    if (link != NULL)
        (void)str_format(s->found.interface, sizeof(s->found.interface), "%s", link->name);
    describe(&s->found, what, link);
}

static void offer_address(struct search *s, enum conflict_kind kind, const struct ip_addr *a,
                          const struct host_link *link, const char *what)
{
    struct prefix p;

    if (a->version != 0 && prefix_of(a, (uint8_t)(ip_addr_len(a) * 8), &p) == 0)
        offer(s, kind, &p, link, what);
}

/* "unreachable 10.0.0.0/8": nothing is lost where our longer prefix beats it. One that lies in the range is someone's. */
static bool leads_nowhere(const struct search *s, const struct host_route *route)
{
    return route->link_index == 0 && !route->local && route->dst.bits <= s->wanted->bits;
}

static void look_at_route(struct search *s, const struct host_route *route)
{
    const struct host_link *link = host_view_link(s->query->view, route->link_index);

    if (route->dst.bits > EVERYTHING_BITS && !leads_nowhere(s, route))
        offer(s, CONFLICT_ROUTE, &route->dst, link, "the route");
    offer_address(s, CONFLICT_NEXT_HOP, &route->via, link, "the next hop");
}

/* Addresses first: of one with all bits there is a local route too. */
static void look_at_host(struct search *s)
{
    const struct host_view *v = s->query->view;

    for (size_t i = 0; i < v->address_count; i++) {
        const struct host_address *a = &v->addresses[i];
        offer_address(s, CONFLICT_ADDRESS, &a->addr, host_view_link(v, a->link_index),
                      "the address");
    }
    for (size_t i = 0; i < v->route_count; i++)
        look_at_route(s, &v->routes[i]);
}

bool conflict_find(const struct conflict_query *q, const struct prefix *wanted,
                   struct conflict *ret)
{
    struct search s = {.query = q, .wanted = wanted};

    look_at_host(&s);
    for (size_t i = 0; i < q->needed_count && !s.any; i++)
        offer_address(&s, CONFLICT_NEEDED, &q->needed[i].addr, NULL, q->needed[i].what);
    if (s.any && ret != NULL)
        *ret = s.found;
    return s.any;
}

static void say(struct buf *b, const struct prefix *range, const struct conflict *c)
{
    char text[PREFIX_TEXT_SIZE];

    prefix_format(range, text);
    (void)buf_printf(b, "%s%s is taken by %s", buf_len(b) == 0 ? "" : ", ", text, c->text);
}

/* The reasons are cut rather than the outcome. */
static void finish(struct buf *reasons, const char *outcome, char ret_text[RANGE_CHOICE_TEXT_SIZE])
{
    const char *text = buf_len(reasons) == 0 ? "" : buf_cstr(reasons);

    (void)str_format(ret_text, RANGE_CHOICE_TEXT_SIZE, "%s%s", text == NULL ? "" : text, outcome);
}

int range_choose(const struct conflict_query *q, const struct prefix *candidates, size_t count,
                 size_t *ret_index, char ret_text[RANGE_CHOICE_TEXT_SIZE])
{
    CLEANUP(buf_release) struct buf reasons;
    char chosen[PREFIX_TEXT_SIZE];
    char outcome[PREFIX_TEXT_SIZE + 16];
    struct conflict c;
    size_t i = 0;

    buf_init(&reasons, REASONS_MAX);
    for (; i < count && conflict_find(q, &candidates[i], &c); i++)
        say(&reasons, &candidates[i], &c);
    if (i == count) {
        finish(&reasons, "; choose a free range with --range", ret_text);
        return ERR_EXISTS;
    }
    prefix_format(&candidates[i], chosen);
    (void)str_format(outcome, sizeof(outcome), "; using %s", chosen);
    finish(&reasons, i == 0 ? "" : outcome, ret_text);
    *ret_index = i;
    return 0;
}
