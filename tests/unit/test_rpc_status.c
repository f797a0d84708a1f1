#include "testing.h"

#include "base/err.h"
#include "rpc/status.h"

static void statuses_have_grpcs_names_and_numbers(UNUSED void **state)
{
    assert_string_equal(rpc_status_name(RPC_OK), "OK");
    assert_string_equal(rpc_status_name((enum rpc_status)5), "NOT_FOUND");
    assert_string_equal(rpc_status_name((enum rpc_status)14), "UNAVAILABLE");
    assert_string_equal(rpc_status_name((enum rpc_status)16), "UNAUTHENTICATED");
    assert_string_equal(rpc_status_name((enum rpc_status)17), "UNKNOWN");
    assert_string_equal(rpc_status_name((enum rpc_status) - 1), "UNKNOWN");
}

static void every_status_is_an_error_but_ok(UNUSED void **state)
{
    assert_int_equal(rpc_status_to_err(RPC_OK), 0);
    for (int i = 1; i <= RPC_STATUS_MAX; i++)
        assert_true(rpc_status_to_err((enum rpc_status)i) < 0);
    assert_int_equal(rpc_status_to_err((enum rpc_status)99), ERR_PROTOCOL);
}

static void every_error_is_a_status_but_0(UNUSED void **state)
{
    assert_int_equal(rpc_status_from_err(0), RPC_OK);
    for (int err = -1; err >= ERR_LAST; err--)
        assert_int_not_equal(rpc_status_from_err(err), RPC_OK);
    assert_int_equal(rpc_status_from_err(-999), RPC_INTERNAL);
}

static void what_callers_act_on_survives_the_way(UNUSED void **state)
{
    static const int errs[] = {ERR_NOTFOUND, ERR_DENIED,     ERR_AUTH,  ERR_CANCELED,
                               ERR_TIMEOUT,  ERR_LIMIT,      ERR_INVAL, ERR_INTERNAL,
                               ERR_CLOSED,   ERR_UNSUPPORTED};
    for (size_t i = 0; i < ARRAY_LEN(errs); i++)
        assert_int_equal(rpc_status_to_err(rpc_status_from_err(errs[i])), errs[i]);
    assert_int_equal(rpc_status_from_err(ERR_EXPIRED), RPC_UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_grpcs_names_and_numbers),
        cmocka_unit_test(every_status_is_an_error_but_ok),
        cmocka_unit_test(every_error_is_a_status_but_0),
        cmocka_unit_test(what_callers_act_on_survives_the_way),
    };
    return cmocka_run_group_tests_name("rpc_status", tests, NULL, NULL);
}
