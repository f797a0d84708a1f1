/* The gateway's configuration: what a good file means, and for each mistake its line, column and remedy. */
#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/config.h"

#define HEAD                                                                                       \
    "cluster: demo\n"                                                                              \
    "listen: 127.0.0.1:7443\n"                                                                     \
    "public_addr: gw.demo.stile.test:7443\n"                                                       \
    "state: state.db\n"                                                                            \
    "dns_zones: [demo.stile.test]\n"
/* Apps begin at line 7. */
#define APPS HEAD "apps:\n"

struct heard {
    char lines[20][1024];
    size_t count;
};

static void hear(void *arg, const char *line)
{
    struct heard *h = arg;
    if (h->count < ARRAY_LEN(h->lines))
        assert_int_equal(str_copy(h->lines[h->count++], sizeof(h->lines[0]), line), 0);
}

static struct gateway_config *good(const char *text)
{
    struct gateway_config *c = NULL;
    struct diag d = {0};
    int r = gateway_config_parse("/etc/stile/gateway.yaml", slice_str(text), NULL, NULL, &c, &d);
    if (r < 0)
        fail_msg("%s", d.text);
    assert_non_null(c);
    return c;
}

/* The file has exactly this one problem, at this place, with these words. */
static void bad(const char *text, unsigned line, unsigned column, const char *words)
{
    struct heard h = {.count = 0};
    struct gateway_config *c = NULL;
    struct diag d = {0};
    char place[64];
    assert_int_equal(str_format(place, sizeof(place), "gateway.yaml:%u:%u: ", line, column), 0);
    assert_int_equal(gateway_config_parse("gateway.yaml", slice_str(text), hear, &h, &c, &d),
                     ERR_FORMAT);
    assert_null(c);
    if (h.count != 1 || !str_starts(h.lines[0], place) || strstr(h.lines[0], words) == NULL)
        fail_msg("expected one problem \"%s…%s…\", got %zu, the first: %s", place, words, h.count,
                 h.count > 0 ? h.lines[0] : "-");
    assert_string_equal(d.text, h.lines[0]);
}

static void the_example_is_valid(void **state)
{
    (void)state;
    struct config_example e = {"demo", "127.0.0.1:7443", "gw.example.com:7443", "apps.example.com"};
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(gateway_config_example(&e, &b), 0);
    struct gateway_config *c = good(buf_cstr(&b));
    assert_string_equal(c->cluster, "demo");
    assert_string_equal(c->public_host, "gw.example.com");
    assert_string_equal(c->dns_zones[0].text, "apps.example.com");
    assert_int_equal(c->app_count, 0);
    gateway_config_free(c);
}

/* The commented apps of the example are what people will copy. */
static void the_examples_apps_are_valid_without_their_comment_signs(void **state)
{
    (void)state;
    struct config_example e = {"demo", "127.0.0.1:7443", "gw.example.com:7443", "apps.example.com"};
    CLEANUP(buf_release) struct buf b;
    CLEANUP(buf_release) struct buf apps;
    buf_init(&b, 65536);
    buf_init(&apps, 65536);
    assert_int_equal(gateway_config_example(&e, &b), 0);
    const char *text = buf_cstr(&b);
    const char *from = strstr(text, "apps: []\n");
    assert_non_null(from);
    assert_int_equal(buf_put(&apps, slice_of(text, (size_t)(from - text))), 0);
    for (const char *line = from + strlen("apps: []\n"); *line != '\0';) {
        size_t len = strcspn(line, "\n") + 1;
        assert_true(str_starts(line, "# "));
        assert_int_equal(buf_put(&apps, slice_of(line + 2, len - 2)), 0);
        line += len;
    }
    struct gateway_config *c = good(buf_cstr(&apps));
    assert_int_equal(c->app_count, 4);
    assert_string_equal(c->apps[2].http_hosts.items[0], "wiki.apps.example.com");
    assert_true(c->apps[3].web);
    gateway_config_free(c);
}

static void a_full_file_is_read(void **state)
{
    (void)state;
    struct gateway_config *c =
        good("cluster: demo\nlisten: \"[::1]:7443\"\npublic_addr: \"10.0.0.1:443\"\nnames: "
             "[gw.internal, 10.0.0.5]\n"
             "state: data/state.db\ndns_zones: [Demo.Stile.Test, other.example]\nipv4_range: "
             "100.80.0.0/16\n"
             "limits: {connections: 5, connections_per_user: 2, connect_timeout_s: 3, "
             "log_in_hours: 1, app_cert_minutes: 5}\n"
             "apps:\n"
             "- {name: pg, public_name: PG.demo.stile.test., target: \"10.1.2.3:5432\", ports: "
             "[5432, 8000-8010],"
             " allow: {users: [alice], groups: [dba]}}\n"
             "- {name: any, public_name: any.other.example, target: \"fd00::1\", ports: any, "
             "allow: {groups: [everyone]}}\n"
             "- {name: six, public_name: six.other.example, target: \"[fd00::2]:80\", allow: "
             "{users: [bob]}}\n"
             "- {name: dash, public_name: dash.demo.stile.test, web: true}\n");
    assert_int_equal(c->listen.port, 7443);
    assert_int_equal(c->listen.addr.version, 6);
    assert_string_equal(c->public_host, "10.0.0.1");
    assert_int_equal(c->public_port, 443);
    assert_int_equal(c->names.count, 2);
    assert_string_equal(c->state_path, "/etc/stile/data/state.db");
    assert_string_equal(c->ca_dir, "/etc/stile/data/ca");
    assert_int_equal(c->zone_count, 2);
    assert_string_equal(c->dns_zones[0].text, "demo.stile.test");
    assert_string_equal(c->ipv4_range_text, "100.80.0.0/16");
    assert_int_equal(c->connections_max, 5);
    assert_int_equal(c->connections_per_user, 2);
    assert_int_equal(c->connect_timeout_ms, 3000);
    assert_int_equal(c->log_in_s, 3600);
    assert_int_equal(c->app_cert_s, 300);
    assert_int_equal(c->app_count, 4);
    assert_string_equal(c->apps[0].public_name.text, "pg.demo.stile.test");
    assert_string_equal(c->apps[0].target_host, "10.1.2.3");
    assert_int_equal(c->apps[0].target_port, 5432);
    assert_int_equal(c->apps[0].port_count, 2);
    assert_int_equal(c->apps[0].ports[1].first, 8000);
    assert_int_equal(c->apps[0].ports[1].last, 8010);
    assert_string_equal(c->apps[0].users.items[0], "alice");
    assert_string_equal(c->apps[0].groups.items[0], "dba");
    assert_string_equal(c->apps[1].target_host, "fd00::1");
    assert_int_equal(c->apps[1].target_port, 0);
    assert_int_equal(c->apps[1].port_count, 0);
    assert_string_equal(c->apps[2].target_host, "fd00::2");
    assert_int_equal(c->apps[2].target_port, 80);
    assert_true(c->apps[3].web);
    gateway_config_free(c);
}

static void an_app_with_a_target_port_alone_answers_on_that_port_alone(void **state)
{
    (void)state;
    struct gateway_config *c = good(APPS "- {name: pg, public_name: pg.demo.stile.test, target: "
                                         "10.1.2.3:5432, allow: {users: [a]}}\n");
    assert_int_equal(c->apps[0].port_count, 1);
    assert_int_equal(c->apps[0].ports[0].first, 5432);
    assert_int_equal(c->apps[0].ports[0].last, 5432);
    gateway_config_free(c);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    struct gateway_config *c = good(HEAD "apps: []\n");
    assert_string_equal(c->ipv4_range_text, "100.64.0.0/10");
    assert_int_equal(c->log_in_s, 12 * 3600);
    assert_int_equal(c->app_cert_s, 3600);
    assert_true(c->connections_max > 0 && c->connections_per_user > 0);
    gateway_config_free(c);
}

static void problems_of_the_text_itself(void **state)
{
    (void)state;
    bad("", 1, 1, "no YAML document");
    bad("# only a comment\n", 1, 1, "no YAML document");
    bad("cluster: demo\ncluster: other\n", 2, 1, "duplicate key");
    bad("just words\n", 1, 1, "the configuration must be a mapping");
    bad("- a\n- b\n", 1, 3, "the configuration must be a mapping");
    bad(HEAD "apps: []\n---\na: b\n", 1, 1, "more than one YAML document");
    bad(HEAD "apps: []\nx\001y: b\n", 7, 2, "control character");
    bad("%YAML 1.1\n---\ncluster: a\n", 1, 1, "YAML directive");
    bad("a: b\n%", 2, 1, "YAML directive");
    bad(HEAD "apps: &anchor []\nlimits: *anchor\n", 7, 9, "alias");
    bad("cluster: [a, b\n", 2, 1, "");
}

static void problems_of_the_top_level(void **state)
{
    (void)state;
    bad(HEAD "apps: []\nports: 1\n", 7, 1,
        "unknown key \"ports\" in the configuration; it can have: cluster, listen");
    bad("listen: 127.0.0.1:1\npublic_addr: a.b:1\nstate: s\ndns_zones: [a.b]\napps: []\n", 1, 1,
        "has no \"cluster\"; add a line such as: cluster: demo");
    bad("cluster:\nlisten: 127.0.0.1:1\npublic_addr: g.b:1\nstate: s\ndns_zones: [a.b]\napps: []\n",
        1, 1, "\"cluster\" has no value");
    bad("cluster: Big Name\nlisten: 127.0.0.1:1\npublic_addr: g.b:1\nstate: s\ndns_zones: "
        "[a.b]\napps: []\n",
        1, 10, "cluster \"Big Name\" is not allowed; use lower-case letters");
    bad("cluster: [a]\nlisten: 127.0.0.1:1\npublic_addr: g.b:1\nstate: s\ndns_zones: [a.b]\napps: "
        "[]\n",
        1, 11, "cluster must be one word");
    bad("cluster: a\nlisten: localhost:1\npublic_addr: g.b:1\nstate: s\ndns_zones: [a.b]\napps: "
        "[]\n",
        2, 9, "listen must be an IP address");
    bad("cluster: a\nlisten: 127.0.0.1\npublic_addr: g.b:1\nstate: s\ndns_zones: [a.b]\napps: []\n",
        2, 9, "listen must be an IP address of this machine and a port");
    bad("cluster: a\nlisten: 127.0.0.1:70000\npublic_addr: g.b:1\nstate: s\ndns_zones: "
        "[a.b]\napps: []\n",
        2, 9, "listen must be");
    bad("cluster: a\nlisten: 0.0.0.0:1\npublic_addr: 0.0.0.0:1\nstate: s\ndns_zones: [a.b]\napps: "
        "[]\n",
        3, 14, "every address");
    bad("cluster: a\nlisten: 127.0.0.1:1\npublic_addr: g.b\nstate: s\ndns_zones: [a.b]\napps: []\n",
        3, 14, "public_addr must be a name or address and a port");
    bad(HEAD "apps: []\nnames: [a.b, \"c.d:80\"]\n", 7, 14, "names \"c.d:80\" is not allowed");
    bad(HEAD "apps: {}\n", 6, 1, "apps must be a list");
    bad(HEAD "apps: many\n", 6, 7, "apps must be a list");
}

static void problems_of_zones_and_ranges(void **state)
{
    (void)state;
#define WITH_ZONES(z)                                                                              \
    "cluster: a\nlisten: 127.0.0.1:1\npublic_addr: g.b:1\nstate: s\ndns_zones: " z "\napps: []\n"
    bad(WITH_ZONES("[test]"), 5, 13, "zone \"test\" has only one label");
    bad(WITH_ZONES("[a.b, A.b.]"), 5, 18, "zone \"a.b\" is listed twice");
    bad(WITH_ZONES("[a..b]"), 5, 13, "a zone \"a..b\" is no domain name");
    bad(WITH_ZONES("[]"), 5, 1, "dns_zones is empty");
    bad(WITH_ZONES("[10.0.0.1]"), 5, 13, "is no domain name");
    bad(HEAD "apps: []\nipv4_range: 100.64.0.1/10\n", 7, 13, "ipv4_range must be an IPv4 network");
    bad(HEAD "apps: []\nipv4_range: 100.64.0.0\n", 7, 13, "ipv4_range must be");
    bad(HEAD "apps: []\nipv4_range: fd00::/8\n", 7, 13, "ipv4_range must be");
    bad(HEAD "apps: []\nipv4_range: 0.0.0.0/0\n", 7, 13, "ipv4_range must be");
    bad(HEAD "apps: []\nipv4_range: 127.0.0.0/8\n", 7, 13, "overlaps loopback");
}

static void problems_of_limits(void **state)
{
    (void)state;
    bad(HEAD "apps: []\nlimits: {connections: 0}\n", 7, 23,
        "connections must be a number from 1 to");
    bad(HEAD "apps: []\nlimits: {connections: many}\n", 7, 23, "connections must be a number");
    bad(HEAD "apps: []\nlimits: {app_cert_minutes: 61}\n", 7, 28, "from 1 to 60");
    bad(HEAD "apps: []\nlimits: {speed: 1}\n", 7, 10, "unknown key \"speed\" in limits");
    bad(HEAD "apps: []\nlimits: 5\n", 7, 9, "limits must be a mapping");
}

#define APP(rest) APPS "- {name: pg, public_name: pg.demo.stile.test, " rest "}\n"
#define ALLOW     "allow: {users: [alice]}"

static void problems_of_an_app(void **state)
{
    (void)state;
    bad(APP(ALLOW), 7, 4, "app \"pg\" has no target; add a line such as: target:");
    bad(APP("target: 10.1.2.3:5432"), 7, 4, "app \"pg\" has no allow");
    bad(APP("target: 10.1.2.3:99999, " ALLOW), 7, 55, "target \"10.1.2.3:99999\" is no address");
    bad(APP("target: 10.1.2.300:80, " ALLOW), 7, 55, "target \"10.1.2.300:80\" is no address");
    bad(APP("target: 10.1.2.3:0, " ALLOW), 7, 55, "is no address");
    bad(APP("target: {host: a}, " ALLOW), 7, 56, "target must be one word");
    bad(APP("web: true, target: 10.1.2.3:80"), 7, 66, "a web app is only listed and has no target");
    bad(APP("web: true, ports: [80]"), 7, 66, "a web app is only listed and has no ports");
    bad(APP("web: yes, target: 10.1.2.3:80, " ALLOW), 7, 52,
        "web must be true or false, not \"yes\"");
    bad(APP("target: 10.1.2.3:80, allow: {}"), 7, 68, "allow names nobody");
    bad(APP("target: 10.1.2.3:80, allow: {users: []}"), 7, 76, "allow names nobody");
    bad(APP("target: 10.1.2.3:80, allow: {users: [a b]}"), 7, 84,
        "users \"a b\" is not allowed; use letters");
    bad(APP("target: 10.1.2.3:80, allow: {users: [a, a]}"), 7, 87,
        "\"a\" is listed twice in users");
    bad(APP("target: 10.1.2.3:80, allow: {users: alice}"), 7, 83, "users must be a list");
    bad(APP("target: 10.1.2.3:80, allow: [alice]"), 7, 76, "allow must be a mapping");
    bad(APP("target: 10.1.2.3:80, " ALLOW ", http_hosts: [\"a b\"]"), 7, 106,
        "http_hosts \"a b\" is not allowed");
    bad(APP("target: 10.1.2.3:80, tarpit: 1, " ALLOW), 7, 68,
        "unknown key \"tarpit\" in an app; it can have: name");
    bad(APPS "- {public_name: pg.demo.stile.test, target: 10.1.2.3:80, " ALLOW "}\n", 7, 4,
        "an app has no \"name\"");
    bad(APPS "- {name: pg, target: 10.1.2.3:80, " ALLOW "}\n", 7, 4,
        "an app has no \"public_name\"");
    bad(APPS "- pg\n", 7, 3, "an app must be a mapping");
    bad(APPS "- {name: PG, public_name: pg.demo.stile.test, target: 10.1.2.3:80, " ALLOW "}\n", 7,
        10, "app name \"PG\" is not allowed");
}

static void problems_of_ports(void **state)
{
    (void)state;
#define PORTS(p) APP("target: 10.1.2.3, ports: " p ", " ALLOW)
    bad(PORTS("[0]"), 7, 73, "port 0 in \"0\" can't be used");
    bad(PORTS("[70000]"), 7, 73, "\"70000\" is no port");
    bad(PORTS("[http]"), 7, 73, "\"http\" is no port");
    bad(PORTS("[90-80]"), 7, 73, "port range \"90-80\" is backwards; write 80-90");
    bad(PORTS("[80, 70-90]"), 7, 77, "\"70-90\" overlaps the ports 80-80");
    bad(PORTS("[]"), 7, 65, "ports must list 1 to");
    bad(PORTS("all"), 7, 72, "ports must be \"any\" or a list");
    bad(PORTS("80"), 7, 72, "ports must be \"any\" or a list");
    bad(PORTS("[[80]]"), 7, 74, "a port must be one word");
}

static void problems_between_apps(void **state)
{
    (void)state;
#define TWO(name, public)                                                                          \
    APPS "- {name: pg, public_name: pg.demo.stile.test, target: 10.1.2.3:80, " ALLOW "}\n"         \
         "- {name: " name ", public_name: " public ", target: 10.1.2.3:80, " ALLOW "}\n"
    bad(TWO("pg", "b.demo.stile.test"), 8, 27, "app \"pg\" is defined twice");
    bad(TWO("b", "PG.demo.stile.test."), 8, 26, "already used by app \"pg\" (line 7)");
    bad(TWO("b", "b.elsewhere.test"), 8, 26, "is in none of the dns_zones (demo.stile.test)");
    bad(TWO("b", "baddemo.stile.test"), 8, 26, "is in none of the dns_zones");
    bad(TWO("b", "gw.demo.stile.test"), 8, 26, "is the gateway's own name");
}

static void all_problems_are_told_in_the_order_of_the_file(void **state)
{
    (void)state;
    struct heard h = {.count = 0};
    struct gateway_config *c = NULL;
    struct diag d = {0};
    const char *text = "cluster: UP\nlisten: x\npublic_addr: g.b:1\nstate: s\ndns_zones: "
                       "[one]\napps: []\nwhat: 1\n";
    assert_int_equal(gateway_config_parse("f", slice_str(text), hear, &h, &c, &d), ERR_FORMAT);
    assert_int_equal(h.count, 4);
    assert_true(str_starts(h.lines[0], "f:1:10: "));
    assert_true(str_starts(h.lines[1], "f:2:9: "));
    assert_true(str_starts(h.lines[2], "f:5:13: "));
    assert_true(str_starts(h.lines[3], "f:7:1: "));
    assert_non_null(strstr(d.text, "(3 more: see `stile gateway check`)"));
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct gateway_config *c = NULL;
    struct diag d = {0};
    assert_int_equal(gateway_config_load("/nonexistent/gateway.yaml", NULL, NULL, &c, &d),
                     ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "/nonexistent/gateway.yaml"));
}

static void addresses_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool ok;
    } cases[] = {
        {"10.0.0.1:80", "10.0.0.1", 80, true},
        {"10.0.0.1", "10.0.0.1", 0, true},
        {"[fd00::1]:80", "fd00::1", 80, true},
        {"[fd00::1]", "fd00::1", 0, true},
        {"fd00::1", "fd00::1", 0, true},
        {"host.example:1", "host.example", 1, true},
        {"host", "host", 0, true},
        {"", "", 0, false},
        {":80", "", 0, false},
        {"host:", "", 0, false},
        {"host:0", "", 0, false},
        {"host:65536", "", 0, false},
        {"host:80x", "", 0, false},
        {"[10.0.0.1]:80", "", 0, false},
        {"[fd00::1", "", 0, false},
        {"[fd00::1]80", "", 0, false},
        {"fd00::1::2", "", 0, false},
        {"a b:80", "", 0, false},
        {"1.2.3:80", "", 0, false},
        {"host/path:80", "", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char host[CONFIG_HOST_SIZE];
        uint16_t port = 0;
        bool ok = config_split_addr(slice_str(cases[i].text), host, &port);
        if (ok != cases[i].ok || (ok && (!str_eq(host, cases[i].host) || port != cases[i].port)))
            fail_msg("\"%s\" was read wrong", cases[i].text);
    }
}

/* Each allocation of the reader fails once: an error comes back, nothing leaks (under ASan), nothing crashes. */
static void running_out_of_memory_is_survived(void **state)
{
    (void)state;
    const char *text =
        APP("target: 10.1.2.3:80, ports: [80, 90-99], allow: {users: [a], groups: [b, c]}");
    (void)mem_fail_at(0);
    gateway_config_free(good(text));
    uint64_t count = mem_fail_at(0);
    assert_true(count > 5);
    for (uint64_t n = 1; n <= count; n++) {
        struct gateway_config *c = NULL;
        struct diag d = {0};
        (void)mem_fail_at(n);
        int r = gateway_config_parse("f", slice_str(text), NULL, NULL, &c, &d);
        (void)mem_fail_at(0);
        assert_int_equal(r, ERR_NOMEM);
        assert_null(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_valid),
        cmocka_unit_test(the_examples_apps_are_valid_without_their_comment_signs),
        cmocka_unit_test(a_full_file_is_read),
        cmocka_unit_test(an_app_with_a_target_port_alone_answers_on_that_port_alone),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(problems_of_the_text_itself),
        cmocka_unit_test(problems_of_the_top_level),
        cmocka_unit_test(problems_of_zones_and_ranges),
        cmocka_unit_test(problems_of_limits),
        cmocka_unit_test(problems_of_an_app),
        cmocka_unit_test(problems_of_ports),
        cmocka_unit_test(problems_between_apps),
        cmocka_unit_test(all_problems_are_told_in_the_order_of_the_file),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(addresses_are_split),
        cmocka_unit_test(running_out_of_memory_is_survived),
    };
    return cmocka_run_group_tests_name("gateway_config", tests, NULL, NULL);
}
