#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/object.h"
#include "testing.h"

static struct object link_object(void)
{
    return (struct object){.kind = OBJECT_LINK,
                           .link = "stile0",
                           .link_index = 3,
                           .settings = {.mtu = 65535, .queue_len = 1000, .up = true}};
}

static struct object address_object(void)
{
    return (struct object){.kind = OBJECT_ADDRESS,
                           .link = "stile0",
                           .link_index = 3,
                           .address = {.addr = ip_addr_v4(100, 64, 0, 1), .bits = 32}};
}

static struct object route_object(void)
{
    struct object o = {.kind = OBJECT_ROUTE, .link = "stile0", .link_index = 3};
    assert_int_equal(prefix_parse("fd00:1::/48", &o.route.dst), 0);
    assert_int_equal(ip_addr_parse("fd00:1::1", &o.route.source), 0);
    assert_int_equal(ip_addr_parse("fe80::1", &o.route.via), 0);
    o.route.metric = 50;
    o.route.table = 1000;
    return o;
}

static char zones[OBJECT_ZONES_MAX][OBJECT_ZONE_SIZE] = {"corp.example", "lab.example"};

/* Borrows `zones`: not to be released. */
static struct object dns_object(void)
{
    struct object o = {.kind = OBJECT_DNS, .link = "stile0", .link_index = 3};
    o.dns.servers[0] = ip_addr_v4(100, 64, 0, 2);
    o.dns.servers[1] = (struct ip_addr){.version = 6, .bytes = {0xfd, [15] = 2}};
    o.dns.server_count = 2;
    o.dns.flags = OBJECT_DNS_SEARCH;
    o.dns.zones = zones;
    o.dns.zone_count = 2;
    return o;
}

static struct object (*const makers[])(void) = {link_object, address_object, route_object,
                                                dns_object};

static struct buf encoded(const struct object *o)
{
    struct buf b;
    buf_init(&b, OBJECT_BYTES_MAX);
    assert_int_equal(object_encode(o, &b), 0);
    return b;
}

static void bytes_give_back_the_same_object(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        struct object o = makers[i](), back;
        struct buf b = encoded(&o);
        assert_int_equal(object_decode(buf_slice(&b), &back), 0);
        assert_true(object_eq(&o, &back));
        object_release(&back);
        buf_release(&b);
    }
}

static void the_largest_object_has_room(void **state)
{
    (void)state;
    struct object o = dns_object(), back;
    static char long_zones[OBJECT_ZONES_MAX][OBJECT_ZONE_SIZE];
    for (size_t i = 0; i < OBJECT_ZONES_MAX; i++) {
        memset(long_zones[i], 'a', 253);
        for (size_t dot = 63; dot < 253; dot += 64)
            long_zones[i][dot] = '.';
    }
    o.dns.zones = long_zones;
    o.dns.zone_count = OBJECT_ZONES_MAX;
    struct buf b = encoded(&o);
    assert_int_equal(object_decode(buf_slice(&b), &back), 0);
    assert_true(object_eq(&o, &back));
    object_release(&back);
    buf_release(&b);
}

static void cut_or_longer_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        struct object o = makers[i](), back = {0};
        struct buf b = encoded(&o);
        for (size_t len = 0; len < buf_len(&b); len++) {
            void *exact = mem_dup(b.data, len);
            assert_non_null(exact);
            assert_true(object_decode(slice_of(exact, len), &back) < 0);
            mem_free(exact);
        }
        assert_int_equal(buf_put_u8(&b, 0), 0);
        assert_int_equal(object_decode(buf_slice(&b), &back), ERR_FORMAT);
        assert_int_equal(back.kind, 0);
        buf_release(&b);
    }
}

static void bad_bytes_are_refused(void **state)
{
    (void)state;
    struct object o = address_object(), back;
    struct buf b = encoded(&o);
    struct {
        size_t at;
        uint8_t value;
        int err;
    } cases[] = {
        {0, 0, ERR_UNSUPPORTED}, {0, 200, ERR_UNSUPPORTED}, {2, ' ', ERR_FORMAT},
        {2, '/', ERR_FORMAT},    {2, 0, ERR_FORMAT},        {12, 5, ERR_FORMAT},
        {17, 33, ERR_FORMAT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t was = b.data[cases[i].at];
        b.data[cases[i].at] = cases[i].value;
        int r = object_decode(buf_slice(&b), &back);
        b.data[cases[i].at] = was;
        if (r != cases[i].err && !(cases[i].at == 12 && r < 0))
            fail_msg("case %u: %d", (unsigned)i, r);
    }
    assert_int_equal(object_decode(buf_slice(&b), &back), 0);
    buf_release(&b);
}

static void objects_that_break_a_rule_are_refused(void **state)
{
    (void)state;
    struct object o;
    (void)(o = link_object(), o.kind = 0);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = link_object(), o.kind = OBJECT_KIND_COUNT);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = link_object(), o.link[0] = '\0');
    assert_int_equal(object_check(&o), ERR_INVAL);
    o = link_object();
    memset(o.link, 'x', sizeof(o.link));
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = address_object(), o.address.bits = 33);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = address_object(), o.address.addr.version = 0);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = route_object(), o.route.dst.bits = 8); /* bits of the host are set */
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = route_object(), o.route.source = ip_addr_v4(1, 2, 3, 4));
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = dns_object(), o.dns.zone_count = OBJECT_ZONES_MAX + 1);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = dns_object(), o.dns.server_count = OBJECT_SERVERS_MAX + 1);
    assert_int_equal(object_check(&o), ERR_INVAL);
    (void)(o = dns_object(), o.dns.flags = 4);
    assert_int_equal(object_check(&o), ERR_INVAL);
}

static void bad_zones_are_refused(void **state)
{
    static const char *const bad[] = {"",    ".",    "Corp.example", "corp.example.", "a..b",
                                      "a b", "x;id", "$(id)",        "a'b",           "a\nb"};
    char zone[1][OBJECT_ZONE_SIZE];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct object o = dns_object();
        o.dns.zones = zone;
        o.dns.zone_count = 1;
        assert_int_equal(str_copy(zone[0], sizeof(zone[0]), bad[i]), 0);
        if (object_check(&o) != ERR_INVAL)
            fail_msg("\"%s\" was accepted", bad[i]);
    }
}

static bool same_key(const struct object *a, const struct object *b)
{
    struct object_key x, y;
    object_key(a, &x);
    object_key(b, &y);
    return slice_eq(slice_of(x.bytes, x.len), slice_of(y.bytes, y.len));
}

static void the_key_is_what_the_host_tells_objects_apart_by(void **state)
{
    (void)state;
    struct object a = route_object(), b = route_object();
    b.route.source = (struct ip_addr){0};
    assert_true(same_key(&a, &b)); /* another content of the same route */
    assert_false(object_eq(&a, &b));
    (void)(b = route_object(), b.route.metric = 51);
    assert_false(same_key(&a, &b));
    (void)(b = route_object(), b.route.table = 1);
    assert_false(same_key(&a, &b));
    a = link_object();
    (void)(b = link_object(), b.settings.mtu = 1400);
    assert_true(same_key(&a, &b));
    assert_false(object_eq(&a, &b));
    (void)(b = link_object(), b.link_index = 4); /* another link that took the name */
    assert_false(same_key(&a, &b));
    a = dns_object();
    (void)(b = dns_object(), b.dns.zone_count = 1);
    assert_true(same_key(&a, &b));
    assert_false(object_eq(&a, &b));
    for (size_t i = 0; i < ARRAY_LEN(makers); i++)
        for (size_t j = 0; j < ARRAY_LEN(makers); j++) {
            (void)(a = makers[i](), b = makers[j]());
            assert_int_equal(same_key(&a, &b), i == j);
        }
}

static void texts_are_for_people(void **state)
{
    static const char *const texts[] = {"settings of stile0", "address 100.64.0.1/32 on stile0",
                                        "route fd00:1::/48 on stile0", "DNS settings of stile0"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        char text[OBJECT_TEXT_SIZE];
        struct object o = makers[i]();
        object_text(&o, text);
        assert_string_equal(text, texts[i]);
    }
    assert_string_equal(object_kind_name(OBJECT_ROUTE), "route");
    assert_string_equal(object_kind_name(77), "?");
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    struct object o = dns_object(), copy;
    struct buf b = encoded(&o);
    (void)mem_fail_at(1);
    assert_int_equal(object_decode(buf_slice(&b), &copy), ERR_NOMEM);
    (void)mem_fail_at(1);
    assert_int_equal(object_copy(&o, &copy), ERR_NOMEM);
    (void)mem_fail_at(0);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_give_back_the_same_object),
        cmocka_unit_test(the_largest_object_has_room),
        cmocka_unit_test(cut_or_longer_bytes_are_refused),
        cmocka_unit_test(bad_bytes_are_refused),
        cmocka_unit_test(objects_that_break_a_rule_are_refused),
        cmocka_unit_test(bad_zones_are_refused),
        cmocka_unit_test(the_key_is_what_the_host_tells_objects_apart_by),
        cmocka_unit_test(texts_are_for_people),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
