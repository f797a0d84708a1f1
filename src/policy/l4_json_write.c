#include "policy/l4_json.h"

#include "base/str.h"
#include "policy/json_text.h"
#include "policy/l4_value.h"

/* Members that say nothing are left out. A maker returns NULL when memory runs out, and so does
 * what contains it. */

/* Takes the value. */
static bool put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

static bool put_text(json_t *object, const char *name, const char *text)
{
    return text[0] == '\0' || put(object, name, json_string(text));
}

static bool put_number_text(json_t *object, const char *name, bool given, uint32_t number)
{
    char text[12];

    (void)str_format(text, sizeof(text), "%u", number);
    return !given || put(object, name, json_string(text));
}

/* The texts of a set: a range that isn't long goes port by port. */
struct port_cursor {
    const struct port_set *set;
    size_t range;
    uint32_t offset;
};

static bool next_ports(struct port_cursor *c, char text[12])
{
    if (c->range == c->set->count)
        return false;
    struct port_range r = c->set->ranges[c->range];
    if (!port_range_is_long(r)) {
        uint16_t port = (uint16_t)(r.first + c->offset);
        bool last = port == r.last;
        r = (struct port_range){port, port};
        c->offset = last ? 0 : c->offset + 1;
        c->range += last;
    } else {
        c->range++;
    }
    port_range_format(r, text);
    return true;
}

static bool put_ports(json_t *object, const char *name, const struct port_set *s)
{
    CLEANUP(buf_release) struct buf b;
    struct port_cursor c = {.set = s};
    char text[12];
    int r = 0;

    buf_init(&b, SIZE_MAX);
    while (r == 0 && next_ports(&c, text))
        r = buf_printf(&b, "%s%s", buf_len(&b) > 0 ? "," : "", text);
    const char *list = r == 0 ? buf_cstr(&b) : NULL;
    return list != NULL && put_text(object, name, list);
}

static bool put_prefixes(json_t *object, const char *name, const struct prefix_set *s)
{
    CLEANUP(buf_release) struct buf b;
    char text[PREFIX_TEXT_SIZE];
    int r = 0;

    buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < s->count && r == 0; i++) {
        prefix_set_format_one(&s->prefixes[i], text);
        r = buf_printf(&b, "%s%s", i > 0 ? "," : "", text);
    }
    const char *list = r == 0 ? buf_cstr(&b) : NULL;
    return list != NULL && put_text(object, name, list);
}

static bool put_port_exceptions(json_t *object, const struct port_set *s)
{
    json_t *list = s->count > 0 ? json_array() : NULL;
    struct port_cursor c = {.set = s};
    char text[12];
    bool ok = true;

    if (s->count == 0)
        return true;
    while (ok && next_ports(&c, text))
        ok = json_array_append_new(list, json_string(text)) == 0;
    if (!ok) {
        json_decref(list);
        return false;
    }
    return put(object, "PortExceptions", list);
}

static bool put_address_exceptions(json_t *object, const struct prefix_set *s)
{
    json_t *list = s->count > 0 ? json_array() : NULL;
    char text[PREFIX_TEXT_SIZE];
    bool ok = true;

    if (s->count == 0)
        return true;
    for (size_t i = 0; i < s->count && ok; i++) {
        prefix_set_format_one(&s->prefixes[i], text);
        ok = json_array_append_new(list, json_string(text)) == 0;
    }
    if (!ok) {
        json_decref(list);
        return false;
    }
    return put(object, "IpAddressExceptions", list);
}

static bool put_exceptions(json_t *object, const char *name, const struct l4_direction *direction)
{
    if (direction->port_exceptions.count == 0 && direction->address_exceptions.count == 0)
        return true;
    json_t *o = json_object();
    if (put_port_exceptions(o, &direction->port_exceptions) &&
        put_address_exceptions(o, &direction->address_exceptions))
        return put(object, name, o);
    json_decref(o);
    return false;
}

static bool put_filter(json_t *object, const struct l4_policy *p)
{
    json_t *o = json_object();

    if (put_text(o, "Protocols", l4_protocols_numbers(p->protocols)) &&
        put_prefixes(o, "LocalAddresses", &p->local_addresses) &&
        put_prefixes(o, "RemoteAddresses", &p->remote_addresses) &&
        put_ports(o, "LocalPorts", &p->local_ports) &&
        put_ports(o, "RemotePorts", &p->remote_ports) &&
        (p->priority == 0 || put(o, "Priority", json_integer(p->priority))))
        return put(object, "FilterTuple", o);
    json_decref(o);
    return false;
}

static bool put_guard(json_t *object, const struct l4_guard *g)
{
    return put_text(object, "UserSID", g->user_sid) &&
           put_number_text(object, "UserID", g->has_uid, g->uid) &&
           put_number_text(object, "GroupID", g->has_gid, g->gid) &&
           put_text(object, "Cgroup", g->cgroup);
}

static bool put_proxy_port(json_t *object, const char *name, uint16_t port)
{
    return put_number_text(object, name, port != 0, port);
}

static bool put_settings(json_t *object, const struct l4_policy *p)
{
    json_t *o = json_object();

    if (put_proxy_port(o, "InboundProxyPort", p->inbound.proxy_port) &&
        put_proxy_port(o, "OutboundProxyPort", p->outbound.proxy_port) && put_filter(o, p) &&
        put_exceptions(o, "InboundExceptions", &p->inbound) &&
        put_exceptions(o, "OutboundExceptions", &p->outbound) && put_guard(o, &p->guard) &&
        (p->udp == L4_UDP_TPROXY || put_text(o, "UdpMode", l4_udp_word(p->udp))))
        return put(object, "Settings", o);
    json_decref(o);
    return false;
}

json_t *l4_json_policy(const struct l4_policy *p)
{
    json_t *o = json_object();

    if (put_text(o, "Type", L4_TYPE) && put_settings(o, p))
        return o;
    json_decref(o);
    return NULL;
}

json_t *l4_json_policies(const struct l4_policies *l)
{
    json_t *list = json_array();

    for (size_t i = 0; i < l->count && list != NULL; i++) {
        if (json_array_append_new(list, l4_json_policy(&l->items[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

struct sink {
    struct buf *to;
    int err;
};

static int on_bytes(const char *bytes, size_t len, void *arg)
{
    struct sink *s = arg;

    if (s->err == 0)
        s->err = buf_put(s->to, slice_of(bytes, len));
    return s->err;
}

int l4_json_write(const struct l4_policies *l, struct buf *ret)
{
    CLEANUP(json_text_unrefp) json_t *list = l4_json_policies(l);
    struct sink sink = {.to = ret};

    if (list == NULL)
        return ERR_NOMEM;
    int r = json_dump_callback(list, on_bytes, &sink, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (sink.err < 0)
        return sink.err; /* jansson 2.14 goes on after a failure in a member's name */
    return r < 0 ? ERR_NOMEM : 0;
}
