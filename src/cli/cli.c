#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/output.h"

#define CLI_TEXT_SIZE 2048

const char *cli_arg(const struct cli *cli, size_t index)
{
    return index < cli->options.arg_count ? cli->options.args[index] : NULL;
}

const char *cli_text(const struct cli *cli, const char *name)
{
    return options_text(&cli->options, name);
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return options_flag(&cli->options, name);
}

uint64_t cli_number(const struct cli *cli, const char *name, uint64_t otherwise)
{
    return options_number(&cli->options, name, otherwise);
}

PRINTF_LIKE(2, 0)
static void print(const struct cli *cli, const char *fmt, va_list args)
{
    char text[CLI_TEXT_SIZE];
    (void)vsnprintf(text, sizeof(text), fmt, args);
    output_tame(text, true);
    fflush(stdout);
    if (cli->command != NULL)
        fprintf(stderr, "%s %s: %s\n", command_program(cli->command), cli->command->name, text);
    else
        fprintf(stderr, "stile: %s\n", text);
}

int cli_fail(const struct cli *cli, const struct diag *d)
{
    return cli_fail_text(cli, "%s", d->text[0] != '\0' ? d->text : err_text(d->err));
}

int cli_fail_text(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print(cli, fmt, args);
    va_end(args);
    return CLI_FAILED;
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print(cli, fmt, args);
    va_end(args);
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print(cli, fmt, args);
    va_end(args);
    if (cli->command != NULL)
        fprintf(stderr, "See `%s help %s`.\n", command_program(cli->command), cli->command->name);
    else
        fputs("See `stile help`.\n", stderr);
    return CLI_USAGE;
}
