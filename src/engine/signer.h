/* The private keys of certificates, as an engine has them: questions to the agent.
 *
 * One worker's own, like the handshakes that use them. A key is made once per certificate and kept while there is room.
 */
#ifndef STILE_ENGINE_SIGNER_H
#define STILE_ENGINE_SIGNER_H

#include "engine/control.h"

#define SIGNERS_MAX 64 /* the one used longest ago is forgotten */

struct signers {
    struct shared *shared;
    struct mailbox *home; /* of the worker */
    struct list keys;     /* used last first */
    size_t count;
};

void signers_init(struct signers *s, struct shared *shared, struct mailbox *home);
void signers_release(struct signers *s);

/* The key of this app's certificate for this port; a reference of the caller's. */
int signers_key(struct signers *s, struct names_app *app, uint16_t port, X509 *cert, EVP_PKEY **ret,
                struct diag *d);

#endif
