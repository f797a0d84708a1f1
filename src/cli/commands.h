/* The commands, one per file of the same name. Each also needs its row in main.c, and in
 * main_windows.c if it is portable. */
#ifndef STILE_CLI_COMMANDS_H
#define STILE_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command command_apps;
extern const struct command command_broker;
extern const struct command command_broker_check;
extern const struct command command_cleanup;
extern const struct command command_connections;
extern const struct command command_down;
extern const struct command command_diag;
extern const struct command command_engine;
extern const struct command command_gateway_check;
extern const struct command command_gateway_init;
extern const struct command command_gateway_run;
extern const struct command command_gateway_user_add;
extern const struct command command_gateway_user_list;
extern const struct command command_gateway_user_passwd;
extern const struct command command_gateway_user_remove;
extern const struct command command_help;
extern const struct command command_launcher;
extern const struct command command_login;
extern const struct command command_logout;
extern const struct command command_logs;
extern const struct command command_policy_add;
extern const struct command command_policy_apply;
extern const struct command command_policy_clear;
extern const struct command command_policy_list;
extern const struct command command_policy_lookup;
extern const struct command command_policy_reconcile;
extern const struct command command_policy_remove;
extern const struct command command_policy_validate;
extern const struct command command_policy_version;
extern const struct command command_policy_watch;
extern const struct command command_proxy;
extern const struct command command_run;
extern const struct command command_status;
extern const struct command command_up;
extern const struct command command_version;

#endif
