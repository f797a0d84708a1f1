#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

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

static void print_name(const struct cli *cli)
{
    fflush(stdout);
    if (cli->command != NULL)
        fprintf(stderr, "stile %s: ", cli->command->name);
    else
        fputs("stile: ", stderr);
}

int cli_fail(const struct cli *cli, const struct diag *d)
{
    return cli_fail_text(cli, "%s", d->text[0] != '\0' ? d->text : err_text(d->err));
}

int cli_fail_text(const struct cli *cli, const char *fmt, ...)
{
    print_name(cli);
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    print_name(cli);
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    if (cli->command != NULL)
        fprintf(stderr, "\nSee `stile help %s`.\n", cli->command->name);
    else
        fputs("\nSee `stile help`.\n", stderr);
    return CLI_USAGE;
}
