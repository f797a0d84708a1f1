/* Logging in: a new key, a password, a certificate, a profile. */
#ifndef STILE_AGENT_LOGIN_H
#define STILE_AGENT_LOGIN_H

#include "agent/profile.h"

struct loop;

struct login_request {
    const char *gateway; /* host:port */
    const char *user;
    const char *password; /* borrowed until done; the caller wipes it */
    const char *profile;  /* NULL: the cluster's name */
    struct slice ca_pem;  /* whom to trust: either this … */
    const char *ca_pin;   /* … or the CA with this pin; NULL */
};

/* Makes the key, asks the gateway, saves the profile and makes it the default. Runs the loop until it is done. */
int login(struct loop *loop, const struct home *home, const struct login_request *request,
          struct profile **ret, struct diag *d);

#endif
