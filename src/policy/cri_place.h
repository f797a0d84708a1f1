/* Where container runtimes listen. One implementation per system, chosen by the build.
 */
#ifndef STILE_POLICY_CRI_PLACE_H
#define STILE_POLICY_CRI_PLACE_H

#include "base/err.h"
#include "loop/pipe.h"

/* The usual paths, the most usual first; ends with NULL. */
extern const char *const cri_places[];

/* The path in what a person wrote: "unix:///run/crio/crio.sock",
 * "npipe:////./pipe/containerd-containerd", or a path as it is. ERR_INVAL, ERR_TOOBIG,
 * ERR_UNSUPPORTED (a TCP address, the other system's kind), with what is taken. */
int cri_place_path(const char *endpoint, char path[PIPE_PATH_SIZE], struct diag *d);

/* Nothing was found in any of the usual places. Returns ERR_NOTFOUND. */
int cri_place_none(struct diag *d);

#endif
