/* The options that `stile policy` commands share, and the policies that they give: those of a file, and one of the options themselves.
 * Portable.
 */
#ifndef STILE_CLI_POLICY_OPTIONS_H
#define STILE_CLI_POLICY_OPTIONS_H

#include "cli/cli.h"
#include "policy/l4_policy.h"

/* Rows of a command's table. The first lists a policy's settings: their names are those of policy/l4_options.h, those that hcnproxyctl
 * has first. */
/* clang-format off */
#define POLICY_SETTING_OPTIONS                                                                     \
    {.name = "port", .kind = OPTION_NUMBER, .min = 1, .value_name = "PORT",                        \
     .help = "Where the proxy listens, for both directions"},                                      \
    {.name = "usersid", .kind = OPTION_TEXT, .value_name = "SID",                                  \
     .help = "The proxy's own traffic, on Windows: of this user or group; \"system\" is S-1-5-18"},\
    {.name = "localaddr", .kind = OPTION_TEXT, .value_name = "ADDRESSES", .repeatable = true,      \
     .help = "Only connections with these addresses or prefixes on the container's side"},         \
    {.name = "remoteaddr", .kind = OPTION_TEXT, .value_name = "ADDRESSES", .repeatable = true,     \
     .help = "Only those with these on the other side"},                                           \
    {.name = "localports", .kind = OPTION_TEXT, .value_name = "PORTS", .repeatable = true,         \
     .help = "Only those with these ports or ranges (8000-8100) on the container's side"},         \
    {.name = "remoteports", .kind = OPTION_TEXT, .value_name = "PORTS", .repeatable = true,        \
     .help = "Only those with these on the other side"},                                           \
    {.name = "priority", .kind = OPTION_NUMBER, .value_name = "N",                                 \
     .help = "Lower ones are asked first (0)"},                                                    \
    {.name = "inbound-port", .kind = OPTION_NUMBER, .min = 1, .value_name = "PORT",                \
     .help = "Where the proxy listens for what comes to the container"},                           \
    {.name = "outbound-port", .kind = OPTION_NUMBER, .min = 1, .value_name = "PORT",               \
     .help = "Where it listens for what the container's programs open"},                           \
    {.name = "inbound-port-exceptions", .kind = OPTION_TEXT, .value_name = "PORTS",                \
     .repeatable = true, .help = "Called ports of the container that go around the proxy"},        \
    {.name = "inbound-address-exceptions", .kind = OPTION_TEXT, .value_name = "ADDRESSES",         \
     .repeatable = true, .help = "Callers that go around it"},                                     \
    {.name = "outbound-port-exceptions", .kind = OPTION_TEXT, .value_name = "PORTS",               \
     .repeatable = true, .help = "Called ports of others that are reached around it"},             \
    {.name = "outbound-address-exceptions", .kind = OPTION_TEXT, .value_name = "ADDRESSES",        \
     .repeatable = true, .help = "Addresses and prefixes that are reached around it"},             \
    {.name = "protocol", .kind = OPTION_TEXT, .value_name = "PROTOCOLS",                           \
     .help = "tcp, udp, or tcp,udp (tcp)"},                                                        \
    {.name = "uid", .kind = OPTION_TEXT, .value_name = "USER",                                     \
     .help = "The proxy's own traffic, on Linux: of this user (number or name)"},                  \
    {.name = "gid", .kind = OPTION_TEXT, .value_name = "GROUP",                                    \
     .help = "The same by the group its sockets are made with, not a supplementary one"},          \
    {.name = "cgroup", .kind = OPTION_TEXT, .value_name = "PATH",                                  \
     .help = "The same by the cgroup (v2) it runs in, or below"},                                  \
    {.name = "udp", .kind = OPTION_CHOICE, .value_name = "tproxy|redirect",                        \
     .help = "How UDP gets there: with its destination, or by address translation (tproxy)"}
/* clang-format on */

#define POLICY_FILE_OPTION                                                                         \
    {                                                                                              \
        .name = "file", .letter = 'f', .kind = OPTION_TEXT, .value_name = "FILE",                  \
        .help = "Policies as JSON, in the form that `list --json` prints; - is standard input"     \
    }

#define POLICY_NONE_GIVEN "No policy is given: give its options (--port and others), or --file"

/* The one policy that the settings among the options make; *ret_given says whether there were any, else ret is untouched. The text of an error
 * begins with the option. */
int policy_options_read(const struct cli *cli, bool *ret_given, struct l4_policy *ret,
                        struct diag *d);

/* Adds the policy that the options made to those of a file. Loop guards alone (--uid, --gid, --cgroup, --usersid) beside --file make no policy: they are
 * given to every one of the file's, of which there may be none. A failure has been told; returns an exit status. */
int policy_options_join(const struct cli *cli, const struct l4_policy *one,
                        struct l4_policies *list);

/* Whether this system can do the policies of --file (so many), and the one of the options that may come after them. All that is wrong, or
 * given twice, has been told, of which it is; returns an exit status. */
int policy_options_check(const struct cli *cli, const struct l4_policies *l, size_t file_count);

/* The policies of --file, then the one of the options, checked. Neither is given: an empty list. A failure has been told; returns an exit
 * status. */
int policy_options_gather(const struct cli *cli, struct l4_policies *ret);

/* Whether `p` has, in everything that the options set, what `wanted`, which they made, has. */
bool policy_options_match(const struct cli *cli, const struct l4_policy *wanted,
                          const struct l4_policy *p);

/* What is allowed and yet perhaps not meant, as notes on standard error. l: all that the endpoint will have, in the order of evaluation. */
void policy_options_note(const struct cli *cli, const char *endpoint, const struct l4_policies *l);

#endif
