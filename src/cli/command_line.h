/* From the words of a command line to a command that has run: what every main() here shares. */
#ifndef STILE_CLI_COMMAND_LINE_H
#define STILE_CLI_COMMAND_LINE_H

#include "cli/cli.h"

/* Another name for the executable, under which it is another program. */
struct program {
    const char *name; /* as in argv[0], without directory and ".exe"; any case. NULL ends a table */
    int (*run)(int argc, char **argv); /* an exit status */
};

/* What is left of main() when the process is fit to run: the program of argv[0]'s name, else the one of cli_commands that the words
 * begin with. Returns an exit status. */
int command_line_main(const struct program *programs, int argc, char **argv);

/* Runs one command. argv[0..argc) is what follows its name; it is reordered. Shows the help where --help is asked for, sets up the
 * log. Returns an exit status, after standard output has been written. */
int command_line_run(const struct command *command, int argc, char **argv);

#endif
