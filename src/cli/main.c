/* stile: the one executable. Finds the command, parses its options, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/log_journal.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/help.h"
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

static struct options_spec spec_of(const struct command *c)
{
    return (struct options_spec){
        .own = c->options,
        .shared = c->shows_json ? cli_shared_options_json : cli_shared_options,
        .stop_at_argument = c->stop_at_argument,
    };
}

static int check_args(const struct cli *cli)
{
    const struct command *c = cli->command;
    size_t n = cli->options.arg_count;
    if (n < c->min_args)
        return cli_usage(cli, "Something is missing: stile %s %s", c->name, c->arguments);
    if (n > c->max_args && c->max_args == 0)
        return cli_usage(cli, "It takes no argument; leave out \"%s\"", cli_arg(cli, 0));
    if (n > c->max_args)
        return cli_usage(cli, "Too many arguments; \"%s\" is one more than it takes",
                         cli_arg(cli, c->max_args));
    return CLI_OK;
}

static void apply_shared(struct cli *cli)
{
    enum log_format format = log_journal_is_stderr() ? LOG_JOURNAL : LOG_TEXT;
    const char *name = cli_text(cli, "log-format");
    if (name != NULL && log_format_parse(name, &format) < 0)
        format = LOG_TEXT;
    cli->json = cli_flag(cli, "json");
    cli->verbose = cli_flag(cli, "verbose");
    cli->home = cli_text(cli, "home");
    if (cli->home == NULL)
        cli->home = getenv("STILE_HOME");
    if (str_is_empty(cli->home))
        cli->home = NULL;
    log_setup("stile", cli->verbose ? LOG_DEBUG : LOG_WARN, format);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    struct options_spec spec = spec_of(cli->command);
    struct diag d = {0};
    if (options_parse(&spec, argc, argv, &cli->options, &d) < 0)
        return cli_usage(cli, "%s", d.text);
    if (cli_flag(cli, "help")) {
        help_command(stdout, cli->command);
        return CLI_OK;
    }
    if (options_check(&spec, &cli->options, &d) < 0)
        return cli_usage(cli, "%s", d.text);
    int r = check_args(cli);
    if (r != CLI_OK)
        return r;
    apply_shared(cli);
    return cli->command->run(cli);
}

/* The words before the first option, with spaces between. */
static void join_words(int argc, char **argv, char *ret, size_t size)
{
    size_t len = 0;
    ret[0] = '\0';
    for (int i = 0; i < argc && argv[i][0] != '-' && len < size; i++) {
        (void)str_format(ret + len, size - len, "%s%s", i > 0 ? " " : "", argv[i]);
        len = strlen(ret);
    }
}

static int unknown_command(const struct cli *cli, int argc, char **argv)
{
    char words[64];
    if (argv[0][0] == '-')
        return cli_usage(cli, "Options come after the command: stile COMMAND %s", argv[0]);
    /* "stile gateway user" alone: what could follow. */
    join_words(argc, argv, words, sizeof(words));
    if (help_group(stderr, words))
        return CLI_USAGE;
    const char *near = help_nearest(words);
    if (near == NULL)
        near = help_nearest(argv[0]);
    if (near != NULL)
        return cli_usage(cli, "There is no command \"%s\"; is it \"%s\"?", words, near);
    return cli_usage(cli, "There is no command \"%s\"", words);
}

/* A few words that people try first. */
static const struct command *alias(const char *word)
{
    if (str_eq(word, "--help") || str_eq(word, "-h"))
        return &command_help;
    if (str_eq(word, "--version") || str_eq(word, "-V"))
        return &command_version;
    return NULL;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    size_t words = 0;
    if (standard_fds_open() < 0)
        return CLI_FAILED; /* nobody can be told */
    signals_block_broken_pipes();
    tls_init();
    if (argc < 2) {
        help_overview(stderr);
        return CLI_USAGE;
    }
    cli.command = alias(argv[1]);
    if (cli.command != NULL)
        words = 1;
    else
        cli.command = help_find(argc - 1, argv + 1, &words);
    if (cli.command == NULL)
        return unknown_command(&cli, argc - 1, argv + 1);
    int r = run_command(&cli, argc - 1 - (int)words, argv + 1 + words);
    if (fflush(stdout) != 0 && r == CLI_OK)
        r = cli_fail_text(&cli, "Failed to write the output");
    return r;
}
