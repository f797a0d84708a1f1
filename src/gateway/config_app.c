/* One app of the configuration file, and the small readers that others share. */
#include "gateway/config_internal.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum app_key {
    APP_NAME,
    APP_PUBLIC,
    APP_TARGET,
    APP_PORTS,
    APP_ALLOW,
    APP_WEB,
    APP_HTTP_HOSTS,
    APP_COUNT
};

static const struct yaml_key app_keys[APP_COUNT] = {
    [APP_NAME] = {"name", true, "a line such as: name: pg"},
    [APP_PUBLIC] = {"public_name", true,
                    "the name users type, such as: public_name: pg.apps.example.com"},
    [APP_TARGET] = {"target", false, NULL},
    [APP_PORTS] = {"ports", false, NULL},
    [APP_ALLOW] = {"allow", false, NULL},
    [APP_WEB] = {"web", false, NULL},
    [APP_HTTP_HOSTS] = {"http_hosts", false, NULL},
};

enum allow_key { ALLOW_USERS, ALLOW_GROUPS, ALLOW_COUNT };

static const struct yaml_key allow_keys[ALLOW_COUNT] = {
    [ALLOW_USERS] = {"users", false, NULL},
    [ALLOW_GROUPS] = {"groups", false, NULL},
};

/* ---- shared readers ---- */

bool config_read_checked(struct yaml_value v, const char *what, bool (*ok)(struct slice),
                         const char *rule, char *dst, size_t dst_size)
{
    struct slice text;
    if (!yaml_text(v, what, &text))
        return false;
    if (!ok(text) || str_copy_slice(dst, dst_size, text) < 0) {
        yaml_problem(v, "%s \"%.*s\" is not allowed; use %s", what, (int)MIN(text.len, 80),
                     (const char *)text.data, rule);
        return false;
    }
    return true;
}

bool config_read_name(struct yaml_value v, const char *what, struct name *ret)
{
    struct slice text;
    char copy[CONFIG_HOST_SIZE];
    struct ip_addr addr;
    if (!yaml_text(v, what, &text))
        return false;
    struct name n;
    if (str_copy_slice(copy, sizeof(copy), text) < 0 || name_parse(copy, &n) < 0 || n.len == 0 ||
        ip_addr_parse(copy, &addr) == 0) {
        yaml_problem(v,
                     "%s \"%.*s\" is no domain name; use labels of letters, digits and hyphens (at "
                     "most 63 each) with dots between",
                     what, (int)MIN(text.len, 80), (const char *)text.data);
        return false;
    }
    *ret = n;
    return true;
}

static int take_text(struct yaml_value item, const char *what, bool (*ok)(struct slice),
                     const char *rule, struct texts *ret)
{
    char text[CONFIG_ADDR_SIZE];
    if (!config_read_checked(item, what, ok, rule, text, sizeof(text)))
        return 0;
    if (texts_have(ret, text)) {
        yaml_problem(item, "\"%s\" is listed twice in %s; remove one", text, what);
        return 0;
    }
    return texts_add(ret, text);
}

int config_read_texts(struct yaml_value v, const char *what, bool (*ok)(struct slice),
                      const char *rule, struct texts *ret)
{
    size_t count = yaml_list_count(v);
    if (count > CONFIG_LIST_MAX) {
        yaml_problem(v, "%s has %zu entries; at most %u are allowed", what, count, CONFIG_LIST_MAX);
        return 0;
    }
    void *iter = NULL;
    struct yaml_value item;
    int r = 0;
    while (r == 0 && yaml_next(v, what, &iter, &item))
        r = take_text(item, what, ok, rule, ret);
    return r;
}

/* ---- ports ---- */

static bool parse_ports(struct slice text, struct config_ports *ret)
{
    char copy[16];
    if (str_copy_slice(copy, sizeof(copy), text) < 0)
        return false;
    char *dash = strchr(copy, '-');
    if (dash != NULL)
        *dash = '\0';
    if (str_to_u16(copy, &ret->first) < 0)
        return false;
    ret->last = ret->first;
    if (dash != NULL && str_to_u16(dash + 1, &ret->last) < 0)
        return false;
    return true;
}

static void check_ports(struct yaml_value item, struct slice text, const struct config_ports *p,
                        const struct config_app *app)
{
    const char *shown = (const char *)text.data;
    int len = (int)MIN(text.len, 40);
    if (p->first == 0 || p->last == 0)
        yaml_problem(item, "port 0 in \"%.*s\" can't be used; ports go from 1 to 65535", len,
                     shown);
    else if (p->first > p->last)
        yaml_problem(item, "port range \"%.*s\" is backwards; write %u-%u", len, shown, p->last,
                     p->first);
    for (size_t i = 0; i < app->port_count; i++) {
        const struct config_ports *o = &app->ports[i];
        if (p->first <= o->last && o->first <= p->last) {
            yaml_problem(item, "\"%.*s\" overlaps the ports %u-%u listed before; remove one", len,
                         shown, o->first, o->last);
            return;
        }
    }
}

static int read_ports(struct yaml_value v, struct config_app *app)
{
    struct slice text;
    if (!yaml_present(v))
        return 0;
    if (!yaml_is_list(v)) {
        if (yaml_text(v, "ports", &text) && !slice_eq_str(text, "any"))
            yaml_problem(v,
                         "ports must be \"any\" or a list, such as [5432, 8000-8010], not \"%.*s\"",
                         (int)MIN(text.len, 40), (const char *)text.data);
        return 0;
    }
    size_t count = yaml_list_count(v);
    if (count == 0 || count > CONFIG_LIST_MAX) {
        yaml_problem(v, "ports must list 1 to %u ports or ranges, or be \"any\"", CONFIG_LIST_MAX);
        return 0;
    }
    app->ports = mem_array(count, sizeof(*app->ports));
    if (app->ports == NULL)
        return ERR_NOMEM;
    void *iter = NULL;
    struct yaml_value item;
    while (yaml_next(v, "ports", &iter, &item)) {
        struct config_ports p;
        if (!yaml_text(item, "a port", &text))
            continue;
        if (!parse_ports(text, &p)) {
            yaml_problem(item, "\"%.*s\" is no port (1 to 65535) and no range, such as 8000-8010",
                         (int)MIN(text.len, 40), (const char *)text.data);
            continue;
        }
        check_ports(item, text, &p, app);
        app->ports[app->port_count++] = p;
    }
    return 0;
}

/* ---- the app ---- */

/* Something else than a list has been told already. */
static bool is_nobody(struct yaml_value v)
{
    return !yaml_present(v) || (yaml_is_list(v) && yaml_list_count(v) == 0);
}

static int read_allow(struct yaml_value v, struct config_app *app)
{
    struct yaml_value k[ALLOW_COUNT];
    if (!yaml_mapping(v, "allow", allow_keys, ALLOW_COUNT, k))
        return 0;
    int r = config_read_texts(k[ALLOW_USERS], "users", config_is_principal, CONFIG_PRINCIPAL_RULE,
                              &app->users);
    if (r == 0)
        r = config_read_texts(k[ALLOW_GROUPS], "groups", config_is_principal, CONFIG_PRINCIPAL_RULE,
                              &app->groups);
    if (r == 0 && is_nobody(k[ALLOW_USERS]) && is_nobody(k[ALLOW_GROUPS]))
        yaml_problem(
            v, "allow names nobody, so nobody could use the app; add users: [NAME] or groups: "
               "[everyone]");
    return r;
}

static void read_target(struct yaml_value v, struct config_app *app)
{
    struct slice text;
    if (!yaml_text(v, "target", &text))
        return;
    if (!config_split_addr(text, app->target_host, &app->target_port))
        yaml_problem(
            v,
            "target \"%.*s\" is no address; write \"HOST:PORT\", or \"HOST\" for the port the "
            "user asked for, such as \"10.1.2.3:5432\"",
            (int)MIN(text.len, 80), (const char *)text.data);
}

/* An app with one target port and no list of ports answers on that port alone. */
static int default_ports(struct config_app *app, bool ports_given)
{
    if (ports_given || app->web || app->target_port == 0)
        return 0;
    app->ports = mem_array(1, sizeof(*app->ports));
    if (app->ports == NULL)
        return ERR_NOMEM;
    app->ports[0] = (struct config_ports){app->target_port, app->target_port};
    app->port_count = 1;
    return 0;
}

/* What belongs together. A web app is only listed: a target would promise what never happens. */
static void check_kind(struct yaml_value v, const struct yaml_value *k,
                       const struct config_app *app)
{
    static const enum app_key tcp_only[] = {APP_TARGET, APP_PORTS, APP_HTTP_HOSTS};
    for (size_t i = 0; app->web && i < ARRAY_LEN(tcp_only); i++) {
        if (k[tcp_only[i]].line > 0)
            yaml_problem(k[tcp_only[i]],
                         "a web app is only listed and has no %s; remove it, or remove web: "
                         "true",
                         app_keys[tcp_only[i]].name);
    }
    if (app->web)
        return;
    if (k[APP_TARGET].line == 0)
        yaml_problem(
            v,
            "app \"%s\" has no target; add a line such as: target: \"10.1.2.3:5432\" (or web: "
            "true for an app that is only listed)",
            app->name);
    if (k[APP_ALLOW].line == 0)
        yaml_problem(v,
                     "app \"%s\" has no allow, so nobody could use it; add a line such as: allow: "
                     "{users: [alice]} or allow: {groups: [everyone]}",
                     app->name);
}

static bool is_http_host(struct slice s)
{
    char host[CONFIG_HOST_SIZE];
    uint16_t port;
    return config_split_addr(s, host, &port);
}

int config_read_app(struct yaml_value v, struct config_app *app)
{
    struct yaml_value k[APP_COUNT];
    if (!yaml_mapping(v, "an app", app_keys, APP_COUNT, k))
        return 0;
    struct yaml_value place = yaml_present(k[APP_PUBLIC]) ? k[APP_PUBLIC] : v;
    app->line = place.line;
    app->column = place.column;
    (void)config_read_checked(k[APP_NAME], "app name", config_is_label, CONFIG_LABEL_RULE,
                              app->name, sizeof(app->name));
    (void)config_read_name(k[APP_PUBLIC], "public_name", &app->public_name);
    (void)yaml_bool(k[APP_WEB], "web", &app->web);
    read_target(k[APP_TARGET], app);
    int r = read_ports(k[APP_PORTS], app);
    if (r == 0)
        r = default_ports(app, k[APP_PORTS].line > 0);
    if (r == 0)
        r = read_allow(k[APP_ALLOW], app);
    if (r == 0)
        r = config_read_texts(k[APP_HTTP_HOSTS], "http_hosts", is_http_host,
                              "a host name with or without a port", &app->http_hosts);
    check_kind(v, k, app);
    return r;
}
