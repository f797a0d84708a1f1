#include "policy/hns_policy.h"

#include "policy/hns_json.h"
#include "policy/l4_json.h"
#include "policy/shown.h"

/* HNS's schema: a member is a value, or an object of such. */
struct member {
    const char *name;
    const struct member *members; /* ended by a NULL name; NULL: a value */
};

static const struct member filter_members[] = {
    {"Protocols", NULL},  {"LocalAddresses", NULL}, {"RemoteAddresses", NULL},
    {"LocalPorts", NULL}, {"RemotePorts", NULL},    {"Priority", NULL},
    {NULL, NULL}};
static const struct member exception_members[] = {
    {"IpAddressExceptions", NULL}, {"PortExceptions", NULL}, {NULL, NULL}};
static const struct member settings_members[] = {{"InboundProxyPort", NULL},
                                                 {"OutboundProxyPort", NULL},
                                                 {"Port", NULL},
                                                 {"FilterTuple", filter_members},
                                                 {"UserSID", NULL},
                                                 {"InboundExceptions", exception_members},
                                                 {"OutboundExceptions", exception_members},
                                                 {NULL, NULL}};
static const struct member policy_members[] = {
    {"Type", NULL}, {"Settings", settings_members}, {NULL, NULL}};

bool hns_policy_is(const json_t *value)
{
    return hns_json_is(json_object_get(value, "Type"), L4_TYPE);
}

/* Empty, null and 0 are how HNS says that something is not set. */
static bool is_unset(const json_t *value)
{
    return value == NULL || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_integer(value) && json_integer_value(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* A new object with the members that are known and set. NULL when memory runs out. */
static json_t *known_part(const json_t *value, const struct member *members)
{
    CLEANUP(json_text_unrefp) json_t *out = json_object();
    for (; out != NULL && members->name != NULL; members++) {
        json_t *member = json_object_get(value, members->name);
        if (is_unset(member))
            continue;
        CLEANUP(json_text_unrefp)
        json_t *part = members->members != NULL && json_is_object(member)
                           ? known_part(member, members->members)
                           : json_incref(member);
        if (part == NULL)
            return NULL;
        if (!is_unset(part) && json_object_set(out, members->name, part) < 0)
            return NULL;
    }
    return STEAL(out);
}

int hns_policy_read(const json_t *value, const char *what, struct l4_policy *ret, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *known = known_part(value, policy_members);
    if (known == NULL)
        return diag_no_memory(d);
    return l4_json_read_policy(known, what, ret, d);
}

/* From here on a real may be a whole number that json_int_t couldn't hold. */
#define INTEGERS_END 9223372036854775808.0

/* The name of the member that lost digits; of an array's, the array's. NULL: all is exact. */
static const char *inexact_member(json_t *value, const char *name)
{
    const char *found = NULL, *key = NULL;
    json_t *part = NULL;
    size_t i = 0;
    if (json_is_real(value)) {
        double n = json_real_value(value);
        return n >= INTEGERS_END || n <= -INTEGERS_END ? name : NULL;
    }
    json_array_foreach(value, i, part) if (found == NULL) found = inexact_member(part, name);
    json_object_foreach(value, key, part) if (found == NULL) found = inexact_member(part, key);
    return found;
}

int hns_policy_check_exact(const json_t *value, struct diag *d)
{
    json_t *whole = json_incref((json_t *)(uintptr_t)value); /* it isn't changed */
    const char *name = inexact_member(whole, "");
    int r = name == NULL
                ? 0
                : diag_set(d, ERR_UNSUPPORTED, 0,
                           "HNS holds a policy whose member \"%s\" has a number over 64 bits. It "
                           "could not be sent back to HNS as it was, which removing it takes: "
                           "remove it with the program that made it",
                           shown(name).text);
    json_decref(whole);
    return r;
}

json_t *hns_policy_make(const struct l4_policy *p)
{
    CLEANUP(json_text_unrefp) json_t *whole = l4_json_policy(p);
    return whole != NULL ? known_part(whole, policy_members) : NULL;
}

int hns_policy_plain(const struct l4_policy *p, struct l4_policy *ret, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *made = hns_policy_make(p);
    if (made == NULL)
        return diag_no_memory(d);
    return hns_policy_read(made, "the policy for HNS", ret, d);
}
