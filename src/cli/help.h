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

/* The visible command whose name is nearest to a mistyped one; NULL if none is near. */
const char *help_nearest(const char *word);

#endif
