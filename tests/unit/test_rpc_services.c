#include "testing.h"

#include <stdio.h>

#include "base/str.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "stile/agent/v1/control.pb-c.h"
#include "stile/vnet/v1/client_application.pb-c.h"

static const struct rpc_method *const client_application[] = {
    &client_application_authenticate_process,
    &client_application_resolve_app_info,
    &client_application_reissue_app_cert,
    &client_application_sign_for_app,
    &client_application_ping,
    &client_application_report_network_stack,
    &client_application_on_new_connection,
    &client_application_on_invalid_local_port,
    &client_application_report_connections,
    &client_application_watch_target_configuration,
};

static const struct rpc_method *const control[] = {&control_get_status, &control_list_connections,
                                                   &control_stop, &control_get_log};

static const struct rpc_method *const access_methods[] = {
    &access_log_in, &access_list_apps, &access_resolve_app, &access_issue_app_cert};

/* The table and the proto name the same methods, in the same order, with the same messages. */
static void expect_same(const ProtobufCServiceDescriptor *service,
                        const struct rpc_method *const *methods, size_t count)
{
    assert_int_equal(service->n_methods, count);
    for (size_t i = 0; i < count; i++) {
        char path[200];
        assert_int_equal(
            str_format(path, sizeof(path), "/%s/%s", service->name, service->methods[i].name), 0);
        assert_string_equal(methods[i]->path, path);
        assert_ptr_equal(methods[i]->request, service->methods[i].input);
        assert_ptr_equal(methods[i]->response, service->methods[i].output);
    }
}

static void tables_and_protos_agree(UNUSED void **state)
{
    expect_same(&stile__vnet__v1__client_application_service__descriptor, client_application,
                ARRAY_LEN(client_application));
    expect_same(&stile__agent__v1__control_service__descriptor, control, ARRAY_LEN(control));
    expect_same(&stile__access__v1__access_service__descriptor, access_methods,
                ARRAY_LEN(access_methods));
}

static void only_watching_streams(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(client_application); i++)
        assert_int_equal(client_application[i]->streaming,
                         client_application[i] == &client_application_watch_target_configuration);
    for (size_t i = 0; i < ARRAY_LEN(control); i++)
        assert_false(control[i]->streaming);
    for (size_t i = 0; i < ARRAY_LEN(access_methods); i++)
        assert_false(access_methods[i]->streaming);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_and_protos_agree),
        cmocka_unit_test(only_watching_streams),
    };
    return cmocka_run_group_tests_name("rpc_services", tests, NULL, NULL);
}
