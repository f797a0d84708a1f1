#include "policy/l4_json.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/json_text.h"
#include "policy/l4_value.h"
#include "policy/shown.h"

static void decref(json_t **v)
{
    json_decref(*v);
}

/* Each object has a table of its members. A reader tells what is wrong with the value alone; the names on the way to it are put
 * before that on the way out: "Settings.InboundExceptions.PortExceptions: port 90001 …". */

enum kind { TEXT, LIST, OBJECT, NUMBER };

struct member {
    const char *name;
    enum kind kind;
    int (*read)(const json_t *value, void *into, struct diag *d);
};

static const char *const kind_texts[] = {
    [TEXT] = "must be a text in quotes",
    [LIST] = "must be a list of texts, such as [\"80\",\"443\"]",
    [OBJECT] = "must be an object: {...}",
    [NUMBER] = "must be a number from 0 to 65535",
};

static bool is_text(const json_t *v)
{
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static bool is_kind(const json_t *v, enum kind kind)
{
    switch (kind) {
    case TEXT:
        return is_text(v);
    case LIST:
        return json_is_array(v);
    case OBJECT:
        return json_is_object(v);
    case NUMBER:
        return json_is_integer(v) || is_text(v);
    }
    return false;
}

static const struct member *find_member(const struct member *members, const char *name)
{
    while (members->name != NULL && !str_eq(members->name, name))
        members++;
    return members->name != NULL ? members : NULL;
}

static int refuse_member(const struct member *members, const char *name, struct diag *d)
{
    for (; members->name != NULL; members++) {
        if (str_eq_nocase(members->name, name))
            return diag_set(d, ERR_FORMAT, 0, "%s: unknown member; it is spelled %s",
                            shown(name).text, members->name);
    }
    return diag_set(
        d, ERR_FORMAT, 0,
        "%s: unknown member. Is it mistyped? stile-policy(1) lists those that there are",
        shown(name).text);
}

static int read_member(const struct member *members, const char *name, const json_t *v, void *into,
                       struct diag *d)
{
    const struct member *m = find_member(members, name);

    if (m == NULL)
        return refuse_member(members, name, d);
    if (json_is_null(v) || (is_text(v) && json_string_length(v) == 0))
        return 0; /* as if it weren't there: some programs write all members */
    if (!is_kind(v, m->kind))
        return diag_set(d, ERR_FORMAT, 0, "%s: %s", m->name, kind_texts[m->kind]);
    int r = m->read(v, into, d);
    if (r < 0)
        (void)diag_prefix(d, m->kind == OBJECT ? "%s." : "%s: ", m->name);
    return r;
}

static int read_object(const json_t *v, const struct member *members, void *into, struct diag *d)
{
    /* jansson's iterators take the object as one that may be changed; this doesn't. */
    json_t *object = json_incref((json_t *)(uintptr_t)v);
    const char *name;
    json_t *value;
    int r = 0;

    json_object_foreach(object, name, value)
    {
        r = read_member(members, name, value, into, d);
        if (r < 0)
            break;
    }
    json_decref(object);
    return r;
}

static int read_port(const json_t *v, void *into, struct diag *d)
{
    return port_parse(json_string_value(v), into, d);
}

static int read_ports(const json_t *v, void *into, struct diag *d)
{
    return port_set_add_list(into, json_string_value(v), d);
}

static int read_prefixes(const json_t *v, void *into, struct diag *d)
{
    return prefix_set_add_list(into, json_string_value(v), d);
}

/* Like the other's errors: all ports that are wrong are named, not the first alone. */
static void name_wrong_ports_from(const json_t *list, size_t index, struct diag *d)
{
    struct buf text;
    struct port_set s = {0};
    struct diag one;

    buf_init(&text, sizeof(d->text));
    for (; index < json_array_size(list); index++) {
        const json_t *v = json_array_get(list, index);
        if (is_text(v) && port_set_add(&s, json_string_value(v), &one) == ERR_FORMAT)
            (void)buf_printf(&text, "; %s", one.text);
    }
    const char *more = buf_cstr(&text);
    if (d != NULL && more != NULL) {
        size_t len = strlen(d->text);
        (void)str_format(d->text + len, sizeof(d->text) - len, "%s", more);
    }
    buf_release(&text);
}

static int read_port_exceptions(const json_t *list, void *into, struct diag *d)
{
    struct port_set *s = into;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!is_text(v))
            return diag_set(d, ERR_FORMAT, 0, "%s", kind_texts[LIST]);
        int r = port_set_add(s, json_string_value(v), d);
        if (r == ERR_FORMAT)
            name_wrong_ports_from(list, i + 1, d);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_address_exceptions(const json_t *list, void *into, struct diag *d)
{
    struct prefix_set *s = into;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!is_text(v))
            return diag_set(d, ERR_FORMAT, 0, "must be a list of texts, such as [\"10.0.0.1\"]");
        int r = prefix_set_add(s, json_string_value(v), d);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_direction_ports(const json_t *v, void *into, struct diag *d)
{
    struct l4_direction *direction = into;

    return read_port_exceptions(v, &direction->port_exceptions, d);
}

static int read_direction_addresses(const json_t *v, void *into, struct diag *d)
{
    struct l4_direction *direction = into;

    return read_address_exceptions(v, &direction->address_exceptions, d);
}

static const struct member exception_members[] = {
    {"PortExceptions", LIST, read_direction_ports},
    {"IpAddressExceptions", LIST, read_direction_addresses},
    {0},
};

static int read_priority(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;
    json_int_t n = json_integer_value(v);

    if (json_is_string(v) ? str_to_u16(json_string_value(v), &p->priority) < 0
                          : n < 0 || n > UINT16_MAX)
        return diag_set(d, ERR_FORMAT, 0, "%s", kind_texts[NUMBER]);
    if (json_is_integer(v))
        p->priority = (uint16_t)n;
    return 0;
}

static int read_protocols(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return l4_protocols_parse(json_string_value(v), &p->protocols, d);
}

static int read_local_addresses(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_prefixes(v, &p->local_addresses, d);
}

static int read_remote_addresses(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_prefixes(v, &p->remote_addresses, d);
}

static int read_local_ports(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_ports(v, &p->local_ports, d);
}

static int read_remote_ports(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_ports(v, &p->remote_ports, d);
}

static const struct member filter_members[] = {
    {"Protocols", TEXT, read_protocols},
    {"LocalAddresses", TEXT, read_local_addresses},
    {"RemoteAddresses", TEXT, read_remote_addresses},
    {"LocalPorts", TEXT, read_local_ports},
    {"RemotePorts", TEXT, read_remote_ports},
    {"Priority", NUMBER, read_priority},
    {0},
};

static int read_filter(const json_t *v, void *into, struct diag *d)
{
    return read_object(v, filter_members, into, d);
}

static int read_inbound_port(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_port(v, &p->inbound.proxy_port, d);
}

static int read_outbound_port(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_port(v, &p->outbound.proxy_port, d);
}

/* For a direction that has no member of its own, before or after this one. */
static int read_old_port(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;
    uint16_t port;
    int r = read_port(v, &port, d);

    if (r < 0)
        return r;
    if (p->inbound.proxy_port == 0)
        p->inbound.proxy_port = port;
    if (p->outbound.proxy_port == 0)
        p->outbound.proxy_port = port;
    return 0;
}

static int read_inbound_exceptions(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_object(v, exception_members, &p->inbound, d);
}

static int read_outbound_exceptions(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return read_object(v, exception_members, &p->outbound, d);
}

static int read_sid(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return l4_sid_parse(json_string_value(v), p->guard.user_sid, d);
}

static int read_uid(const json_t *v, void *into, struct diag *d)
{
    struct l4_guard *g = &((struct l4_policy *)into)->guard;
    int r = l4_id_parse(json_string_value(v), &g->uid, d);

    g->has_uid = r == 0;
    return r;
}

static int read_gid(const json_t *v, void *into, struct diag *d)
{
    struct l4_guard *g = &((struct l4_policy *)into)->guard;
    int r = l4_id_parse(json_string_value(v), &g->gid, d);

    g->has_gid = r == 0;
    return r;
}

static int read_cgroup(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return l4_cgroup_parse(json_string_value(v), p->guard.cgroup, d);
}

static int read_udp_mode(const json_t *v, void *into, struct diag *d)
{
    struct l4_policy *p = into;

    return l4_udp_parse(json_string_value(v), &p->udp, d);
}

static const struct member settings_members[] = {
    {"InboundProxyPort", TEXT, read_inbound_port},
    {"OutboundProxyPort", TEXT, read_outbound_port},
    {"Port", TEXT, read_old_port},
    {"FilterTuple", OBJECT, read_filter},
    {"InboundExceptions", OBJECT, read_inbound_exceptions},
    {"OutboundExceptions", OBJECT, read_outbound_exceptions},
    {"UserSID", TEXT, read_sid},
    {"UserID", TEXT, read_uid},
    {"GroupID", TEXT, read_gid},
    {"Cgroup", TEXT, read_cgroup},
    {"UdpMode", TEXT, read_udp_mode},
    {0},
};

static int read_settings(const json_t *v, void *into, struct diag *d)
{
    return read_object(v, settings_members, into, d);
}

static int read_type(const json_t *v, void *into, struct diag *d)
{
    (void)into;
    if (!str_eq(json_string_value(v), L4_TYPE))
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is another kind of policy: it must be \"%s\"",
                        shown(json_string_value(v)).text, L4_TYPE);
    return 0;
}

static const struct member policy_members[] = {
    {"Type", TEXT, read_type},
    {"Settings", OBJECT, read_settings},
    {0},
};

static int read_policy(const json_t *v, struct l4_policy *ret, struct diag *d)
{
    struct l4_policy p;

    l4_policy_init(&p);
    if (!json_is_object(v))
        return diag_set(d, ERR_FORMAT, 0,
                        "a policy is an object: {\"Type\":\"%s\",\"Settings\":{...}}", L4_TYPE);
    if (!json_is_string(json_object_get(v, "Type")))
        return diag_set(d, ERR_FORMAT, 0, "Type: is missing, or no text: it must be \"%s\"",
                        L4_TYPE);
    if (!json_is_object(json_object_get(v, "Settings")))
        return diag_set(d, ERR_FORMAT, 0, "Settings: is missing, or no object");
    int r = read_object(v, policy_members, &p, d);
    if (r == 0)
        *ret = p;
    return r;
}

int l4_json_read_policy(const json_t *value, const char *what, struct l4_policy *ret,
                        struct diag *d)
{
    int r = read_policy(value, ret, d);

    if (r < 0 && !str_is_empty(what))
        (void)diag_prefix(d, "%s, ", what);
    return r;
}

static int read_list(const json_t *list, struct l4_policies *l, struct diag *d)
{
    char what[32];

    for (size_t i = 0; i < json_array_size(list); i++) {
        struct l4_policy p;
        (void)str_format(what, sizeof(what), "policy %zu", i + 1);
        int r = l4_json_read_policy(json_array_get(list, i), what, &p, d);
        if (r == 0)
            r = l4_policies_add(l, &p);
        if (r == ERR_LIMIT)
            return diag_set(d, r, 0, "%zu policies are too many: at most %d", json_array_size(list),
                            L4_POLICIES_MAX);
        if (r == ERR_NOMEM)
            return diag_set(d, r, 0, "%s", err_text(r));
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_policies_member(const json_t *v, void *into, struct diag *d)
{
    return read_list(v, into, d);
}

static const struct member document_members[] = {
    {"Policies", LIST, read_policies_member},
    {0},
};

static int read_one(const json_t *v, struct l4_policies *l, struct diag *d)
{
    struct l4_policy p;
    int r = l4_json_read_policy(v, NULL, &p, d);

    if (r < 0)
        return r;
    r = l4_policies_add(l, &p);
    return r < 0 ? diag_set(d, r, 0, "%s", err_text(r)) : 0;
}

static int read_document(const json_t *root, struct l4_policies *l, struct diag *d)
{
    if (json_is_array(root))
        return read_list(root, l, d);
    if (json_object_get(root, "Policies") != NULL)
        return read_object(root, document_members, l, d);
    return read_one(root, l, d);
}

/* What editors and shells on Windows put in front of a text. */
static int skip_mark(struct slice *text, struct diag *d)
{
    static const uint8_t utf8[] = {0xef, 0xbb, 0xbf};

    if (text->len >= 2 && ((text->data[0] == 0xff && text->data[1] == 0xfe) ||
                           (text->data[0] == 0xfe && text->data[1] == 0xff)))
        return diag_set(d, ERR_FORMAT, 0, "this is UTF-16: save it as UTF-8");
    if (text->len >= sizeof(utf8) && memcmp(text->data, utf8, sizeof(utf8)) == 0)
        *text = slice_from(*text, sizeof(utf8));
    return 0;
}

int l4_json_read(struct slice text, struct l4_policies *ret, struct diag *d)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    CLEANUP(decref) json_t *root = NULL;

    l4_policies_init(&l);
    if (text.len > L4_JSON_MAX)
        return diag_set(d, ERR_TOOBIG, 0, "this is too long for policies: at most %zu bytes",
                        L4_JSON_MAX);
    int r = skip_mark(&text, d);
    if (r < 0)
        return r;
    if (text.len == 0)
        return diag_set(d, ERR_FORMAT, 0, "this is empty: [] is no policies");
    r = json_text_read(text, 0, &root, d);
    if (r < 0)
        return r;
    if (!json_is_array(root) && !json_is_object(root))
        return diag_set(d, ERR_FORMAT, 0, "this is neither a policy nor a list of them");
    r = read_document(root, &l, d);
    if (r < 0)
        return r;
    *ret = l;
    l4_policies_init(&l);
    return 0;
}
