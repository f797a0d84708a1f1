/* How `stile policy watch` tells what happens: as lines of the log, or as JSON on standard output, an object per line. */
#ifndef STILE_CLI_POLICY_WATCH_TELL_H
#define STILE_CLI_POLICY_WATCH_TELL_H

#include "policy/watch.h"

/* once: nothing is tried again, so nobody is told that it will be. */
void policy_watch_tell(bool json, bool once, const struct watch_event *event);
/* The rules were read; or they are wrong, and those of before stay. */
void policy_watch_tell_rules(bool json, size_t count, const char *problem);

#endif
