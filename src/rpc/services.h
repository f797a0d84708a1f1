/* Every remote procedure of our protocols, one constant each. The protos are in proto/stile. */
#ifndef STILE_RPC_SERVICES_H
#define STILE_RPC_SERVICES_H

#include "rpc/method.h"

/* stile.vnet.v1.ClientApplicationService: the agent serves, the engine calls */
extern const struct rpc_method client_application_authenticate_process;
extern const struct rpc_method client_application_resolve_app_info;
extern const struct rpc_method client_application_reissue_app_cert;
extern const struct rpc_method client_application_sign_for_app;
extern const struct rpc_method client_application_ping;
extern const struct rpc_method client_application_report_network_stack;
extern const struct rpc_method client_application_on_new_connection;
extern const struct rpc_method client_application_on_invalid_local_port;
extern const struct rpc_method client_application_report_connections;
extern const struct rpc_method client_application_watch_target_configuration;

/* stile.agent.v1.ControlService: the agent serves, the user's commands call */
extern const struct rpc_method control_get_status;
extern const struct rpc_method control_list_connections;
extern const struct rpc_method control_stop;
extern const struct rpc_method control_get_log;

/* stile.access.v1.AccessService: the gateway serves, the agent calls */
extern const struct rpc_method access_log_in;
extern const struct rpc_method access_list_apps;
extern const struct rpc_method access_resolve_app;
extern const struct rpc_method access_issue_app_cert;

#endif
