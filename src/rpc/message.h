/* Messages in gRPC's framing: one byte (1: compressed), four bytes of length, big-endian, then the packed message. Internal
 * to rpc. */
#ifndef STILE_RPC_MESSAGE_H
#define STILE_RPC_MESSAGE_H

#include "base/buf.h"
#include "rpc/method.h"

#define RPC_PREFIX_SIZE 5u

/* Appends. ERR_TOOBIG over RPC_MESSAGE_MAX, ERR_NOMEM; out is unchanged then. */
MUST_CHECK int rpc_message_pack(const ProtobufCMessage *message, struct buf *out);

/* The first message of the bytes, borrowed from them; with its prefix it takes ret_body->len + RPC_PREFIX_SIZE of them.
 * ERR_AGAIN: not all there yet; ERR_TOOBIG: it says it is over max; ERR_UNSUPPORTED: compressed; ERR_FORMAT. */
MUST_CHECK int rpc_message_next(struct slice bytes, size_t max, struct slice *ret_body);

/* ERR_FORMAT for anything that isn't this message, or that would grow out of proportion in memory. */
MUST_CHECK int rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice body,
                                  ProtobufCMessage **ret_message);
void rpc_message_free(ProtobufCMessage *message); /* NULL is fine */

#endif
