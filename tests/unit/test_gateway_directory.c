/* Apps by name, and who may use which port of what. */
#include "testing.h"

#include <string.h>

#include "base/str.h"
#include "gateway/directory.h"

static const char text[] =
    "cluster: demo\nlisten: 127.0.0.1:7443\npublic_addr: gw.demo.stile.test:7443\nstate: state.db\n"
    "dns_zones: [demo.stile.test]\napps:\n"
    "- {name: pg, public_name: pg.demo.stile.test, target: 10.1.2.3:5432, ports: [5432, 8000-8010],"
    " allow: {users: [alice], groups: [dba]}}\n"
    "- {name: any, public_name: any.demo.stile.test, target: 10.1.2.3, ports: any, allow: {groups: "
    "[everyone]}}\n"
    "- {name: dash, public_name: dash.demo.stile.test, web: true}\n"
    "- {name: boss, public_name: boss.demo.stile.test, web: true, allow: {users: [bob]}}\n";

static int setup(void **state)
{
    struct gateway_config *config = NULL;
    struct directory *directory = NULL;
    assert_int_equal(gateway_config_parse("f", slice_str(text), NULL, NULL, &config, NULL), 0);
    assert_int_equal(directory_new(config, &directory), 0);
    *state = directory;
    return 0;
}

static int teardown(void **state)
{
    directory_unref(*state);
    return 0;
}

static void apps_are_found_by_name(void **state)
{
    assert_string_equal(directory_find(*state, "pg")->name, "pg");
    assert_null(directory_find(*state, "PG"));
    assert_null(directory_find(*state, ""));
    assert_null(directory_find(*state, "nothing"));
}

static void public_names_are_found_in_any_case_and_with_the_last_dot(void **state)
{
    assert_string_equal(directory_resolve(*state, "pg.demo.stile.test")->name, "pg");
    assert_string_equal(directory_resolve(*state, "Pg.DEMO.stile.test.")->name, "pg");
    assert_null(directory_resolve(*state, "demo.stile.test"));
    assert_null(directory_resolve(*state, "x.pg.demo.stile.test"));
    assert_null(directory_resolve(*state, ""));
    assert_null(directory_resolve(*state, "a..b"));
}

static bool may_use(void **state, const char *app, const char *user, const char *group)
{
    char *items[] = {(char *)(uintptr_t)group};
    struct texts groups = {items, group != NULL ? 1 : 0};
    return directory_may_use(directory_find(*state, app), user, &groups);
}

static void users_and_groups_decide(void **state)
{
    assert_true(may_use(state, "pg", "alice", NULL));
    assert_true(may_use(state, "pg", "bob", "dba"));
    assert_false(may_use(state, "pg", "bob", NULL));
    assert_false(may_use(state, "pg", "bob", "alice"));
    assert_false(may_use(state, "pg", "dba", NULL));
    assert_false(may_use(state, "pg", "Alice", NULL));
    assert_true(may_use(state, "any", "bob", NULL));
    assert_true(may_use(state, "dash", "anyone", NULL));
    assert_true(may_use(state, "boss", "bob", NULL));
    assert_false(may_use(state, "boss", "alice", NULL));
}

static void ports_decide(void **state)
{
    const struct config_app *pg = directory_find(*state, "pg");
    assert_true(directory_has_port(pg, 5432));
    assert_true(directory_has_port(pg, 8000));
    assert_true(directory_has_port(pg, 8010));
    assert_false(directory_has_port(pg, 8011));
    assert_false(directory_has_port(pg, 7999));
    assert_false(directory_has_port(pg, 0));
    assert_true(directory_has_port(directory_find(*state, "any"), 1));
    assert_true(directory_has_port(directory_find(*state, "any"), 65535));
    assert_false(directory_has_port(directory_find(*state, "any"), 0));
    assert_false(directory_has_port(directory_find(*state, "dash"), 443));
}

static void ports_are_shown_and_cut(void **state)
{
    char shown[64];
    char little[8];
    directory_ports_text(directory_find(*state, "pg"), shown, sizeof(shown));
    assert_string_equal(shown, "5432, 8000-8010");
    directory_ports_text(directory_find(*state, "any"), shown, sizeof(shown));
    assert_string_equal(shown, "any");
    directory_ports_text(directory_find(*state, "pg"), little, sizeof(little));
    assert_string_equal(little, "5432, 8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(apps_are_found_by_name),
        cmocka_unit_test(public_names_are_found_in_any_case_and_with_the_last_dot),
        cmocka_unit_test(users_and_groups_decide),
        cmocka_unit_test(ports_decide),
        cmocka_unit_test(ports_are_shown_and_cut),
    };
    return cmocka_run_group_tests_name("gateway_directory", tests, setup, teardown);
}
