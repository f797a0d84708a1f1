/* Descriptors 0, 1 and 2, which a parent may have closed. */
#ifndef STILE_PLATFORM_STANDARD_FDS_H
#define STILE_PLATFORM_STANDARD_FDS_H

#include "base/compiler.h"

/* Opens /dev/null in place of those that are closed. Call it first in main: what is opened later would take their numbers, and
 * with them the messages for a person or the input of a program that is started. */
MUST_CHECK int standard_fds_open(void);

#endif
