/* TLS contexts, one per set of CA certificates: clusters are few, connections many. For one thread. */
#ifndef STILE_ENGINE_TRUST_H
#define STILE_ENGINE_TRUST_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

#define TRUST_CONTEXTS_MAX 64 /* the oldest is forgotten */

struct trust {
    struct list entries; /* newest first */
    size_t count;
};

void trust_init(struct trust *t);
void trust_release(struct trust *t);

/* The context that trusts these CAs alone; a reference of the caller's. */
int trust_context(struct trust *t, struct slice ca_pem, SSL_CTX **ret, struct diag *d);

#endif
