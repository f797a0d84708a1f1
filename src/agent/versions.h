/* Two processes of one executable must be of one version; if not, which side is to be updated? */
#ifndef STILE_AGENT_VERSIONS_H
#define STILE_AGENT_VERSIONS_H

#include "base/err.h"

/* Less than, equal to or greater than 0, as a is older than, the same as or newer than b. Dotted numbers are compared as numbers,
 * what follows them as text (a release is newer than its pre-releases). */
int versions_compare(const char *a, const char *b);

/* 0 if the peer ("engine", "service") has this version too; else ERR_VERSION, saying which side to update. */
int versions_check(const char *peer, const char *peer_version, struct diag *d);

#endif
