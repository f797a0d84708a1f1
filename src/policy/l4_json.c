#include "policy/l4_json.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/json_text.h"
#include "policy/l4_value.h"
#include "policy/shown.h"

/* Each object has a table of its members. A reader of a value tells what is wrong with it alone;
 * the names on the way to it are put before that: "Settings.InboundExceptions.PortExceptions: port
 * 90001 …". What can't be read is told, and the rest read on. */

enum kind { TEXT, LIST, OBJECT, NUMBER };

struct member {
    const char *name;
    enum kind kind;
    size_t at; /* where in what the object is read into */
    int (*read)(const json_t *value, void *into, struct diag *d);
    const struct member *members; /* of an OBJECT, in place of `read` */
};

#define PATH_SIZE 64 /* "Settings.InboundExceptions." */

/* One policy, and where what is wrong with it goes. */
struct reading {
    l4_problem_fn *tell;
    void *arg;
    size_t policy; /* its index */
    char path[PATH_SIZE];
    size_t problems;
    int first_err;
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

static void problem(struct reading *r, int err, const char *text)
{
    if (r->problems++ == 0)
        r->first_err = err;
    r->tell(r->arg, r->policy, text);
}

static void member_problem(struct reading *r, int err, const char *name, const char *text)
{
    char all[sizeof(((struct diag *)NULL)->text)];

    (void)str_format(all, sizeof(all), "%s%s: %s", r->path, name, text);
    problem(r, err, all);
}

static const struct member *find_member(const struct member *members, const char *name)
{
    while (members->name != NULL && !str_eq(members->name, name))
        members++;
    return members->name != NULL ? members : NULL;
}

static void refuse_member(struct reading *r, const struct member *members, const char *name)
{
    char text[PATH_SIZE + sizeof("unknown member; it is spelled ")];

    for (; members->name != NULL; members++) {
        if (str_eq_nocase(members->name, name)) {
            (void)str_format(text, sizeof(text), "unknown member; it is spelled %s", members->name);
            member_problem(r, ERR_FORMAT, shown(name).text, text);
            return;
        }
    }
    member_problem(r, ERR_FORMAT, shown(name).text,
                   "unknown member. Is it mistyped? stile-policy(1) lists those that there are");
}

static void read_object(struct reading *r, const json_t *v, const struct member *members,
                        void *into);

static void read_inner_object(struct reading *r, const json_t *v, const struct member *m,
                              void *into)
{
    size_t len = strlen(r->path);

    (void)str_format(r->path + len, sizeof(r->path) - len, "%s.", m->name);
    read_object(r, v, m->members, into);
    r->path[len] = '\0';
}

static void read_member(struct reading *r, const struct member *members, const char *name,
                        const json_t *v, void *into)
{
    const struct member *m = find_member(members, name);
    struct diag d = {0};

    if (m == NULL) {
        refuse_member(r, members, name);
        return;
    }
    if (json_is_null(v) || (is_text(v) && json_string_length(v) == 0))
        return; /* as if it weren't there: some programs write all members */
    void *at = (char *)into + m->at;
    if (!is_kind(v, m->kind))
        member_problem(r, ERR_FORMAT, m->name, kind_texts[m->kind]);
    else if (m->kind == OBJECT)
        read_inner_object(r, v, m, at);
    else if (m->read(v, at, &d) < 0)
        member_problem(r, d.err, m->name, d.text);
}

static void read_object(struct reading *r, const json_t *v, const struct member *members,
                        void *into)
{
    /* jansson's iterators take the object as one that may be changed; this doesn't. */
    json_t *object = json_incref((json_t *)(uintptr_t)v);
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) read_member(r, members, name, value, into);
    json_decref(object);
}

/* ---- Values ---- */

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

static int read_priority(const json_t *v, void *into, struct diag *d)
{
    uint16_t *priority = into;
    json_int_t n = json_integer_value(v);

    if (json_is_string(v) ? str_to_u16(json_string_value(v), priority) < 0
                          : n < 0 || n > UINT16_MAX)
        return diag_set(d, ERR_FORMAT, 0, "%s", kind_texts[NUMBER]);
    if (json_is_integer(v))
        *priority = (uint16_t)n;
    return 0;
}

static int read_protocols(const json_t *v, void *into, struct diag *d)
{
    return l4_protocols_parse(json_string_value(v), into, d);
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

static int read_sid(const json_t *v, void *into, struct diag *d)
{
    return l4_sid_parse(json_string_value(v), into, d);
}

static int read_uid(const json_t *v, void *into, struct diag *d)
{
    struct l4_guard *g = into;
    int r = l4_id_parse(json_string_value(v), &g->uid, d);

    g->has_uid = r == 0;
    return r;
}

static int read_gid(const json_t *v, void *into, struct diag *d)
{
    struct l4_guard *g = into;
    int r = l4_id_parse(json_string_value(v), &g->gid, d);

    g->has_gid = r == 0;
    return r;
}

static int read_cgroup(const json_t *v, void *into, struct diag *d)
{
    return l4_cgroup_parse(json_string_value(v), into, d);
}

static int read_udp_mode(const json_t *v, void *into, struct diag *d)
{
    return l4_udp_parse(json_string_value(v), into, d);
}

static int read_type(const json_t *v, void *into UNUSED, struct diag *d)
{
    if (!str_eq(json_string_value(v), L4_TYPE))
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is another kind of policy: it must be \"%s\"",
                        shown(json_string_value(v)).text, L4_TYPE);
    return 0;
}

/* ---- Objects ---- */

#define OF_DIRECTION(field) offsetof(struct l4_direction, field)
#define OF_POLICY(field)    offsetof(struct l4_policy, field)

static const struct member exception_members[] = {
    {"PortExceptions", LIST, OF_DIRECTION(port_exceptions), read_port_exceptions, NULL},
    {"IpAddressExceptions", LIST, OF_DIRECTION(address_exceptions), read_address_exceptions, NULL},
    {0},
};

static const struct member filter_members[] = {
    {"Protocols", TEXT, OF_POLICY(protocols), read_protocols, NULL},
    {"LocalAddresses", TEXT, OF_POLICY(local_addresses), read_prefixes, NULL},
    {"RemoteAddresses", TEXT, OF_POLICY(remote_addresses), read_prefixes, NULL},
    {"LocalPorts", TEXT, OF_POLICY(local_ports), read_ports, NULL},
    {"RemotePorts", TEXT, OF_POLICY(remote_ports), read_ports, NULL},
    {"Priority", NUMBER, OF_POLICY(priority), read_priority, NULL},
    {0},
};

static const struct member settings_members[] = {
    {"InboundProxyPort", TEXT, OF_POLICY(inbound.proxy_port), read_port, NULL},
    {"OutboundProxyPort", TEXT, OF_POLICY(outbound.proxy_port), read_port, NULL},
    {"Port", TEXT, 0, read_old_port, NULL},
    {"FilterTuple", OBJECT, 0, NULL, filter_members},
    {"InboundExceptions", OBJECT, OF_POLICY(inbound), NULL, exception_members},
    {"OutboundExceptions", OBJECT, OF_POLICY(outbound), NULL, exception_members},
    {"UserSID", TEXT, OF_POLICY(guard.user_sid), read_sid, NULL},
    {"UserID", TEXT, OF_POLICY(guard), read_uid, NULL},
    {"GroupID", TEXT, OF_POLICY(guard), read_gid, NULL},
    {"Cgroup", TEXT, OF_POLICY(guard.cgroup), read_cgroup, NULL},
    {"UdpMode", TEXT, OF_POLICY(udp), read_udp_mode, NULL},
    {0},
};

#define LIST_MEMBER "Policies"

static const struct member policy_members[] = {
    {"Type", TEXT, 0, read_type, NULL},
    {"Settings", OBJECT, 0, NULL, settings_members},
    {0},
};

/* False: a problem at least was told, and *into is none that may be used. */
static bool read_policy(struct reading *r, const json_t *v, struct l4_policy *into)
{
    size_t before = r->problems;

    l4_policy_init(into);
    if (!json_is_object(v))
        problem(r, ERR_FORMAT,
                "a policy is an object: {\"Type\":\"" L4_TYPE "\",\"Settings\":{...}}");
    else if (json_object_get(v, LIST_MEMBER) != NULL)
        problem(r, ERR_FORMAT,
                "this is a rule, as stile policy watch and stile-cni take them, and no policy");
    else if (!json_is_string(json_object_get(v, "Type")))
        problem(r, ERR_FORMAT, "Type: is missing, or no text: it must be \"" L4_TYPE "\"");
    else if (!json_is_object(json_object_get(v, "Settings")))
        problem(r, ERR_FORMAT, "Settings: is missing, or no object");
    else
        read_object(r, v, policy_members, into);
    return r->problems == before;
}

/* ---- One ---- */

/* What is told where there is room for one text only. */
struct summary {
    size_t count, policy; /* the first one's */
    char first[sizeof(((struct diag *)NULL)->text)];
};

static void keep_first(void *arg, size_t policy, const char *text)
{
    struct summary *s = arg;

    if (s->count++ > 0)
        return;
    s->policy = policy;
    (void)str_format(s->first, sizeof(s->first), "%s", text);
}

static int tell_summary(const struct summary *s, const char *what, int err, struct diag *d)
{
    char more[48] = "";

    if (s->count > 1)
        (void)str_format(more, sizeof(more), " (and %zu more %s)", s->count - 1,
                         s->count > 2 ? "problems" : "problem");
    return diag_set(d, err, 0, "%s%s%.*s%s", what, str_is_empty(what) ? "" : ", ",
                    (int)(sizeof(d->text) - sizeof(more) - strlen(what) - sizeof(", ")), s->first,
                    more);
}

int l4_json_read_policy(const json_t *value, const char *what, struct l4_policy *ret,
                        struct diag *d)
{
    struct summary s = {0};
    struct reading r = {.tell = keep_first, .arg = &s};
    struct l4_policy p;

    if (!read_policy(&r, value, &p))
        return tell_summary(&s, what != NULL ? what : "", r.first_err, d);
    *ret = p;
    return 0;
}

/* ---- All of a text ---- */

static void policy_that_matches_nothing(struct l4_policy *ret)
{
    l4_policy_init(ret);
    ret->protocols = 0;
}

static int read_one(struct reading *r, const json_t *v, struct l4_policies *l, struct diag *d)
{
    struct l4_policy p;

    if (!read_policy(r, v, &p))
        policy_that_matches_nothing(&p);
    int err = l4_policies_add(l, &p);
    return err < 0 ? diag_set(d, err, 0, "%s", err_text(err)) : 0;
}

static int read_list(struct reading *r, const json_t *list, struct l4_policies *l, struct diag *d)
{
    size_t count = json_array_size(list);
    int err = 0;

    if (count > L4_POLICIES_MAX)
        return diag_set(d, ERR_LIMIT, 0, "%zu policies are too many: at most %d", count,
                        L4_POLICIES_MAX);
    for (; r->policy < count && err == 0; r->policy++)
        err = read_one(r, json_array_get(list, r->policy), l, d);
    return err;
}

static int refuse_others(const json_t *root, struct diag *d)
{
    json_t *object = json_incref((json_t *)(uintptr_t)root);
    const char *name;
    json_t *value;
    int err = 0;

    json_object_foreach(object, name, value)
    {
        if (!str_eq(name, LIST_MEMBER))
            err = diag_set(d, ERR_FORMAT, 0,
                           "%s: unknown member: beside " LIST_MEMBER " there is none",
                           shown(name).text);
    }
    json_decref(object);
    return err;
}

static int read_document(struct reading *r, const json_t *root, struct l4_policies *l,
                         struct diag *d)
{
    const json_t *list = json_object_get(root, LIST_MEMBER);

    if (json_is_array(root))
        return read_list(r, root, l, d);
    if (!json_is_object(root))
        return diag_set(d, ERR_FORMAT, 0, "this is neither a policy nor a list of them");
    if (json_object_get(root, "Rules") != NULL)
        return diag_set(d, ERR_FORMAT, 0,
                        "this is a file of rules, for stile policy watch and stile-cni; policies "
                        "are a list: [{\"Type\":\"" L4_TYPE "\",\"Settings\":{...}}]");
    if (list == NULL)
        return read_one(r, root, l, d);
    if (!json_is_array(list))
        return diag_set(d, ERR_FORMAT, 0, LIST_MEMBER ": must be a list of policies");
    int err = refuse_others(root, d);
    return err < 0 ? err : read_list(r, list, l, d);
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

static int read_text(struct slice text, struct reading *r, struct l4_policies *l, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *root = NULL;

    if (text.len > L4_JSON_MAX)
        return diag_set(d, ERR_TOOBIG, 0, "this is too long for policies: at most %zu bytes",
                        L4_JSON_MAX);
    int err = skip_mark(&text, d);
    if (err < 0)
        return err;
    if (text.len == 0)
        return diag_set(d, ERR_FORMAT, 0, "this is empty: [] is no policies");
    err = json_text_read(text, 0, &root, d);
    return err < 0 ? err : read_document(r, root, l, d);
}

int l4_json_read_all(struct slice text, struct l4_policies *ret, l4_problem_fn *on_problem,
                     void *arg, struct diag *d)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    struct reading r = {.tell = on_problem, .arg = arg};

    l4_policies_init(&l);
    int err = read_text(text, &r, &l, d);
    if (err < 0)
        return err;
    *ret = l;
    l4_policies_init(&l);
    return 0;
}

int l4_json_read(struct slice text, struct l4_policies *ret, struct diag *d)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    struct summary s = {0};
    struct reading r = {.tell = keep_first, .arg = &s};
    char what[32];

    l4_policies_init(&l);
    int err = read_text(text, &r, &l, d);
    if (err < 0)
        return err;
    (void)str_format(what, sizeof(what), "policy %zu", s.policy + 1);
    if (s.count > 0)
        return tell_summary(&s, what, r.first_err, d);
    *ret = l;
    l4_policies_init(&l);
    return 0;
}
