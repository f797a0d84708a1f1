/* Where apps are known: what names are, which there are, and who issues certificates for them.
 *
 * An interface. `gateway_directory` asks the gateways of the profiles; tests have a fake one; another kind of directory is
 * one more implementation. A question that fails at once returns the error and has no callback; every other is answered
 * exactly once, never from inside the asking call, with ERR_CANCELED if the directory is closed first. Answers are borrowed until
 * the callback returns. d says what to do; in callbacks it is never NULL when err isn't 0.
 */
#ifndef STILE_AGENT_DIRECTORY_H
#define STILE_AGENT_DIRECTORY_H

#include "agent/profile.h"
#include "stile/vnet/v1/client_application.pb-c.h"

typedef Stile__Vnet__V1__AppInfo app_info;
typedef Stile__Vnet__V1__AppKey app_key;

/* ERR_NOTFOUND: no such name in any cluster the user is logged in to. */
typedef void directory_resolve_fn(void *arg, int err, const app_info *info, const struct diag *d);
/* cert: an X.509 for client authentication with the key that was asked for. ERR_EXPIRED, ERR_AUTH: log in again. ERR_DENIED. */
typedef void directory_issue_fn(void *arg, int err, X509 *cert, const struct diag *d);

/* Texts without duplicates. They point into what the directory keeps: valid until the next turn of the loop. */
#define DIRECTORY_NAMES_MAX 1024
struct name_list {
    size_t count;
    const char *names[DIRECTORY_NAMES_MAX];
};

/* What the engine is to serve, of all clusters together. */
struct directory_zones {
    struct name_list zones;
    struct name_list ranges;
    struct name_list forwarded; /* never virtual: gateways' own names, and those of web apps */
};

struct directory_ops {
    void (*zones)(void *self, struct directory_zones *ret);
    /* Whether the user is logged in where this app is: 0, or ERR_EXPIRED, ERR_AUTH with the remedy. */
    int (*check)(void *self, const app_key *key, struct diag *d);
    /* fqdn: lower case, no last dot. */
    int (*resolve)(void *self, const char *fqdn, directory_resolve_fn *done, void *arg,
                   struct diag *d);
    /* spki: SubjectPublicKeyInfo, DER. */
    int (*issue)(void *self, const app_key *key, uint16_t port, struct slice spki,
                 directory_issue_fn *done, void *arg, struct diag *d);
};

struct directory {
    const struct directory_ops *ops;
    void *self;
};

#endif
