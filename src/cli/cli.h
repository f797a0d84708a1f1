/* What a command is, and what it is given.
 *
 * One file per command, which defines one `const struct command`; main.c lists them all in the
 * order of the help text. A command prints results to standard output and everything else to
 * standard error, and returns an exit status.
 */
#ifndef STILE_CLI_CLI_H
#define STILE_CLI_CLI_H

#include "cli/options.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* it was understood, and failed */
    CLI_USAGE = 2,  /* it was not understood */
};

struct cli;

struct command {
    const char *name;      /* words separated by one space: "gateway user add" */
    const char *program;   /* whose command it is; NULL: "stile" */
    const char *replaces;  /* what program stands for in the texts: "stile policy"; NULL: nothing */
    const char *group;     /* heading in `stile help`: "Using apps", "Gateway", "More" */
    const char *summary;   /* one line, without the full stop */
    const char *arguments; /* "APP", "[--] CMD [ARG…]"; NULL: none */
    size_t min_args;
    size_t max_args;              /* SIZE_MAX: any number */
    const char *description;      /* paragraphs below the usage line; NULL: the summary alone */
    const struct option *options; /* ends with a NULL name; NULL: none of its own */
    bool stop_at_argument;        /* what follows the first argument is not ours */
    bool hidden;                  /* for stile itself: not in `stile help` */
    bool shows_json;              /* has --json */
    int (*run)(struct cli *cli);  /* enum cli_exit, or a status of its own */
};

struct cli {
    const struct command *command;
    struct options options;
    const char *home; /* --home, else $STILE_HOME, else NULL: the default place */
    bool json;
    bool verbose;
};

static inline const char *command_program(const struct command *c)
{
    return c->program != NULL ? c->program : "stile";
}

/* Arguments that are not options. NULL past the last. */
const char *cli_arg(const struct cli *cli, size_t index);

/* The options of this call; see options.h. */
const char *cli_text(const struct cli *cli, const char *name);
bool cli_flag(const struct cli *cli, const char *name);
uint64_t cli_number(const struct cli *cli, const char *name, uint64_t otherwise);

/* Print "stile NAME: text" to standard error, with '?' for bytes that would steer the terminal. Return CLI_FAILED and CLI_USAGE (with a
 * hint where help is). */
int cli_fail(const struct cli *cli, const struct diag *d);
PRINTF_LIKE(2, 3) int cli_fail_text(const struct cli *cli, const char *fmt, ...);
PRINTF_LIKE(2, 3) void cli_note(const struct cli *cli, const char *fmt, ...); /* no failure */
PRINTF_LIKE(2, 3) int cli_usage(const struct cli *cli, const char *fmt, ...);

/* All commands, ended by NULL. Defined in main.c (Windows: main_windows.c). */
extern const struct command *const cli_commands[];

#endif
