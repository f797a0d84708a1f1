#include "double_schema.h"

#include <string.h>

#include "base/str.h"

static bool is_text(const json_t *v, const char *text)
{
    return json_is_string(v) && str_eq(json_string_value(v), text);
}

/* Decimal, without leading zeros, at most `max`. */
static bool is_number_text(const char *s, uint64_t max)
{
    uint64_t v = 0;
    return s != NULL && s[0] != '0' && str_to_u64(s, max, &v) == 0;
}

static bool is_port(const json_t *v)
{
    return json_is_string(v) && is_number_text(json_string_value(v), UINT16_MAX);
}

/* a.b.c.d, perhaps /n */
static bool is_address_text(const char *s)
{
    size_t dots = 0, slashes = 0;
    for (const char *c = s; *c != '\0'; c++) {
        dots += *c == '.';
        slashes += *c == '/';
        if (strchr("0123456789./", *c) == NULL)
            return false;
    }
    return dots == 3 && slashes <= 1;
}

static bool is_port_text(const char *s)
{
    return is_number_text(s, UINT16_MAX);
}

static bool is_list(const json_t *v, bool (*one)(const char *))
{
    char text[64];
    const char *at = json_string_value(v);
    while (at != NULL) {
        size_t len = strcspn(at, ",");
        if (str_copy_slice(text, sizeof(text), slice_of(at, len)) < 0 || !one(text))
            return false;
        if (at[len] == '\0')
            return true;
        at += len + 1;
    }
    return false;
}

static bool is_array_of(const json_t *v, bool (*one)(const char *))
{
    size_t i = 0;
    const json_t *item = NULL;
    if (!json_is_array(v) || json_array_size(v) == 0)
        return false;
    json_array_foreach(v, i, item) if (!json_is_string(item) ||
                                       !one(json_string_value(item))) return false;
    return true;
}

static bool is_ports(const json_t *v)
{
    return is_list(v, is_port_text);
}

static bool is_addresses(const json_t *v)
{
    return is_list(v, is_address_text);
}

static bool is_port_array(const json_t *v)
{
    return is_array_of(v, is_port_text);
}

static bool is_address_array(const json_t *v)
{
    return is_array_of(v, is_address_text);
}

static bool is_tcp(const json_t *v)
{
    return is_text(v, "6");
}

static bool is_priority(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) > 0 && json_integer_value(v) <= UINT16_MAX;
}

static bool is_sid(const json_t *v)
{
    return json_is_string(v) && str_starts(json_string_value(v), "S-1-");
}

static bool is_wfp(const json_t *v)
{
    return is_text(v, "L4WFPPROXY");
}

static bool is_request_type(const json_t *v)
{
    return is_text(v, "Add") || is_text(v, "Remove");
}

static bool is_policy_word(const json_t *v)
{
    return is_text(v, "Policy");
}

static bool is_two(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) == 2;
}

static bool is_zero(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) == 0;
}

static bool is_any_array(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) > 0;
}

/* A member and what it may be: a value, or an object of members. */
struct rule {
    const char *name;
    bool (*is)(const json_t *);
    const struct rule *members; /* ended by a NULL name */
    bool required;
};

/* NULL, or the name of the member that is unknown, wrong or missing. An object without members is wrong, too. */
static const char *hold(const json_t *object, const struct rule *rules);

static const struct rule *find(const struct rule *rules, const char *name)
{
    for (; rules->name != NULL; rules++)
        if (str_eq(rules->name, name))
            return rules;
    return NULL;
}

static const char *hold(const json_t *object, const struct rule *rules)
{
    const char *name = NULL;
    json_t *value = NULL;
    if (!json_is_object(object) || json_object_size(object) == 0)
        return "an object is empty or none";
    for (const struct rule *r = rules; r->name != NULL; r++)
        if (r->required && json_object_get(object, r->name) == NULL)
            return r->name;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const struct rule *r = find(rules, name);
        if (r == NULL || (r->is != NULL && !r->is(value)))
            return name;
        const char *wrong = r->members != NULL ? hold(value, r->members) : NULL;
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static const struct rule version_rules[] = {
    {.name = "Major", .is = is_two, .required = true},
    {.name = "Minor", .is = is_zero, .required = true},
    {.name = NULL},
};

static const struct rule query_rules[] = {
    {.name = "SchemaVersion", .members = version_rules, .required = true},
    {.name = "Flags", .is = is_zero, .required = true},
    {.name = NULL},
};

static const struct rule filter_rules[] = {
    {.name = "Protocols", .is = is_tcp},
    {.name = "LocalAddresses", .is = is_addresses},
    {.name = "RemoteAddresses", .is = is_addresses},
    {.name = "LocalPorts", .is = is_ports},
    {.name = "RemotePorts", .is = is_ports},
    {.name = "Priority", .is = is_priority},
    {.name = NULL},
};

static const struct rule exception_rules[] = {
    {.name = "IpAddressExceptions", .is = is_address_array},
    {.name = "PortExceptions", .is = is_port_array},
    {.name = NULL},
};

static const struct rule settings_rules[] = {
    {.name = "InboundProxyPort", .is = is_port},
    {.name = "OutboundProxyPort", .is = is_port},
    {.name = "FilterTuple", .members = filter_rules},
    {.name = "UserSID", .is = is_sid},
    {.name = "InboundExceptions", .members = exception_rules},
    {.name = "OutboundExceptions", .members = exception_rules},
    {.name = NULL},
};

static const struct rule policy_rules[] = {
    {.name = "Type", .is = is_wfp, .required = true},
    {.name = "Settings", .members = settings_rules, .required = true},
    {.name = NULL},
};

static const struct rule change_rules[] = {
    {.name = "Policies", .is = is_any_array, .required = true},
    {.name = NULL},
};

static const struct rule request_rules[] = {
    {.name = "ResourceType", .is = is_policy_word, .required = true},
    {.name = "RequestType", .is = is_request_type, .required = true},
    {.name = "Settings", .members = change_rules, .required = true},
    {.name = NULL},
};

const char *double_check_query(const json_t *query)
{
    return hold(query, query_rules);
}

static const char *check_policy(const json_t *policy)
{
    const json_t *settings = json_object_get(policy, "Settings");
    const char *wrong = hold(policy, policy_rules);
    if (wrong == NULL && json_object_get(settings, "InboundProxyPort") == NULL &&
        json_object_get(settings, "OutboundProxyPort") == NULL)
        return "no proxy port";
    return wrong;
}

const char *double_check_request(const json_t *request)
{
    size_t i = 0;
    const json_t *policy = NULL;
    const char *wrong = hold(request, request_rules);
    if (wrong != NULL || is_text(json_object_get(request, "RequestType"), "Remove"))
        return wrong;
    json_array_foreach(json_object_get(json_object_get(request, "Settings"), "Policies"), i, policy)
    {
        wrong = check_policy(policy);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}
