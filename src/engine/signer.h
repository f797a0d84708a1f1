/* The private key of one connection's certificate, as this engine has it: a question to the agent. */
#ifndef STILE_ENGINE_SIGNER_H
#define STILE_ENGINE_SIGNER_H

#include "engine/control.h"

/* A key whose signatures are asked of the agent for this app and port; home: the worker's mailbox, where its handshakes run. */
int signer_key_new(struct shared *shared, struct mailbox *home, struct names_app *app,
                   uint16_t port, X509 *cert, EVP_PKEY **ret, struct diag *d);

#endif
