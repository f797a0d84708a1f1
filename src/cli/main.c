/* stile: the one executable. Which commands it has, and under which names it may be started. */
#include "cli/cni.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/hcnproxyctl.h"
#include "platform/signals.h"
#include "platform/standard_fds.h"
#include "tls/context.h"

/* In the order of `stile help`; commands of one group stand together. One row each. */
/* clang-format off */
const struct command *const cli_commands[] = {
    &command_up,
    &command_down,
    &command_run,
    &command_login,
    &command_logout,
    &command_apps,
    &command_status,
    &command_connections,
    &command_logs,
    &command_diag,
    &command_proxy,
    &command_broker,
    &command_broker_check,
    &command_cleanup,
    &command_policy_lookup,
    &command_policy_list,
    &command_policy_apply,
    &command_policy_add,
    &command_policy_remove,
    &command_policy_clear,
    &command_policy_reconcile,
    &command_policy_validate,
    &command_policy_version,
    &command_policy_watch,
    &command_gateway_init,
    &command_gateway_check,
    &command_gateway_run,
    &command_gateway_user_add,
    &command_gateway_user_list,
    &command_gateway_user_passwd,
    &command_gateway_user_remove,
    &command_version,
    &command_help,
    &command_engine,
    &command_launcher,
    NULL,
};
/* clang-format on */

/* Other names under which the program may be started. */
static const struct program programs[] = {
    {"hcnproxyctl", hcnproxyctl_run},
    {"hcnproxyctrl", hcnproxyctl_run}, /* as its repository spells it */
    {"stile-cni", cni_main},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    if (standard_fds_open() < 0)
        return CLI_FAILED; /* nobody can be told */
    signals_block_broken_pipes();
    tls_init();
    return command_line_main(programs, argc, argv);
}
