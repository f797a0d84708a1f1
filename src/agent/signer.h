/* Signatures for the engine: only with the key of an app certificate that was issued, never with the log-in's key. */
#ifndef STILE_AGENT_SIGNER_H
#define STILE_AGENT_SIGNER_H

#include "agent/certs.h"
#include "base/buf.h"

/* The signature is appended. ERR_NOTFOUND: no certificate was issued for this app and port. ERR_INVAL: the hash isn't given, or
 * the digest hasn't its length, or hash and padding don't fit the key. */
int signer_sign(struct certs *certs, const Stile__Vnet__V1__SignForAppRequest *request,
                struct buf *signature, struct diag *d);

#endif
