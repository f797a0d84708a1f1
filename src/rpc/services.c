#include "rpc/services.h"

#include "stile/access/v1/access.pb-c.h"
#include "stile/agent/v1/control.pb-c.h"
#include "stile/vnet/v1/client_application.pb-c.h"

#define METHOD(constant, service, name, request_c, response_c, is_stream)                          \
    const struct rpc_method constant = {.path = "/" service "/" name,                              \
                                        .request = &request_c##__descriptor,                       \
                                        .response = &response_c##__descriptor,                     \
                                        .streaming = is_stream}

#define CLIENT_APPLICATION "stile.vnet.v1.ClientApplicationService"

METHOD(client_application_authenticate_process, CLIENT_APPLICATION, "AuthenticateProcess",
       stile__vnet__v1__authenticate_process_request,
       stile__vnet__v1__authenticate_process_response, false);
METHOD(client_application_resolve_app_info, CLIENT_APPLICATION, "ResolveAppInfo",
       stile__vnet__v1__resolve_app_info_request, stile__vnet__v1__resolve_app_info_response,
       false);
METHOD(client_application_reissue_app_cert, CLIENT_APPLICATION, "ReissueAppCert",
       stile__vnet__v1__reissue_app_cert_request, stile__vnet__v1__reissue_app_cert_response,
       false);
METHOD(client_application_sign_for_app, CLIENT_APPLICATION, "SignForApp",
       stile__vnet__v1__sign_for_app_request, stile__vnet__v1__sign_for_app_response, false);
METHOD(client_application_ping, CLIENT_APPLICATION, "Ping", stile__vnet__v1__ping_request,
       stile__vnet__v1__ping_response, false);
METHOD(client_application_report_network_stack, CLIENT_APPLICATION, "ReportNetworkStack",
       stile__vnet__v1__report_network_stack_request,
       stile__vnet__v1__report_network_stack_response, false);
METHOD(client_application_on_new_connection, CLIENT_APPLICATION, "OnNewConnection",
       stile__vnet__v1__on_new_connection_request, stile__vnet__v1__on_new_connection_response,
       false);
METHOD(client_application_on_invalid_local_port, CLIENT_APPLICATION, "OnInvalidLocalPort",
       stile__vnet__v1__on_invalid_local_port_request,
       stile__vnet__v1__on_invalid_local_port_response, false);
METHOD(client_application_report_connections, CLIENT_APPLICATION, "ReportConnections",
       stile__vnet__v1__report_connections_request, stile__vnet__v1__report_connections_response,
       false);
METHOD(client_application_watch_target_configuration, CLIENT_APPLICATION,
       "WatchTargetConfiguration", stile__vnet__v1__watch_target_configuration_request,
       stile__vnet__v1__target_configuration, true);

#define CONTROL "stile.agent.v1.ControlService"

METHOD(control_get_status, CONTROL, "GetStatus", stile__agent__v1__get_status_request,
       stile__agent__v1__get_status_response, false);
METHOD(control_list_connections, CONTROL, "ListConnections",
       stile__agent__v1__list_connections_request, stile__agent__v1__list_connections_response,
       false);
METHOD(control_stop, CONTROL, "Stop", stile__agent__v1__stop_request,
       stile__agent__v1__stop_response, false);
METHOD(control_get_log, CONTROL, "GetLog", stile__agent__v1__get_log_request,
       stile__agent__v1__get_log_response, false);

#define ACCESS "stile.access.v1.AccessService"

METHOD(access_log_in, ACCESS, "LogIn", stile__access__v1__log_in_request,
       stile__access__v1__log_in_response, false);
METHOD(access_list_apps, ACCESS, "ListApps", stile__access__v1__list_apps_request,
       stile__access__v1__list_apps_response, false);
METHOD(access_resolve_app, ACCESS, "ResolveApp", stile__access__v1__resolve_app_request,
       stile__access__v1__resolve_app_response, false);
METHOD(access_issue_app_cert, ACCESS, "IssueAppCert", stile__access__v1__issue_app_cert_request,
       stile__access__v1__issue_app_cert_response, false);
