#include "cli/command_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/log_journal.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/help.h"

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
        return cli_usage(cli, "Something is missing: %s %s %s", command_program(c), c->name,
                         c->arguments);
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

int command_line_run(const struct command *command, int argc, char **argv)
{
    struct cli cli = {.command = command};
    int r = run_command(&cli, argc, argv);
    if (fflush(stdout) != 0 && r == CLI_OK)
        r = cli_fail_text(&cli, "Failed to write the output");
    return r;
}

/* True for "stile gateway user --help". */
static bool asks_for_help(int argc, char **argv)
{
    int i = 0;
    while (i < argc && argv[i][0] != '-')
        i++;
    return i < argc && (str_eq(argv[i], "--help") || str_eq(argv[i], "-h"));
}

/* "stile policy help add" is "stile help policy add". False: none of the words is "help". */
static bool move_help_to_front(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] != '-'; i++) {
        char *word = argv[i];
        if (!str_eq(word, "help"))
            continue;
        memmove(argv + 1, argv, (size_t)i * sizeof(*argv));
        argv[0] = word;
        return true;
    }
    return false;
}

static int unknown_command(const struct cli *cli, int argc, char **argv)
{
    char words[64];
    if (argv[0][0] == '-')
        return cli_usage(cli, "Options come after the command: stile COMMAND %s", argv[0]);
    if (move_help_to_front(argc, argv))
        return command_line_run(&command_help, argc - 1, argv + 1);
    /* "stile gateway user" alone: what could follow. */
    help_join(argc, argv, (size_t)argc, words, sizeof(words));
    bool asked = asks_for_help(argc, argv);
    if (help_group(asked ? stdout : stderr, words))
        return asked ? CLI_OK : CLI_USAGE;
    return help_unknown(argc, argv);
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

static int run_by_words(int argc, char **argv)
{
    struct cli none = {0};
    size_t words = 1;
    if (argc < 2) {
        help_overview(stderr);
        return CLI_USAGE;
    }
    const struct command *command = alias(argv[1]);
    if (command == NULL)
        command = help_find(argc - 1, argv + 1, &words);
    if (command == NULL)
        return unknown_command(&none, argc - 1, argv + 1);
    return command_line_run(command, argc - 1 - (int)words, argv + 1 + words);
}

/* The part of a path after its last directory, without ".exe". */
static int program_name(const char *path, char *ret, size_t size)
{
    for (const char *at = path; *at != '\0'; at++)
        if (*at == '/' || *at == '\\')
            path = at + 1;
    int r = str_copy(ret, size, path);
    if (r < 0)
        return r;
    size_t len = strlen(ret);
    if (len > 4 && str_eq_nocase(ret + len - 4, ".exe"))
        ret[len - 4] = '\0';
    return 0;
}

int command_line_main(const struct program *programs, int argc, char **argv)
{
    char name[64];
    if (argc > 0 && program_name(argv[0], name, sizeof(name)) == 0)
        for (; programs->name != NULL; programs++)
            if (str_eq_nocase(name, programs->name))
                return programs->run(argc, argv);
    return run_by_words(argc, argv);
}
