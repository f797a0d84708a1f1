/* The top level of the configuration file, and the checks across entries. */
#include "gateway/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"

enum top_key {
    TOP_CLUSTER,
    TOP_LISTEN,
    TOP_PUBLIC_ADDR,
    TOP_NAMES,
    TOP_STATE,
    TOP_ZONES,
    TOP_RANGE,
    TOP_APPS,
    TOP_LIMITS,
    TOP_COUNT
};

static const struct yaml_key top_keys[TOP_COUNT] = {
    [TOP_CLUSTER] = {"cluster", true, "a line such as: cluster: demo"},
    [TOP_LISTEN] = {"listen", true, "a line such as: listen: \"127.0.0.1:7443\""},
    [TOP_PUBLIC_ADDR] = {"public_addr", true,
                         "a line such as: public_addr: \"gw.example.com:7443\""},
    [TOP_NAMES] = {"names", false, NULL},
    [TOP_STATE] = {"state", true, "a line such as: state: state.db"},
    [TOP_ZONES] = {"dns_zones", true, "a line such as: dns_zones: [apps.example.com]"},
    [TOP_RANGE] = {"ipv4_range", false, NULL},
    [TOP_APPS] = {"apps", true, "a list of apps, or: apps: []"},
    [TOP_LIMITS] = {"limits", false, NULL},
};

enum limit_key {
    LIMIT_CONNECTIONS,
    LIMIT_PER_USER,
    LIMIT_CONNECT,
    LIMIT_LOG_IN,
    LIMIT_APP_CERT,
    LIMIT_COUNT
};

static const struct yaml_key limit_keys[LIMIT_COUNT] = {
    [LIMIT_CONNECTIONS] = {"connections", false, NULL},
    [LIMIT_PER_USER] = {"connections_per_user", false, NULL},
    [LIMIT_CONNECT] = {"connect_timeout_s", false, NULL},
    [LIMIT_LOG_IN] = {"log_in_hours", false, NULL},
    [LIMIT_APP_CERT] = {"app_cert_minutes", false, NULL},
};

static void read_number(struct yaml_value v, const char *what, uint32_t min, uint32_t max,
                        uint32_t unit, uint32_t *value)
{
    uint64_t n;
    if (yaml_number(v, what, min, max, &n))
        *value = (uint32_t)n * unit;
}

static void read_limits(struct yaml_value v, struct gateway_config *c)
{
    struct yaml_value k[LIMIT_COUNT];
    c->connections_max = 16384;
    c->connections_per_user = 4096;
    c->connect_timeout_ms = 10000;
    c->log_in_s = 12 * 3600;
    c->app_cert_s = 3600;
    if (!yaml_mapping(v, "limits", limit_keys, LIMIT_COUNT, k))
        return;
    read_number(k[LIMIT_CONNECTIONS], "connections", 1, 1000000, 1, &c->connections_max);
    read_number(k[LIMIT_PER_USER], "connections_per_user", 1, 1000000, 1, &c->connections_per_user);
    read_number(k[LIMIT_CONNECT], "connect_timeout_s", 1, 120, 1000, &c->connect_timeout_ms);
    read_number(k[LIMIT_LOG_IN], "log_in_hours", 1, 720, 3600, &c->log_in_s);
    read_number(k[LIMIT_APP_CERT], "app_cert_minutes", 1, 60, 60, &c->app_cert_s);
}

/* ---- addresses ---- */

static void read_listen(struct yaml_value v, struct gateway_config *c)
{
    struct slice text;
    char host[CONFIG_HOST_SIZE];
    if (!yaml_text(v, "listen", &text))
        return;
    if (!config_split_addr(text, host, &c->listen.port) || c->listen.port == 0 ||
        ip_addr_parse(host, &c->listen.addr) < 0 ||
        str_copy_slice(c->listen_text, sizeof(c->listen_text), text) < 0)
        yaml_problem(v, "listen must be an IP address of this machine and a port, such as "
                        "\"0.0.0.0:7443\" or \"[::]:7443\"");
}

static void read_public_addr(struct yaml_value v, struct gateway_config *c)
{
    struct ip_addr addr;
    struct slice text;
    if (!yaml_text(v, "public_addr", &text))
        return;
    if (!config_split_addr(text, c->public_host, &c->public_port) || c->public_port == 0 ||
        str_copy_slice(c->public_addr, sizeof(c->public_addr), text) < 0)
        yaml_problem(v, "public_addr must be a name or address and a port that clients reach the "
                        "gateway by, such as \"gw.example.com:7443\"");
    else if (ip_addr_parse(c->public_host, &addr) == 0 && ip_addr_is_unspecified(&addr))
        yaml_problem(v, "public_addr can't be every address at once; give the one that clients "
                        "connect to (`stile gateway init`: --public-addr)");
}

static bool is_host(struct slice s)
{
    char host[CONFIG_HOST_SIZE];
    uint16_t port;
    return config_split_addr(s, host, &port) && port == 0;
}

static int read_state(struct yaml_value v, struct gateway_config *c)
{
    struct slice text;
    if (!yaml_text(v, "state", &text))
        return 0;
    const char *slash = strrchr(c->file, '/');
    size_t dir_len = text.data[0] == '/' || slash == NULL ? 0 : (size_t)(slash - c->file) + 1;
    size_t size = dir_len + text.len + 1;
    c->state_path = mem_zalloc(size);
    if (c->state_path == NULL)
        return ERR_NOMEM;
    memcpy(c->state_path, c->file, dir_len);
    memcpy(c->state_path + dir_len, text.data, text.len);
    const char *last = strrchr(c->state_path, '/');
    size_t base = last != NULL ? (size_t)(last - c->state_path) + 1 : 0;
    c->ca_dir = mem_zalloc(base + sizeof("ca"));
    if (c->ca_dir == NULL)
        return ERR_NOMEM;
    memcpy(c->ca_dir, c->state_path, base);
    memcpy(c->ca_dir + base, "ca", sizeof("ca"));
    return 0;
}

/* ---- names and addresses of the virtual network ---- */

static void read_zone(struct yaml_value v, struct gateway_config *c)
{
    struct name *zone = &c->dns_zones[c->zone_count];
    if (!config_read_name(v, "a zone", zone))
        return;
    if (name_labels(zone) < 2) {
        yaml_problem(v,
                     "zone \"%s\" has only one label and would take over a whole top-level domain; "
                     "write a longer one, such as \"apps.%s\"",
                     zone->text, zone->text);
        return;
    }
    for (size_t i = 0; i < c->zone_count; i++) {
        if (name_eq(&c->dns_zones[i], zone)) {
            yaml_problem(v, "zone \"%s\" is listed twice; remove one", zone->text);
            return;
        }
    }
    c->zone_count++;
}

static int read_zones(struct yaml_value v, struct gateway_config *c)
{
    size_t count = yaml_list_count(v);
    if (count > CONFIG_LIST_MAX) {
        yaml_problem(v, "dns_zones has %zu entries; at most %u are allowed", count,
                     CONFIG_LIST_MAX);
        return 0;
    }
    c->dns_zones = mem_array(count, sizeof(*c->dns_zones));
    if (c->dns_zones == NULL)
        return ERR_NOMEM;
    if (yaml_is_list(v) && count == 0)
        yaml_problem(v, "dns_zones is empty; list the zones of your apps' public names");
    void *iter = NULL;
    struct yaml_value item;
    while (yaml_next(v, "dns_zones", &iter, &item))
        read_zone(item, c);
    return 0;
}

/* What an address range for apps may never be: it would take the host's own traffic. */
static const char *const forbidden_ranges[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                                               "224.0.0.0/4", "240.0.0.0/4"};

static bool is_forbidden(const struct prefix *range)
{
    for (size_t i = 0; i < ARRAY_LEN(forbidden_ranges); i++) {
        struct prefix p;
        if (prefix_parse(forbidden_ranges[i], &p) == 0 && prefix_overlaps(&p, range))
            return true;
    }
    return false;
}

static void read_range(struct yaml_value v, struct gateway_config *c)
{
    struct slice text = SLICE_LIT("100.64.0.0/10");
    char copy[PREFIX_TEXT_SIZE];
    if (yaml_present(v) && !yaml_text(v, "ipv4_range", &text))
        return;
    if (str_copy_slice(copy, sizeof(copy), text) < 0 || prefix_parse(copy, &c->ipv4_range) < 0 ||
        c->ipv4_range.addr.version != 4 || c->ipv4_range.bits < 8 || c->ipv4_range.bits > 28) {
        yaml_problem(
            v,
            "ipv4_range must be an IPv4 network of /8 to /28 with all host bits zero, such "
            "as 100.64.0.0/10, not \"%.*s\"",
            (int)MIN(text.len, 60), (const char *)text.data);
        return;
    }
    if (is_forbidden(&c->ipv4_range))
        yaml_problem(v,
                     "ipv4_range %s overlaps loopback, link-local or multicast addresses; use a "
                     "private range, such as 100.64.0.0/10",
                     copy);
    prefix_format(&c->ipv4_range, c->ipv4_range_text);
}

/* ---- apps ---- */

static bool in_zones(const struct gateway_config *c, const struct name *name)
{
    for (size_t i = 0; i < c->zone_count; i++) {
        if (name_in_zone(name, &c->dns_zones[i]))
            return true;
    }
    return false;
}

/* The zones, as a message shows them. */
static void zones_text(const struct gateway_config *c, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < c->zone_count && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", c->dns_zones[i].text);
        used += n > 0 ? (size_t)n : 0;
    }
}

static void check_public_name(struct yaml_doc *doc, const struct gateway_config *c,
                              const struct config_app *app)
{
    struct yaml_value at = {doc, NULL, app->line, app->column};
    char zones[128];
    if (c->zone_count > 0 && !in_zones(c, &app->public_name)) {
        zones_text(c, zones, sizeof(zones));
        yaml_problem(at,
                     "public_name %s is in none of the dns_zones (%s); add its zone there or "
                     "change the name",
                     app->public_name.text, zones);
    }
    if (str_eq_nocase(app->public_name.text, c->public_host))
        yaml_problem(at,
                     "public_name %s is the gateway's own name (public_addr); clients could no "
                     "longer reach the gateway. Give the app another name",
                     app->public_name.text);
}

/* Two apps of one name, or behind one public name. The first one stays; the second is told. */
static int check_unique(struct yaml_doc *doc, const struct gateway_config *c, struct table *names,
                        struct table *public_names)
{
    for (size_t i = 0; i < c->app_count; i++) {
        struct config_app *app = &c->apps[i];
        struct yaml_value at = {doc, NULL, app->line, app->column};
        int r = app->name[0] != '\0' ? table_put(names, slice_str(app->name), app) : 0;
        if (r == ERR_EXISTS)
            yaml_problem(at, "app \"%s\" is defined twice; give this one another name", app->name);
        else if (r < 0)
            return r;
        if (app->public_name.len == 0)
            continue;
        r = table_put(public_names, name_key(&app->public_name), app);
        if (r == ERR_EXISTS) {
            struct config_app *other = table_get(public_names, name_key(&app->public_name));
            yaml_problem(at,
                         "public_name %s is already used by app \"%s\" (line %u); every app needs "
                         "its own",
                         app->public_name.text, other->name, other->line);
        } else if (r < 0) {
            return r;
        }
        check_public_name(doc, c, app);
    }
    return 0;
}

static int check_apps(struct yaml_doc *doc, const struct gateway_config *c)
{
    uint8_t secret[16];
    random_bytes(secret, sizeof(secret));
    struct table names;
    struct table public_names;
    table_init(&names, secret);
    table_init(&public_names, secret);
    int r = check_unique(doc, c, &names, &public_names);
    table_release(&names);
    table_release(&public_names);
    return r;
}

static int read_apps(struct yaml_value v, struct gateway_config *c)
{
    size_t count = yaml_list_count(v);
    if (count > CONFIG_APPS_MAX) {
        yaml_problem(v, "apps has %zu entries; at most %u are allowed", count, CONFIG_APPS_MAX);
        return 0;
    }
    c->apps = mem_array(count, sizeof(*c->apps));
    if (c->apps == NULL)
        return ERR_NOMEM;
    void *iter = NULL;
    struct yaml_value item;
    int r = 0;
    while (r == 0 && yaml_next(v, "apps", &iter, &item))
        r = config_read_app(item, &c->apps[c->app_count++]);
    return r;
}

int config_read(struct yaml_doc *doc, struct gateway_config *c)
{
    struct yaml_value k[TOP_COUNT];
    struct yaml_value root = yaml_root(doc);
    if (!yaml_mapping(root, "the configuration", top_keys, TOP_COUNT, k)) {
        if (yaml_problem_count(doc) == 0)
            yaml_problem(root, "the file is empty; `stile gateway init` writes an example");
        return 0;
    }
    (void)config_read_checked(k[TOP_CLUSTER], "cluster", config_is_label, CONFIG_LABEL_RULE,
                              c->cluster, sizeof(c->cluster));
    read_listen(k[TOP_LISTEN], c);
    read_public_addr(k[TOP_PUBLIC_ADDR], c);
    read_range(k[TOP_RANGE], c);
    read_limits(k[TOP_LIMITS], c);
    int r = config_read_texts(k[TOP_NAMES], "names", is_host,
                              "an IP address or a domain name without a port", &c->names);
    if (r == 0)
        r = read_state(k[TOP_STATE], c);
    if (r == 0)
        r = read_zones(k[TOP_ZONES], c);
    if (r == 0)
        r = read_apps(k[TOP_APPS], c);
    return r < 0 ? r : check_apps(doc, c);
}
