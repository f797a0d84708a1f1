/* That a session starts again at the next log-in: a marker in the home directory, which the user unit stile-up.service looks for
 * (ConditionPathExists), and which holds the options of the last `stile up`, one argument per line.
 */
#ifndef STILE_CLI_AUTOSTART_H
#define STILE_CLI_AUTOSTART_H

#include "agent/home.h"
#include "cli/cli.h"

#define AUTOSTART_FILE "autostart"

/* Failing is told at debug: the session is up all the same. */
void autostart_set(const struct home *home, const struct cli *cli);
/* Whether there was one. */
bool autostart_clear(const struct home *home);
/* The options given to the last `stile up`, put into cli. Without a marker: nothing. ERR_FORMAT: the file is damaged. */
int autostart_load(const struct home *home, struct cli *cli, struct diag *d);

#endif
