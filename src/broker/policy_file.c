#include "broker/policy_file.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/pool.h"

enum policy_key {
    KEY_USERS,
    KEY_ALLOW_RANGES,
    KEY_ALLOW_ZONES,
    KEY_RANGES,
    KEY_DNS,
    KEY_ENGINE_UIDS,
    KEY_LOG,
    KEY_COUNT
};

static const struct yaml_key keys[KEY_COUNT] = {
    [KEY_USERS] = {"allow_users", false, NULL},
    [KEY_ALLOW_RANGES] = {"allow_ranges", false, NULL},
    [KEY_ALLOW_ZONES] = {"allow_zones", false, NULL},
    [KEY_RANGES] = {"ranges", false, NULL},
    [KEY_DNS] = {"dns", false, NULL},
    [KEY_ENGINE_UIDS] = {"engine_uids", false, NULL},
    [KEY_LOG] = {"log", false, NULL},
};

static const char *const default_ranges[] = {"100.64.0.0/10", "198.18.0.0/15", "10.213.0.0/16",
                                             "172.29.0.0/16", "192.168.213.0/24"};

enum { ENGINE_UID_FIRST = 61120, ENGINE_UID_LAST = 61183, UID_MIN = 100 };

static const char *const forbidden_ranges[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                                               "224.0.0.0/4", "240.0.0.0/4"};

bool policy_range_is_forbidden(const struct prefix *range)
{
    for (size_t i = 0; i < ARRAY_LEN(forbidden_ranges); i++) {
        struct prefix p;
        if (prefix_parse(forbidden_ranges[i], &p) == 0 && prefix_overlaps(&p, range))
            return true;
    }
    return false;
}

/* Text that is quoted in a message, cut. */
#define QUOTED(slice) (int)MIN((slice).len, 60), (const char *)(slice).data

/* ---- users ---- */

static bool add_id(uint32_t *ids, size_t *count, uint32_t id)
{
    if (*count == POLICY_USERS_MAX)
        return false;
    ids[(*count)++] = id;
    return true;
}

static void read_user(struct yaml_value v, struct policy *p)
{
    struct slice text;
    char name[256];
    bool room;
    if (!yaml_text(v, "a user", &text))
        return;
    if (str_copy_slice(name, sizeof(name), text) < 0) {
        yaml_problem(v, "the name of a user has at most %zu characters", sizeof(name) - 1);
        return;
    }
    if (name[0] == '@') {
        const struct group *group = getgrnam(name + 1);
        if (group == NULL) {
            yaml_problem(v,
                         "there is no group \"%s\" on this machine; write the name of one (see "
                         "`getent group`) behind the @",
                         name + 1);
            return;
        }
        room = add_id(p->gids, &p->gid_count, group->gr_gid);
    } else {
        const struct passwd *user = getpwnam(name);
        if (user == NULL) {
            yaml_problem(v,
                         "there is no user \"%s\" on this machine; write the name of one, or "
                         "\"@GROUP\" for all of a group",
                         name);
            return;
        }
        room = add_id(p->uids, &p->uid_count, user->pw_uid);
    }
    if (!room)
        yaml_problem(v, "allow_users has more than %d entries; name a group", POLICY_USERS_MAX);
}

static void read_users(struct yaml_value v, struct policy *p)
{
    void *iter = NULL;
    struct yaml_value item;
    while (yaml_next(v, "allow_users", &iter, &item))
        read_user(item, p);
}

/* ---- ranges ---- */

static bool read_range(struct yaml_value v, const char *what, struct prefix *ret)
{
    struct slice text;
    char copy[PREFIX_TEXT_SIZE];
    struct prefix range;
    if (!yaml_text(v, what, &text))
        return false;
    if (str_copy_slice(copy, sizeof(copy), text) < 0 || prefix_parse(copy, &range) < 0 ||
        range.addr.version != 4 || range.bits < 8 || range.bits > POOL_MAX_BITS) {
        yaml_problem(v,
                     "%s must be an IPv4 network of /8 to /29 with all host bits zero, such as "
                     "100.64.0.0/10, not \"%.*s\"",
                     what, QUOTED(text));
        return false;
    }
    if (policy_range_is_forbidden(&range)) {
        yaml_problem(v,
                     "%s overlaps loopback, link-local or multicast addresses, which the host "
                     "needs itself; use a private range, such as 100.64.0.0/10",
                     copy);
        return false;
    }
    *ret = range;
    return true;
}

static size_t read_ranges(struct yaml_value v, const char *name, const char *what,
                          struct prefix *ranges, size_t max)
{
    size_t count = 0;
    void *iter = NULL;
    struct yaml_value item;
    if (yaml_list_count(v) > max) {
        yaml_problem(v, "%s has %zu entries; at most %zu are allowed", name, yaml_list_count(v),
                     max);
        return 0;
    }
    if (yaml_is_list(v) && yaml_list_count(v) == 0)
        yaml_problem(v,
                     "%s is empty, so that no session could start; list a range or leave the "
                     "key out",
                     name);
    while (yaml_next(v, name, &iter, &item))
        if (read_range(item, what, &ranges[count]))
            count++;
    return count;
}

static bool is_allowed(const struct policy *p, const struct prefix *range)
{
    for (size_t i = 0; i < p->allow_range_count; i++)
        if (p->allow_ranges[i].bits <= range->bits &&
            prefix_contains(&p->allow_ranges[i], &range->addr))
            return true;
    return false;
}

/* The one list says where sessions may be, the other where they are put when nothing else was wished. */
static void read_both_ranges(struct yaml_value allow, struct yaml_value ranges, struct policy *p)
{
    if (yaml_present(ranges))
        p->range_count = read_ranges(ranges, "ranges", "a range", p->ranges, BROKER_RANGES_MAX);
    memcpy(p->allow_ranges, p->ranges, sizeof(p->ranges));
    p->allow_range_count = p->range_count;
    if (!yaml_present(allow))
        return;
    p->allow_range_count =
        read_ranges(allow, "allow_ranges", "an allowed range", p->allow_ranges, POLICY_RANGES_MAX);
    size_t kept = 0;
    for (size_t i = 0; i < p->range_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_format(&p->ranges[i], text);
        if (is_allowed(p, &p->ranges[i]))
            p->ranges[kept++] = p->ranges[i];
        else if (yaml_present(ranges))
            yaml_problem(ranges,
                         "range %s lies in none of the allow_ranges; add it there or take "
                         "it out here",
                         text);
    }
    p->range_count = kept;
    if (kept == 0 && !yaml_present(ranges))
        for (; p->range_count < MIN(p->allow_range_count, (size_t)BROKER_RANGES_MAX);
             p->range_count++)
            p->ranges[p->range_count] = p->allow_ranges[p->range_count];
}

/* ---- zones ---- */

static void read_zone(struct yaml_value v, struct policy *p)
{
    struct slice text;
    char copy[NAME_TEXT_SIZE];
    struct name *zone = &p->allow_zones[p->allow_zone_count];
    if (!yaml_text(v, "a zone", &text))
        return;
    if (slice_eq_str(text, "*")) {
        p->any_zone = true;
    } else if (str_copy_slice(copy, sizeof(copy), text) < 0 || name_parse(copy, zone) < 0 ||
               zone->len == 0) {
        yaml_problem(v,
                     "\"%.*s\" is no domain name; write one such as corp.example, or \"*\" for "
                     "any",
                     QUOTED(text));
    } else if (name_labels(zone) < 2) {
        yaml_problem(v,
                     "zone \"%s\" has only one label and would take over a whole top-level "
                     "domain; write a longer one, such as \"apps.%s\"",
                     zone->text, zone->text);
    } else {
        p->allow_zone_count++;
    }
}

static int read_zones(struct yaml_value v, struct policy *p)
{
    size_t count = yaml_list_count(v);
    void *iter = NULL;
    struct yaml_value item;
    if (!yaml_present(v))
        return 0;
    p->any_zone = false;
    if (count > POLICY_ZONES_MAX) {
        yaml_problem(v, "allow_zones has %zu entries; at most %d are allowed", count,
                     POLICY_ZONES_MAX);
        return 0;
    }
    p->allow_zones = mem_array(count + 1, sizeof(*p->allow_zones));
    if (p->allow_zones == NULL)
        return ERR_NOMEM;
    while (yaml_next(v, "allow_zones", &iter, &item))
        read_zone(item, p);
    return 0;
}

/* ---- the rest ---- */

static void read_dns(struct yaml_value v, struct policy *p)
{
    static const char *const choices[] = {"auto",       "resolved", "networkmanager",
                                          "resolvconf", "file",     "none"};
    struct slice text;
    if (!yaml_text(v, "dns", &text))
        return;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        if (slice_eq_str(text, choices[i])) {
            (void)str_format(p->dns, sizeof(p->dns), "%s", choices[i]);
            return;
        }
    }
    yaml_problem(v,
                 "dns must be auto, resolved, networkmanager, resolvconf, file or none, not "
                 "\"%.*s\"",
                 QUOTED(text));
}

static void read_log(struct yaml_value v, struct policy *p)
{
    struct slice text;
    char copy[16];
    if (yaml_text(v, "log", &text) &&
        (str_copy_slice(copy, sizeof(copy), text) < 0 || log_level_parse(copy, &p->log) < 0))
        yaml_problem(v, "log must be debug, info, warn or error, not \"%.*s\"", QUOTED(text));
}

static bool parse_uids(struct slice text, uint64_t *ret_first, uint64_t *ret_last)
{
    char copy[32];
    if (str_copy_slice(copy, sizeof(copy), text) < 0)
        return false;
    char *dash = strchr(copy, '-');
    if (dash != NULL)
        *dash = '\0';
    /* Not the two last, which mean "no uid" to some calls. */
    return str_to_u64(copy, UINT32_MAX - 2, ret_first) == 0 &&
           str_to_u64(dash != NULL ? dash + 1 : copy, UINT32_MAX - 2, ret_last) == 0 &&
           *ret_first >= UID_MIN && *ret_last >= *ret_first &&
           *ret_last - *ret_first < POLICY_UIDS_MAX;
}

static void read_engine_uids(struct yaml_value v, struct policy *p)
{
    struct slice text;
    uint64_t first, last;
    if (!yaml_text(v, "engine_uids", &text))
        return;
    if (!parse_uids(text, &first, &last)) {
        yaml_problem(v,
                     "engine_uids must be a range of at most %d numbers from %d on, such as "
                     "\"61120-61183\", not \"%.*s\"",
                     POLICY_UIDS_MAX, UID_MIN, QUOTED(text));
        return;
    }
    p->engine_uid_first = (uint32_t)first;
    p->engine_uid_last = (uint32_t)last;
}

int policy_defaults(struct policy *p)
{
    p->range_count = ARRAY_LEN(default_ranges);
    for (size_t i = 0; i < p->range_count; i++)
        if (prefix_parse(default_ranges[i], &p->ranges[i]) < 0)
            return ERR_INTERNAL;
    memcpy(p->allow_ranges, p->ranges, sizeof(p->ranges));
    p->allow_range_count = p->range_count;
    p->any_zone = true;
    p->log = LOG_INFO;
    (void)str_format(p->dns, sizeof(p->dns), "auto");
    p->engine_uid_first = ENGINE_UID_FIRST;
    p->engine_uid_last = ENGINE_UID_LAST;
    return 0;
}

int policy_read(struct yaml_doc *doc, struct policy *p)
{
    struct yaml_value k[KEY_COUNT];
    struct yaml_value root = yaml_root(doc);
    if (!yaml_mapping(root, "the policy", keys, KEY_COUNT, k)) {
        if (yaml_problem_count(doc) == 0)
            yaml_problem(root, "the file is empty; write who may start sessions, such as: "
                               "allow_users: [alice], or remove it (then it is root alone)");
        return 0;
    }
    read_users(k[KEY_USERS], p);
    read_both_ranges(k[KEY_ALLOW_RANGES], k[KEY_RANGES], p);
    read_dns(k[KEY_DNS], p);
    read_engine_uids(k[KEY_ENGINE_UIDS], p);
    read_log(k[KEY_LOG], p);
    return read_zones(k[KEY_ALLOW_ZONES], p);
}
