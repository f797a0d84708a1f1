/* The service manager that started this process, if one did (sd_notify(3)'s protocol: one datagram). */
#ifndef STILE_PLATFORM_SERVICE_MANAGER_H
#define STILE_PLATFORM_SERVICE_MANAGER_H

#include "base/compiler.h"

/* "READY=1", "STOPPING=1", … Not started by one, or it doesn't listen: nothing. */
void service_notify(const char *state);

/* Whether a manager restarts this process by itself. */
bool service_is_managed(void);

#endif
