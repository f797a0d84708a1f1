#include "cli/hcnproxyctl.h"

#include <stdio.h>

#include "base/str.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/policy_change.h"

static void tell_added(FILE *out, const struct endpoint_change *c, size_t given UNUSED)
{
    if (c->dry_run)
        fprintf(out, "Would add %zu policies\n", c->added);
    else
        fputs("Successfully added the policy\n", out);
}

static int run_add(struct cli *cli)
{
    static const struct policy_change change = {
        .make = endpoint_add, .adds = true, .tell = tell_added};
    return policy_change_given(cli, &change);
}

/* A command of hcnproxyctl's is one of ours under another name. */
struct row {
    const char *name;
    const struct command *command;
    int (*run)(struct cli *cli); /* NULL: as the command does */
};

static const struct row rows[] = {
    {"add", &command_policy_add, run_add},    {"clear", &command_policy_clear, NULL},
    {"list", &command_policy_list, NULL},     {"lookup", &command_policy_lookup, NULL},
    {"remove", &command_policy_remove, NULL}, {"version", &command_policy_version, NULL},
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static struct command command_of(const struct row *row)
{
    struct command c = *row->command;
    c.program = "hcnproxyctl";
    c.replaces = "stile policy";
    c.name = row->name;
    if (row->run != NULL)
        c.run = row->run;
    return c;
}

static int overview(FILE *out, int status)
{
    fputs("Layer-4 proxy policies of containers, with the command line of hcnproxyctl.\n\n"
          "Usage: hcnproxyctl COMMAND [OPTION…] [ARGUMENT]\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        fprintf(out, "  %-10s%s\n", rows[i].name, rows[i].command->summary);
    fputs("  help      Show this, or how a command is used\n\n"
          "The same and more is in `stile policy`: stile help policy.\n",
          out);
    return status;
}

static int unknown(const char *word)
{
    char text[64] = "";
    (void)str_format(text, sizeof(text), "%s", word);
    output_tame(text, false);
    fprintf(stderr, "hcnproxyctl: There is no command \"%s\"\nSee `hcnproxyctl help`.\n", text);
    return CLI_USAGE;
}

static int help(const char *name)
{
    if (name == NULL)
        return overview(stdout, CLI_OK);
    const struct row *row = find_row(name);
    if (row == NULL)
        return unknown(name);
    struct command c = command_of(row);
    help_command(stdout, &c);
    return CLI_OK;
}

int hcnproxyctl_run(int argc, char **argv)
{
    if (argc < 2)
        return overview(stdout, CLI_OK);
    const char *word = argv[1];
    if (str_eq(word, "help") || str_eq(word, "--help") || str_eq(word, "-h"))
        return help(argc > 2 ? argv[2] : NULL);
    const struct row *row = find_row(str_eq(word, "--version") ? "version" : word);
    if (row == NULL)
        return unknown(word);
    struct command c = command_of(row);
    return command_line_run(&c, argc - 2, argv + 2);
}
