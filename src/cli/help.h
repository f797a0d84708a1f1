/* Help texts, made from the tables of commands and options. */
#ifndef STILE_CLI_HELP_H
#define STILE_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* The options that every command has. --json is among them only where the command shows something.
 */
extern const struct option cli_shared_options[];
extern const struct option cli_shared_options_json[];

void help_overview(FILE *out);
void help_command(FILE *out, const struct command *command);
/* The sub-commands of "gateway", "gateway user". False if no command starts with these words. */
bool help_group(FILE *out, const char *words);

/* The command whose words argv starts with, and how many words that were; NULL if none. The longest
 * name wins. */
const struct command *help_find(int argc, char *const *argv, size_t *ret_words);

/* Says that there is no such command, which one is near, and where those are told that there are. Returns CLI_USAGE. */
int help_unknown(int argc, char *const *argv);

/* The words of argv before the first option, at most `count`, with spaces between. */
void help_join(int argc, char *const *argv, size_t count, char *ret, size_t size);

#endif
