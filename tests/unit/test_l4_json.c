#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/l4_json.h"

#define POLICY(settings) "{\"Type\":\"L4WFPPROXY\",\"Settings\":{" settings "}}"

/* The example of hcnproxyctl's README, with the ports of its exceptions as arguments of the format. */
#define README_EXAMPLE                                                                             \
    "{\n"                                                                                          \
    "    \"Type\": \"L4WFPPROXY\",\n"                                                              \
    "    \"Settings\": {\n"                                                                        \
    "        \"InboundProxyPort\": \"9091\",\n"                                                    \
    "        \"OutboundProxyPort\": \"9191\",\n"                                                   \
    "        \"FilterTuple\": {\n"                                                                 \
    "            \"Protocols\": \"6\"\n"                                                           \
    "        },\n"                                                                                 \
    "        \"InboundExceptions\": {\n"                                                           \
    "            \"PortExceptions\": [\"%s\",\"%s\"],\n"                                           \
    "            \"IpAddressExceptions\": [\"127.0.0.1\"]\n"                                       \
    "        },\n"                                                                                 \
    "        \"OutboundExceptions\": {\n"                                                          \
    "            \"PortExceptions\": [\"%s\",\"%s\"],\n"                                           \
    "            \"IpAddressExceptions\": [\"127.0.0.1\"]\n"                                       \
    "        },\n"                                                                                 \
    "        \"UserSID\": \"S-1-5-32-556\"\n"                                                      \
    "    }\n"                                                                                      \
    "}\n"

static void decref(json_t **v)
{
    json_decref(*v);
}

static struct l4_policies read_good(const char *text)
{
    struct l4_policies l;
    struct diag d = {0};

    if (l4_json_read(slice_str(text), &l, &d) < 0)
        fail_msg("%s: %s", text, d.text);
    return l;
}

static struct l4_policy read_one(const char *text)
{
    struct l4_policies l = read_good(text);
    struct l4_policy p;

    assert_int_equal(l.count, 1);
    p = l.items[0];
    l4_policies_release(&l);
    return p;
}

static void expect_bytes_refused(struct slice text, int err, const char *words)
{
    struct l4_policies l = {.count = 7};
    struct diag d = {0};

    assert_int_equal(l4_json_read(text, &l, &d), err);
    assert_int_equal(d.err, err);
    assert_int_equal(l.count, 7);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
    assert_true(str_is_printable(slice_str(d.text)));
}

static void expect_refused(const char *text, const char *words)
{
    expect_bytes_refused(slice_str(text), ERR_FORMAT, words);
}

/* What is written, and that it reads back the same. */
static void expect_written(const struct l4_policies *l, const char *text)
{
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, L4_JSON_MAX);
    assert_int_equal(l4_json_write(l, &b), 0);
    if (text != NULL)
        assert_string_equal(buf_cstr(&b), text);
    struct l4_policies again = read_good(buf_cstr(&b));
    assert_true(l4_policies_eq(l, &again));
    l4_policies_release(&again);
}

static void expect_one_written(const char *given, const char *written)
{
    struct l4_policies l = read_good(given);

    expect_written(&l, written);
    l4_policies_release(&l);
}

static void test_the_readme_example_is_refused_for_its_ports(void **state)
{
    (void)state;
    char text[2048];

    assert_int_equal(
        str_format(text, sizeof(text), README_EXAMPLE, "90001", "90002", "90001", "90002"), 0);
    expect_refused(text, "Settings.InboundExceptions.PortExceptions: port 90001 is over 65535");
    expect_refused(text, "port 90002 is over 65535");
}

static void test_the_readme_example_with_ports_that_exist_is_written_back_as_it_was(void **state)
{
    (void)state;
    char text[2048];
    json_error_t e;

    assert_int_equal(str_format(text, sizeof(text), README_EXAMPLE, "9001", "9002", "9001", "9002"),
                     0);
    struct l4_policies l = read_good(text);
    assert_int_equal(l.items[0].inbound.proxy_port, 9091);
    assert_int_equal(l.items[0].outbound.proxy_port, 9191);
    assert_true(port_set_contains(&l.items[0].inbound.port_exceptions, 9001));
    assert_true(port_set_contains(&l.items[0].outbound.port_exceptions, 9002));
    assert_int_equal(l.items[0].outbound.address_exceptions.count, 1);
    assert_string_equal(l.items[0].guard.user_sid, "S-1-5-32-556");
    expect_written(&l, NULL);
    json_t *given = json_loads(text, 0, &e), *written = l4_json_policy(&l.items[0]);
    assert_non_null(given);
    assert_int_equal(json_equal(given, written), 1);
    json_decref(given);
    json_decref(written);
    l4_policies_release(&l);
}

static void test_all_members_are_read_and_written_in_one_order(void **state)
{
    (void)state;
    const char *all = "[" POLICY(
        "\"InboundProxyPort\":\"9091\",\"OutboundProxyPort\":\"9191\","
        "\"FilterTuple\":{\"Protocols\":\"6,17\",\"LocalAddresses\":\"10.0.0.1,fd00::1\","
        "\"RemoteAddresses\":\"10.0.0.0/8,fd00::/8\",\"LocalPorts\":\"80,443\","
        "\"RemotePorts\":\"53,8000-8100\",\"Priority\":65535},"
        "\"InboundExceptions\":{\"PortExceptions\":[\"1\",\"10000-20000\"],"
        "\"IpAddressExceptions\":[\"10.0.0.9\",\"::1\"]},"
        "\"OutboundExceptions\":{\"IpAddressExceptions\":[\"10.1.0.0/16\"]},"
        "\"UserSID\":\"S-1-5-18\",\"UserID\":\"1337\",\"GroupID\":\"0\","
        "\"Cgroup\":\"system.slice/proxy.service\",\"UdpMode\":\"redirect\"") "]";
    struct l4_policies l = read_good(all);
    const struct l4_policy *p = &l.items[0];

    assert_int_equal(p->protocols, L4_TCP | L4_UDP);
    assert_int_equal(p->udp, L4_UDP_REDIRECT);
    assert_int_equal(p->priority, 65535);
    assert_int_equal(p->local_addresses.count, 2);
    assert_int_equal(p->remote_addresses.count, 2);
    assert_int_equal(p->local_ports.count, 2);
    assert_true(port_set_contains(&p->remote_ports, 8050));
    assert_true(port_set_contains(&p->inbound.port_exceptions, 15000));
    assert_int_equal(p->inbound.address_exceptions.count, 2);
    assert_int_equal(p->outbound.port_exceptions.count, 0);
    assert_true(p->guard.has_uid && p->guard.uid == 1337);
    assert_true(p->guard.has_gid && p->guard.gid == 0);
    assert_string_equal(p->guard.cgroup, "system.slice/proxy.service");
    expect_written(&l, all);
    l4_policies_release(&l);
}

static void test_the_port_of_older_hosts_sets_both_directions_and_is_not_written(void **state)
{
    (void)state;
    struct l4_policy p = read_one(POLICY("\"Port\":\"8000\""));

    assert_int_equal(p.inbound.proxy_port, 8000);
    assert_int_equal(p.outbound.proxy_port, 8000);
    expect_one_written(POLICY("\"Port\":\"8000\""),
                       "[" POLICY("\"InboundProxyPort\":\"8000\",\"OutboundProxyPort\":\"8000\","
                                  "\"FilterTuple\":{\"Protocols\":\"6\"}") "]");
    /* Beside the members of newer ones, in whatever order, it yields. */
    p = read_one(POLICY("\"Port\":\"8000\",\"InboundProxyPort\":\"9000\""));
    assert_int_equal(p.inbound.proxy_port, 9000);
    assert_int_equal(p.outbound.proxy_port, 8000);
    p = read_one(POLICY("\"InboundProxyPort\":\"9000\",\"Port\":\"8000\""));
    assert_int_equal(p.inbound.proxy_port, 9000);
    assert_int_equal(p.outbound.proxy_port, 8000);
}

static void test_one_policy_a_list_and_an_object_are_read(void **state)
{
    (void)state;
    const char *forms[] = {POLICY("\"Port\":\"1\""), "[" POLICY("\"Port\":\"1\"") "]",
                           "{\"Policies\":[" POLICY("\"Port\":\"1\"") "]}",
                           "\xef\xbb\xbf\r\n" POLICY("\"Port\":\"1\"") "\r\n\t "};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        assert_int_equal(read_one(forms[i]).inbound.proxy_port, 1);
    struct l4_policies none = read_good("[]");
    assert_int_equal(none.count, 0);
    expect_written(&none, "[]");
    none = read_good("{\"Policies\":[]}");
    assert_int_equal(none.count, 0);
}

static void test_absent_null_and_empty_members_mean_the_same(void **state)
{
    (void)state;
    struct l4_policy p = read_one(POLICY("\"Port\":\"1\""));
    struct l4_policy q = read_one(POLICY(
        "\"Port\":\"1\",\"UserSID\":\"\",\"InboundProxyPort\":\"\",\"InboundExceptions\":null,"
        "\"OutboundExceptions\":{\"PortExceptions\":null,\"IpAddressExceptions\":[]},"
        "\"FilterTuple\":{\"Protocols\":\"\",\"LocalAddresses\":\"\",\"Priority\":0}"));

    assert_true(l4_policy_eq(&p, &q));
    assert_int_equal(p.protocols, L4_TCP);
}

static void test_priorities_are_numbers_or_digits(void **state)
{
    (void)state;
    assert_int_equal(read_one(POLICY("\"FilterTuple\":{\"Priority\":7}")).priority, 7);
    assert_int_equal(read_one(POLICY("\"FilterTuple\":{\"Priority\":\"7\"}")).priority, 7);
    assert_int_equal(read_one(POLICY("\"FilterTuple\":{\"Priority\":65535}")).priority, 65535);
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":65536}"), "FilterTuple.Priority: must be");
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":-1}"), "FilterTuple.Priority: must be");
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":1.5}"), "FilterTuple.Priority: must be");
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":\"high\"}"),
                   "FilterTuple.Priority: must be");
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":4294967297}"),
                   "FilterTuple.Priority: must be");
    expect_refused(POLICY("\"FilterTuple\":{\"Priority\":99999999999999999999}"),
                   "FilterTuple.Priority: must be");
}

static void test_what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    expect_refused(POLICY("\"InboundProxyPort\":\"65536\""),
                   "Settings.InboundProxyPort: port 65536 is over 65535");
    expect_refused(POLICY("\"InboundProxyPort\":\"0\""), "Settings.InboundProxyPort: port 0");
    expect_refused(POLICY("\"InboundProxyPort\":8000"),
                   "Settings.InboundProxyPort: must be a text");
    expect_refused(POLICY("\"OutboundProxyPort\":\"80-90\""),
                   "Settings.OutboundProxyPort: \"80-90\"");
    expect_refused(POLICY("\"OutboundProxyPort\":\" 80\""), "Settings.OutboundProxyPort");
    expect_refused(POLICY("\"Port\":\"x\""), "Settings.Port: \"x\" is no port");
    expect_refused(POLICY("\"Port\":true"), "Settings.Port: must be a text");
    expect_refused(POLICY("\"FilterTuple\":\"6\""), "Settings.FilterTuple: must be an object");
    expect_refused(POLICY("\"FilterTuple\":{\"Protocols\":\"1\"}"),
                   "Settings.FilterTuple.Protocols: protocol \"1\" can't be redirected");
    expect_refused(POLICY("\"FilterTuple\":{\"Protocols\":6}"), "Protocols: must be a text");
    expect_refused(POLICY("\"FilterTuple\":{\"LocalPorts\":\"80,,81\"}"),
                   "FilterTuple.LocalPorts: there is nothing");
    expect_refused(POLICY("\"FilterTuple\":{\"RemoteAddresses\":\"10.0.0.1/8\"}"),
                   "FilterTuple.RemoteAddresses: \"10.0.0.1/8\" is no prefix");
    expect_refused(POLICY("\"InboundExceptions\":[]"), "InboundExceptions: must be an object");
    expect_refused(POLICY("\"InboundExceptions\":{\"PortExceptions\":\"9001\"}"),
                   "InboundExceptions.PortExceptions: must be a list");
    expect_refused(POLICY("\"InboundExceptions\":{\"PortExceptions\":[9001]}"),
                   "InboundExceptions.PortExceptions: must be a list of texts");
    expect_refused(POLICY("\"OutboundExceptions\":{\"IpAddressExceptions\":[\"localhost\"]}"),
                   "OutboundExceptions.IpAddressExceptions: \"localhost\" is neither");
    expect_refused(POLICY("\"OutboundExceptions\":{\"IpAddressExceptions\":[null]}"),
                   "OutboundExceptions.IpAddressExceptions: must be a list");
    expect_refused(POLICY("\"UserSID\":\"system\""), "Settings.UserSID: \"system\" is no SID");
    expect_refused(POLICY("\"UserID\":\"root\""), "Settings.UserID: \"root\" is no id");
    expect_refused(POLICY("\"UserID\":1337"), "Settings.UserID: must be a text");
    expect_refused(POLICY("\"GroupID\":\"4294967295\""), "Settings.GroupID");
    expect_refused(POLICY("\"Cgroup\":\"../x\""), "Settings.Cgroup: \"../x\" is no control group");
    expect_refused(POLICY("\"Cgroup\":\"a//x\""), "Settings.Cgroup: \"a//x\" is no control group");
    expect_refused(POLICY("\"Cgroup\":\"/a/it's\""), "byte 6 is ', and only printable ASCII");
    expect_refused(POLICY("\"Cgroup\":\"a\\\"b\""),
                   "\"a\"b\" can't be named in a rule: byte 2 is \",");
    expect_refused(POLICY("\"Cgroup\":\"caf\u00e9.x\""),
                   "\"caf??.x\" can't be named in a rule: byte 4 is 0xc3,");
    expect_refused(POLICY("\"Cgroup\":\"a\\tb\""), "byte 2 is 0x09,");
    expect_refused(POLICY("\"UdpMode\":\"fast\""), "Settings.UdpMode: \"fast\"");
    expect_refused("[" POLICY("\"Port\":\"1\"") "," POLICY("\"Port\":\"90001\"") "]",
                   "policy 2, Settings.Port: port 90001 is over 65535");
    expect_refused("{\"Policies\":[" POLICY("\"Port\":\"0\"") "]}",
                   "policy 1, Settings.Port: port 0");
}

static void test_unknown_members_are_refused_by_name(void **state)
{
    (void)state;
    expect_refused(POLICY("\"OutboundException\":{}"),
                   "Settings.OutboundException: unknown member");
    expect_refused(POLICY("\"userSID\":\"S-1-5-18\""),
                   "userSID: unknown member; it is spelled UserSID");
    expect_refused(POLICY("\"FilterTuple\":{\"Protocol\":\"6\"}"), "FilterTuple.Protocol: unknown");
    expect_refused(POLICY("\"InboundExceptions\":{\"Ports\":[]}"),
                   "InboundExceptions.Ports: unknown");
    expect_refused("{\"Type\":\"L4WFPPROXY\",\"Settings\":{},\"Id\":1}", "Id: unknown member");
    expect_refused("{\"Policies\":[],\"Version\":1}", "Version: unknown member");
    expect_refused("{\"Rules\":[]}", "this is a file of rules, for stile policy watch");
    expect_refused("[{\"Labels\":{},\"Policies\":[]}]", "policy 1, this is a rule");
    expect_refused(POLICY("\"\\u001b[31m\\u00e9\":\"\""), "?[31m??: unknown member");
}

#define SEVERAL_WRONG                                                                              \
    "[" POLICY("\"Port\":\"80\"") "," POLICY(                                                      \
        "\"InboundProxyPort\":\"90001\",\"Nonsense\":1,"                                           \
        "\"FilterTuple\":{\"Protocols\":\"sctp\","                                                 \
        "\"LocalPorts\":\"1\",\"Prority\":1},\"UserID\":"                                          \
        "\"5\"") "," POLICY("\"Port\":\"81\"") ",7," POLICY("\"Port\":\"0\"") "]"

struct told {
    size_t count;
    char text[4096];
};

static void note_problem(void *arg, size_t policy, const char *text)
{
    struct told *t = arg;
    size_t len = strlen(t->text);

    t->count++;
    assert_true((size_t)snprintf(t->text + len, sizeof(t->text) - len, "%zu %s\n", policy, text) <
                sizeof(t->text) - len);
}

static void test_everything_that_is_wrong_is_told_each_with_its_place(void **state)
{
    (void)state;
    struct l4_policies l;
    struct told t = {0};
    struct diag d = {0};

    assert_int_equal(l4_json_read_all(slice_str(SEVERAL_WRONG), &l, note_problem, &t, &d), 0);
    assert_int_equal(l.count, 5);
    assert_string_equal(
        t.text,
        "1 Settings.InboundProxyPort: port 90001 is over 65535: ports are numbers from 1 to 65535\n"
        "1 Settings.Nonsense: unknown member. Is it mistyped? stile-policy(1) lists those that "
        "there are\n"
        "1 Settings.FilterTuple.Protocols: protocol \"sctp\" can't be redirected: tcp (6) and udp "
        "(17) can\n"
        "1 Settings.FilterTuple.Prority: unknown member. Is it mistyped? stile-policy(1) lists "
        "those that there are\n"
        "3 a policy is an object: {\"Type\":\"L4WFPPROXY\",\"Settings\":{...}}\n"
        "4 Settings.Port: port 0 means nothing here: ports are numbers from 1 to 65535\n");
    assert_int_equal(l.items[0].inbound.proxy_port, 80);
    assert_int_equal(l.items[2].inbound.proxy_port, 81);
    for (size_t i = 0; i < l.count; i++)
        assert_int_equal(l.items[i].protocols, i == 0 || i == 2 ? L4_TCP : 0);
    l4_policies_release(&l);
}

static void test_nothing_is_told_of_what_is_good(void **state)
{
    (void)state;
    struct l4_policies l;
    struct told t = {0};
    struct diag d = {0};

    assert_int_equal(l4_json_read_all(SLICE_LIT("{\"Policies\":[" POLICY("\"Port\":\"80\"") "]}"),
                                      &l, note_problem, &t, &d),
                     0);
    assert_int_equal(t.count, 0);
    assert_int_equal(l.count, 1);
    l4_policies_release(&l);
    l.count = 7;
    assert_int_equal(l4_json_read_all(SLICE_LIT("[7,"), &l, note_problem, &t, &d), ERR_FORMAT);
    assert_int_equal(t.count, 0);
    assert_int_equal(l.count, 7);
}

static void test_one_text_says_how_many_problems_there_are(void **state)
{
    (void)state;
    struct l4_policy p;
    struct diag d = {0};
    CLEANUP(decref)
    json_t *v =
        json_pack("{s:s, s:{s:s, s:i}}", "Type", L4_TYPE, "Settings", "Port", "0", "Nonsense", 1);

    expect_refused(SEVERAL_WRONG, "policy 2, Settings.InboundProxyPort: port 90001");
    expect_refused(SEVERAL_WRONG, " (and 5 more problems)");
    assert_int_equal(l4_json_read_policy(v, "policy 3", &p, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, "policy 3, Settings.Port: port 0"));
    assert_non_null(strstr(d.text, " (and 1 more problem)"));
}

static void test_what_is_no_policy_is_refused(void **state)
{
    (void)state;
    expect_refused("{}", "Type: is missing");
    expect_refused("{\"Type\":7,\"Settings\":{}}", "Type: is missing");
    expect_refused("{\"Type\":\"L4WFPPROXY\"}", "Settings: is missing");
    expect_refused("{\"Type\":\"L4WFPPROXY\",\"Settings\":[]}", "Settings: is missing");
    expect_refused("{\"Type\":\"ACL\",\"Settings\":{}}", "Type: \"ACL\" is another kind");
    expect_refused("[7]", "policy 1, a policy is an object");
    expect_refused("[[]]", "policy 1, a policy is an object");
    expect_refused("{\"Policies\":{}}", "Policies: must be a list");
}

static void test_what_is_no_json_is_refused_with_line_and_column(void **state)
{
    (void)state;
    expect_refused("", "empty");
    expect_refused("\xef\xbb\xbf", "empty");
    expect_refused(" \n", "line 2");
    expect_refused("[\n{\"Type\" \"x\"}]", "line 2, column 9: a colon");
    expect_refused("7", "neither a policy nor a list");
    expect_refused("[] []", "line 1");
    expect_refused(POLICY("\"Port\":\"1\",\"Port\":\"2\""), "this member is there twice");
    expect_refused("{\"Type\":\"L4WFPPROXY\",\"Settings\":{},\"Settings\":{}}", "twice");
    expect_refused(POLICY("\"Port\":\"\\u0000\""), "line 1");
    expect_refused("[\"\xff\xfe\"]", "line 1");
    expect_refused("[\"\xc3\x28\"]", "line 1");
    expect_refused("\xff\xfe[\x01]\x01", "UTF-16");
    expect_refused("\xfe\xff[", "UTF-16");
    expect_refused("[\x1b[2J", "line 1");
    expect_bytes_refused(SLICE_LIT("[]\0"), ERR_FORMAT, "line 1");
    expect_bytes_refused(SLICE_LIT("\0\0"), ERR_FORMAT, "line 1");
    expect_bytes_refused(SLICE_LIT("[\"a\0b\"]"), ERR_FORMAT, "line 1");
}

/* From another parser a text may hold a NUL, behind which a check would see nothing. */
static void test_a_text_with_a_nul_inside_is_refused(void **state)
{
    (void)state;
    json_t *v = json_pack("{s:s, s:{s:s#}}", "Type", L4_TYPE, "Settings", "Port", "80\0x", 4);
    struct l4_policy p;
    struct diag d = {0};

    assert_non_null(v);
    assert_int_equal(l4_json_read_policy(v, "policy 3", &p, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, "policy 3, Settings.Port: must be a text"));
    json_decref(v);
}

static void test_deep_and_huge_input_is_refused(void **state)
{
    (void)state;
    static char deep[100000];

    memset(deep, '[', sizeof(deep));
    expect_bytes_refused(slice_of(deep, sizeof(deep)), ERR_FORMAT, "too deep");
    char *huge = mem_zalloc(L4_JSON_MAX + 1);
    assert_non_null(huge);
    memset(huge, ' ', L4_JSON_MAX + 1);
    memcpy(huge, "[]", 2);
    expect_bytes_refused(slice_of(huge, L4_JSON_MAX + 1), ERR_TOOBIG, "too long");
    struct l4_policies l;
    assert_int_equal(l4_json_read(slice_of(huge, L4_JSON_MAX), &l, NULL), 0);
    mem_free(huge);
}

static void test_there_may_be_so_many_policies_and_no_more(void **state)
{
    (void)state;
    static const char one[] = POLICY("\"Port\":\"1\"") ",";
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, L4_JSON_MAX);
    assert_int_equal(buf_put_str(&b, "["), 0);
    for (size_t i = 0; i <= L4_POLICIES_MAX; i++)
        assert_int_equal(buf_put_str(&b, one), 0);
    b.data[b.end - 1] = ']';
    expect_bytes_refused(buf_slice(&b), ERR_LIMIT, "4097 policies are too many");
}

static void test_lists_have_limits(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, L4_JSON_MAX);
    assert_int_equal(
        buf_put_str(&b,
                    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"FilterTuple\":{\"LocalPorts\":\""),
        0);
    for (unsigned i = 0; i <= PORT_SET_MAX; i++)
        assert_int_equal(buf_printf(&b, "%s%u", i > 0 ? "," : "", 2 * i + 1), 0);
    assert_int_equal(buf_put_str(&b, "\"}}}"), 0);
    expect_bytes_refused(buf_slice(&b), ERR_LIMIT,
                         "FilterTuple.LocalPorts: port 129 is one too many");
}

/* 9001 and 9002 are two exceptions, not a range, to a host that has no ranges. */
static void test_short_ranges_are_written_port_by_port(void **state)
{
    (void)state;
    expect_one_written(
        POLICY("\"Port\":\"1\",\"FilterTuple\":{\"LocalPorts\":\"9002,9001\",\"RemotePorts\":\"1-"
               "16\"},"
               "\"InboundExceptions\":{\"PortExceptions\":[\"7-9\",\"65534-65535\"]},"
               "\"OutboundExceptions\":{\"PortExceptions\":[\"1-17\",\"100\"]}"),
        "[" POLICY(
            "\"InboundProxyPort\":\"1\",\"OutboundProxyPort\":\"1\",\"FilterTuple\":{"
            "\"Protocols\":\"6\",\"LocalPorts\":\"9001,9002\","
            "\"RemotePorts\":\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\"},"
            "\"InboundExceptions\":{\"PortExceptions\":[\"7\",\"8\",\"9\",\"65534\",\"65535\"]},"
            "\"OutboundExceptions\":{\"PortExceptions\":[\"1-17\",\"100\"]}") "]");
}

static void test_repetitions_are_read_as_one(void **state)
{
    (void)state;
    expect_one_written(
        POLICY("\"Port\":\"1\",\"InboundExceptions\":{\"PortExceptions\":[\"80\",\"80\"],"
               "\"IpAddressExceptions\":[\"10.0.0.1\",\"10.0.0.1/32\"]}"),
        "[" POLICY("\"InboundProxyPort\":\"1\",\"OutboundProxyPort\":\"1\",\"FilterTuple\":{"
                   "\"Protocols\":\"6\"},\"InboundExceptions\":{\"PortExceptions\":[\"80\"],"
                   "\"IpAddressExceptions\":[\"10.0.0.1\"]}") "]");
}

static void test_sids_control_groups_and_ids(void **state)
{
    (void)state;
    static const char *const good_sids[] = {"S-1-5-18", "S-1-5-32-556",
                                            "S-1-5-21-1688553208-1784504425-564974220-1000",
                                            "S-1-0x00123456789A-1", "S-1-5-4294967295"};
    static const char *const bad_sids[] = {"S-1",
                                           "S-1-",
                                           "S-1-5",
                                           "S-1-5-",
                                           "S-2-5-18",
                                           "s-1-5-18",
                                           "S-1-5-18-",
                                           "S-1-5-18 ",
                                           "S-1-5-4294967296",
                                           "S-1-0x12-1",
                                           "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
                                           "S-1-5-x"};
    static const char *const bad_groups[] = {
        "a//b",   "a/",       ".",    "a/./b",  "a/../b",
        "/",      "a\\u0007", "it's", "a\\\"b", "/sys/fs/cgroup/a",
        "\\u00e9"};
    char text[512];

    for (size_t i = 0; i < ARRAY_LEN(good_sids); i++) {
        (void)str_format(text, sizeof(text), POLICY("\"Port\":\"1\",\"UserSID\":\"%s\""),
                         good_sids[i]);
        assert_string_equal(read_one(text).guard.user_sid, good_sids[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_sids); i++) {
        (void)str_format(text, sizeof(text), POLICY("\"UserSID\":\"%s\""), bad_sids[i]);
        expect_refused(text, "Settings.UserSID: ");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_groups); i++) {
        (void)str_format(text, sizeof(text), POLICY("\"Cgroup\":\"%s\""), bad_groups[i]);
        expect_refused(text, "Settings.Cgroup: ");
    }
    assert_string_equal(read_one(POLICY("\"Cgroup\":\"/a/b\"")).guard.cgroup, "a/b");
    assert_string_equal(read_one(POLICY("\"Cgroup\":\"a\\\\x2db\"")).guard.cgroup, "a\\x2db");
    assert_int_equal(read_one(POLICY("\"UserID\":\"4294967294\"")).guard.uid, 4294967294);
}

static int read_and_write(const char *text, char **ret)
{
    CLEANUP(buf_release) struct buf b;
    struct l4_policies l;
    struct diag d = {0};

    buf_init(&b, L4_JSON_MAX);
    int r = l4_json_read(slice_str(text), &l, &d);
    if (r < 0) {
        assert_true(d.text[0] != '\0');
        return r;
    }
    r = l4_json_write(&l, &b);
    l4_policies_release(&l);
    if (r < 0)
        return r;
    *ret = buf_steal_cstr(&b);
    return *ret != NULL ? 0 : ERR_NOMEM;
}

static void test_no_failing_allocation_is_taken_for_success(void **state)
{
    (void)state;
    const char *text = "[" POLICY(
        "\"Port\":\"8000\",\"FilterTuple\":{\"LocalAddresses\":\"10.0.0.1\",\"LocalPorts\":"
        "\"1\"},\"InboundExceptions\":{\"PortExceptions\":[\"1\"],\"IpAddressExceptions\":"
        "[\"10.0.0.1\"]},\"UserID\":\"1\"") "," POLICY("\"Port\":\"2\"") "]";
    char *whole = NULL, *written = NULL;
    uint64_t n = 1, made;

    json_set_alloc_funcs(mem_alloc, mem_free);
    assert_int_equal(read_and_write(text, &whole), 0);
    do {
        (void)mem_fail_at(n);
        int r = read_and_write(text, &written);
        made = mem_fail_at(0);
        /* Some things can be done without: then nothing may be missing. */
        assert_true(r == ERR_NOMEM || r == 0);
        if (r == 0) {
            assert_string_equal(written, whole);
            mem_free(STEAL(written));
        }
    } while (made >= n++);
    assert_true(n > 100);
    mem_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_readme_example_is_refused_for_its_ports),
        cmocka_unit_test(test_the_readme_example_with_ports_that_exist_is_written_back_as_it_was),
        cmocka_unit_test(test_all_members_are_read_and_written_in_one_order),
        cmocka_unit_test(test_the_port_of_older_hosts_sets_both_directions_and_is_not_written),
        cmocka_unit_test(test_one_policy_a_list_and_an_object_are_read),
        cmocka_unit_test(test_absent_null_and_empty_members_mean_the_same),
        cmocka_unit_test(test_priorities_are_numbers_or_digits),
        cmocka_unit_test(test_what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(test_unknown_members_are_refused_by_name),
        cmocka_unit_test(test_everything_that_is_wrong_is_told_each_with_its_place),
        cmocka_unit_test(test_nothing_is_told_of_what_is_good),
        cmocka_unit_test(test_one_text_says_how_many_problems_there_are),
        cmocka_unit_test(test_what_is_no_policy_is_refused),
        cmocka_unit_test(test_what_is_no_json_is_refused_with_line_and_column),
        cmocka_unit_test(test_a_text_with_a_nul_inside_is_refused),
        cmocka_unit_test(test_deep_and_huge_input_is_refused),
        cmocka_unit_test(test_there_may_be_so_many_policies_and_no_more),
        cmocka_unit_test(test_lists_have_limits),
        cmocka_unit_test(test_short_ranges_are_written_port_by_port),
        cmocka_unit_test(test_repetitions_are_read_as_one),
        cmocka_unit_test(test_sids_control_groups_and_ids),
        cmocka_unit_test(test_no_failing_allocation_is_taken_for_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
