/* The executable under the name hcnproxyctl: that program's command line, and what it printed, on top of `stile policy`. Portable. */
#ifndef STILE_CLI_HCNPROXYCTL_H
#define STILE_CLI_HCNPROXYCTL_H

/* For the table of programs (command_line.h). */
int hcnproxyctl_run(int argc, char **argv);

#endif
