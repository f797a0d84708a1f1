/* The user's directory: profiles, control sockets of running agents, the file of recent connections.
 *
 *   HOME/profiles/NAME/{profile.json, key.pem, cert.pem, ca.pem}
 *   HOME/agents/PID.sock
 *   HOME/connections.jsonl
 *   HOME/default              name of the profile that was logged in last
 */
#ifndef STILE_AGENT_HOME_H
#define STILE_AGENT_HOME_H

#include "platform/private_dir.h"

struct home {
    struct private_dir root;
    struct private_dir profiles;
    struct private_dir agents;
};

#define HOME_NONE ((struct home){{.fd = -1}, {.fd = -1}, {.fd = -1}})

/* path NULL: $XDG_CONFIG_HOME/stile, else $HOME/.config/stile. Created if it isn't there. ERR_PERM with the remedy if it is
 * someone else's or open to others. */
int home_open(const char *path, struct home *ret, struct diag *d);
void home_close(struct home *home);

#endif
