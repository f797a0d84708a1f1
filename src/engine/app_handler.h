/* A program's connection to an app, from its SYN to its end.
 *
 *   CHECKING  name, port, owner are known to be good; the control thread asks the agent and gets certificate and socket
 *   DIALING   TLS to the gateway, and its word that the far end answered
 *   GUARDED   apps marked http: accepted, but the first request's Host decides (engine/http_guard.h)
 *   OPEN      accepted; a relay moves the bytes
 *
 * Nothing is promised to the program before that. Whatever ends it before is a refusal with a verdict and a reason, told to the agent
 * once; after OPEN the agent hears of the establishment and of the end.
 */
#ifndef STILE_ENGINE_APP_HANDLER_H
#define STILE_ENGINE_APP_HANDLER_H

#include "engine/worker.h"

extern const struct worker_ops app_handler_ops;

#endif
