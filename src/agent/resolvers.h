/* The host's DNS resolvers, read from its resolv.conf. */
#ifndef STILE_AGENT_RESOLVERS_H
#define STILE_AGENT_RESOLVERS_H

#include "net/resolv_conf.h"

/* Reads the file; a file that can't be read counts as empty. */
void resolvers_load(const char *path, struct resolvers *ret);

#endif
