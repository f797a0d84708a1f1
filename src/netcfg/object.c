#include "netcfg/object.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/name.h"

/* ---- parts that several kinds have ---- */

static bool addr_ok(const struct ip_addr *a)
{
    return a->version == 4 || a->version == 6;
}

static bool addr_ok_or_none(const struct ip_addr *a)
{
    return a->version == 0 || addr_ok(a);
}

static void put_addr(struct wr *w, const struct ip_addr *a)
{
    wr_u8(w, a->version);
    if (a->version != 0)
        wr_bytes(w, slice_of(a->bytes, ip_addr_len(a)));
}

static void get_addr(struct rd *r, struct ip_addr *a)
{
    *a = (struct ip_addr){.version = rd_u8(r)};
    if (!addr_ok_or_none(a))
        r->bad = true;
    else if (a->version != 0)
        rd_copy(r, a->bytes, ip_addr_len(a));
}

/* ---- the link's settings ---- */

static bool link_ok(const struct object *o)
{
    return o->settings.mtu <= 65535;
}

static void link_put(struct wr *w, const struct object *o)
{
    wr_u32(w, o->settings.mtu);
    wr_u32(w, o->settings.queue_len);
    wr_u8(w, o->settings.up);
}

static int link_get(struct rd *r, struct object *o)
{
    o->settings.mtu = rd_u32(r);
    o->settings.queue_len = rd_u32(r);
    uint8_t up = rd_u8(r);
    o->settings.up = up == 1;
    return up > 1 ? ERR_FORMAT : 0;
}

static void link_key(struct wr *w, const struct object *o)
{
    wr_u32(w, o->link_index);
    wr_bytes(w, slice_str(o->link));
}

static bool link_eq(const struct object *a, const struct object *b)
{
    return a->settings.mtu == b->settings.mtu && a->settings.queue_len == b->settings.queue_len &&
           a->settings.up == b->settings.up;
}

static void link_text(const struct object *o, char *text, size_t size)
{
    (void)str_format(text, size, "settings of %s", o->link);
}

/* ---- addresses ---- */

static bool address_ok(const struct object *o)
{
    const struct object_address *a = &o->address;
    return addr_ok(&a->addr) && a->bits <= ip_addr_len(&a->addr) * 8;
}

static void address_put(struct wr *w, const struct object *o)
{
    put_addr(w, &o->address.addr);
    wr_u8(w, o->address.bits);
}

static int address_get(struct rd *r, struct object *o)
{
    get_addr(r, &o->address.addr);
    o->address.bits = rd_u8(r);
    return 0;
}

static void address_key(struct wr *w, const struct object *o)
{
    address_put(w, o);
    link_key(w, o);
}

static bool address_eq(const struct object *a, const struct object *b)
{
    return ip_addr_eq(&a->address.addr, &b->address.addr) && a->address.bits == b->address.bits;
}

static void address_text(const struct object *o, char *text, size_t size)
{
    char addr[IP_ADDR_TEXT_SIZE];
    ip_addr_format(&o->address.addr, addr);
    (void)str_format(text, size, "address %s/%u on %s", addr, o->address.bits, o->link);
}

/* ---- routes ---- */

static bool route_ok(const struct object *o)
{
    const struct object_route *t = &o->route;
    uint8_t version = t->dst.addr.version;
    struct prefix clean;
    if (!addr_ok(&t->dst.addr) || prefix_of(&t->dst.addr, t->dst.bits, &clean) < 0 ||
        !prefix_eq(&clean, &t->dst))
        return false;
    return (t->source.version == 0 || t->source.version == version) &&
           (t->via.version == 0 || t->via.version == version);
}

static void route_key(struct wr *w, const struct object *o)
{
    put_addr(w, &o->route.dst.addr);
    wr_u8(w, o->route.dst.bits);
    wr_u32(w, o->route.metric);
    wr_u32(w, o->route.table);
}

static void route_put(struct wr *w, const struct object *o)
{
    route_key(w, o);
    put_addr(w, &o->route.source);
    put_addr(w, &o->route.via);
}

static int route_get(struct rd *r, struct object *o)
{
    get_addr(r, &o->route.dst.addr);
    o->route.dst.bits = rd_u8(r);
    o->route.metric = rd_u32(r);
    o->route.table = rd_u32(r);
    get_addr(r, &o->route.source);
    get_addr(r, &o->route.via);
    return 0;
}

static bool route_eq(const struct object *a, const struct object *b)
{
    return prefix_eq(&a->route.dst, &b->route.dst) && a->route.metric == b->route.metric &&
           a->route.table == b->route.table && ip_addr_eq(&a->route.source, &b->route.source) &&
           ip_addr_eq(&a->route.via, &b->route.via);
}

static void route_text(const struct object *o, char *text, size_t size)
{
    char dst[PREFIX_TEXT_SIZE];
    prefix_format(&o->route.dst, dst);
    (void)str_format(text, size, "route %s on %s", dst, o->link);
}

/* ---- DNS ---- */

static bool zone_ok(const char *zone)
{
    struct name n;
    if (memchr(zone, '\0', OBJECT_ZONE_SIZE) == NULL || zone[0] == '\0' ||
        !str_is_printable(slice_str(zone)))
        return false;
    return name_parse(zone, &n) == 0 && str_eq(n.text, zone);
}

static bool dns_ok(const struct object *o)
{
    const struct object_dns *d = &o->dns;
    if (d->server_count > OBJECT_SERVERS_MAX || d->zone_count > OBJECT_ZONES_MAX ||
        (d->flags & ~OBJECT_DNS_FLAGS) != 0)
        return false;
    for (size_t i = 0; i < d->server_count; i++)
        if (!addr_ok(&d->servers[i]))
            return false;
    for (size_t i = 0; i < d->zone_count; i++)
        if (!zone_ok(d->zones[i]))
            return false;
    return true;
}

static void dns_put(struct wr *w, const struct object *o)
{
    wr_u8(w, (uint8_t)o->dns.server_count);
    for (size_t i = 0; i < o->dns.server_count; i++)
        put_addr(w, &o->dns.servers[i]);
    wr_u32(w, o->dns.flags);
    wr_u8(w, (uint8_t)o->dns.zone_count);
    for (size_t i = 0; i < o->dns.zone_count; i++) {
        struct slice zone = slice_str(o->dns.zones[i]);
        wr_u8(w, (uint8_t)zone.len);
        wr_bytes(w, zone);
    }
}

static int zones_get(struct rd *r, struct object_dns *d)
{
    size_t count = rd_u8(r);
    if (r->bad || count > OBJECT_ZONES_MAX)
        return r->bad ? ERR_TRUNCATED : ERR_FORMAT;
    if (count == 0)
        return 0;
    d->zones = mem_array(count, OBJECT_ZONE_SIZE);
    if (d->zones == NULL)
        return ERR_NOMEM;
    d->zone_count = count;
    for (size_t i = 0; i < count; i++) {
        struct slice zone = rd_bytes(r, rd_u8(r));
        if (str_copy_slice(d->zones[i], OBJECT_ZONE_SIZE, zone) < 0)
            return ERR_FORMAT;
    }
    return 0;
}

static int dns_get(struct rd *r, struct object *o)
{
    size_t count = rd_u8(r);
    if (count > OBJECT_SERVERS_MAX)
        return ERR_FORMAT;
    o->dns.server_count = count;
    for (size_t i = 0; i < count; i++)
        get_addr(r, &o->dns.servers[i]);
    o->dns.flags = rd_u32(r);
    return zones_get(r, &o->dns);
}

static bool dns_eq(const struct object *a, const struct object *b)
{
    const struct object_dns *x = &a->dns, *y = &b->dns;
    if (x->server_count != y->server_count || x->flags != y->flags ||
        x->zone_count != y->zone_count)
        return false;
    for (size_t i = 0; i < x->server_count; i++)
        if (!ip_addr_eq(&x->servers[i], &y->servers[i]))
            return false;
    for (size_t i = 0; i < x->zone_count; i++)
        if (!str_eq(x->zones[i], y->zones[i]))
            return false;
    return true;
}

static void dns_text(const struct object *o, char *text, size_t size)
{
    (void)str_format(text, size, "DNS settings of %s", o->link);
}

/* ---- all kinds ---- */

static const struct kind {
    const char *name;
    bool (*ok)(const struct object *o);
    void (*put)(struct wr *w, const struct object *o);
    int (*get)(struct rd *r, struct object *o); /* reads past the end are told by r */
    void (*key)(struct wr *w, const struct object *o);
    bool (*eq)(const struct object *a, const struct object *b); /* of one kind and link */
    void (*text)(const struct object *o, char *text, size_t size);
} kinds[OBJECT_KIND_COUNT] = {
    [OBJECT_LINK] = {"link", link_ok, link_put, link_get, link_key, link_eq, link_text},
    [OBJECT_ADDRESS] = {"address", address_ok, address_put, address_get, address_key, address_eq,
                        address_text},
    [OBJECT_ROUTE] = {"route", route_ok, route_put, route_get, route_key, route_eq, route_text},
    [OBJECT_DNS] = {"DNS", dns_ok, dns_put, dns_get, link_key, dns_eq, dns_text},
};

static const struct kind *kind_of(const struct object *o)
{
    if (o->kind <= 0 || o->kind >= OBJECT_KIND_COUNT)
        return NULL;
    return &kinds[o->kind];
}

const char *object_kind_name(enum object_kind kind)
{
    const struct kind *k = kind_of(&(struct object){.kind = kind});
    return k == NULL ? "?" : k->name;
}

void object_release(struct object *o)
{
    if (o->kind == OBJECT_DNS)
        mem_free(o->dns.zones);
    *o = (struct object){0};
}

int object_copy(const struct object *o, struct object *ret_o)
{
    struct object copy = *o;
    if (o->kind == OBJECT_DNS && o->dns.zone_count > 0) {
        copy.dns.zones = mem_dup(o->dns.zones, o->dns.zone_count * OBJECT_ZONE_SIZE);
        if (copy.dns.zones == NULL)
            return ERR_NOMEM;
    } else if (o->kind == OBJECT_DNS) {
        copy.dns.zones = NULL;
    }
    *ret_o = copy;
    return 0;
}

int object_check(const struct object *o)
{
    const struct kind *k = kind_of(o);
    if (k == NULL || memchr(o->link, '\0', sizeof(o->link)) == NULL || o->link[0] == '\0' ||
        !str_is_printable(slice_str(o->link)) || strpbrk(o->link, " /") != NULL)
        return ERR_INVAL;
    return k->ok(o) ? 0 : ERR_INVAL;
}

void object_key(const struct object *o, struct object_key *ret_key)
{
    const struct kind *k = kind_of(o);
    struct wr w = wr_init(ret_key->bytes, sizeof(ret_key->bytes));
    wr_u8(&w, (uint8_t)o->kind);
    if (k != NULL)
        k->key(&w, o);
    ret_key->len = wr_len(&w);
}

bool object_eq(const struct object *a, const struct object *b)
{
    const struct kind *k = kind_of(a);
    return k != NULL && a->kind == b->kind && a->link_index == b->link_index &&
           str_eq(a->link, b->link) && k->eq(a, b);
}

void object_text(const struct object *o, char text[OBJECT_TEXT_SIZE])
{
    const struct kind *k = kind_of(o);
    text[0] = '\0';
    if (k != NULL)
        k->text(o, text, OBJECT_TEXT_SIZE);
    else
        (void)str_format(text, OBJECT_TEXT_SIZE, "object of unknown kind %d", (int)o->kind);
}

int object_encode(const struct object *o, struct buf *out)
{
    const struct kind *k = kind_of(o);
    uint8_t *space;
    int r = k == NULL ? ERR_INVAL : object_check(o);
    if (r == 0)
        r = buf_reserve(out, MIN(OBJECT_BYTES_MAX, out->cap - buf_len(out)), &space);
    if (r < 0)
        return r;
    struct wr w = wr_init(space, MIN(OBJECT_BYTES_MAX, out->cap - buf_len(out)));
    struct slice link = slice_str(o->link);
    wr_u8(&w, (uint8_t)o->kind);
    wr_u8(&w, (uint8_t)link.len);
    wr_bytes(&w, link);
    wr_u32(&w, o->link_index);
    k->put(&w, o);
    r = wr_end(&w);
    if (r == 0)
        buf_commit(out, wr_len(&w));
    return r;
}

static int decode(struct rd *r, struct object *o)
{
    struct object head = {.kind = rd_u8(r)};
    struct slice link = rd_bytes(r, rd_u8(r));
    head.link_index = rd_u32(r);
    if (r->bad)
        return ERR_TRUNCATED;
    const struct kind *k = kind_of(&head);
    if (k == NULL)
        return ERR_UNSUPPORTED;
    if (str_copy_slice(head.link, sizeof(head.link), link) < 0)
        return ERR_FORMAT;
    *o = head;
    int err = k->get(r, o);
    if (err == 0 || r->bad)
        err = rd_end(r);
    if (err == 0 && object_check(o) < 0)
        err = ERR_FORMAT;
    return err;
}

int object_decode(struct slice bytes, struct object *ret_o)
{
    CLEANUP(object_release) struct object o = {0};
    struct rd r = rd_init(bytes);
    int err = decode(&r, &o);
    if (err < 0)
        return err;
    *ret_o = o;
    o = (struct object){0};
    return 0;
}
