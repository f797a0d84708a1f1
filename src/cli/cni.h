/* stile-cni, the name under which a container runtime starts the executable as a CNI plugin. */
#ifndef STILE_CLI_CNI_H
#define STILE_CLI_CNI_H

/* All that it is told comes in the environment and on standard input; what it answers goes to standard output. */
int cni_main(int argc, char **argv);

#endif
