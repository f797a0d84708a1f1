/* One app on a loopback port, without a virtual network: for narrowing problems down, and for systems without one.
 *
 * The same directory, certificates and dialling as in a session, in one process. Any local user can connect to the port: the
 * command says so.
 */
#ifndef STILE_AGENT_PROXY_H
#define STILE_AGENT_PROXY_H

#include "base/err.h"

struct loop;
struct proxy;

#define PROXY_CONNECTIONS_MAX 4096

struct proxy_config {
    const char *home;    /* NULL: the default place */
    const char *profile; /* NULL: the only one, or the default one */
    const char *app;     /* its name, or its public name */
    uint16_t port;       /* to listen on; 0: any */
    uint16_t app_port;   /* 0: the same one if the app has it, else its first */
};

struct proxy_address {
    uint16_t port; /* listened on */
    uint16_t app_port;
    char public_name[256];
};

/* Looks the app up and gets its first certificate, running the loop meanwhile: what can't work is said here. */
int proxy_new(struct loop *loop, const struct proxy_config *config, struct proxy **ret,
              struct proxy_address *ret_address, struct diag *d);
void proxy_free(struct proxy *p); /* resets its connections; NULL is fine */

#endif
