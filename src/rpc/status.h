/* How a call ended, in gRPC's own numbers, and what that means in ours. */
#ifndef STILE_RPC_STATUS_H
#define STILE_RPC_STATUS_H

#include "base/compiler.h"

#define RPC_STATUS_LIST(X)                                                                         \
    X(OK, 0)                                                                                       \
    X(CANCELLED, 1)           /* by the caller */                                                  \
    X(UNKNOWN, 2)             /* the peer said something that isn't gRPC */                        \
    X(INVALID_ARGUMENT, 3)    /* the request is wrong, whatever the state */                       \
    X(DEADLINE_EXCEEDED, 4)   /* */                                                                \
    X(NOT_FOUND, 5)           /* */                                                                \
    X(ALREADY_EXISTS, 6)      /* */                                                                \
    X(PERMISSION_DENIED, 7)   /* the caller is known and may not */                                \
    X(RESOURCE_EXHAUSTED, 8)  /* too large, too many, too often */                                 \
    X(FAILED_PRECONDITION, 9) /* not in this state; trying again alone won't help */               \
    X(ABORTED, 10)            /* */                                                                \
    X(OUT_OF_RANGE, 11)       /* */                                                                \
    X(UNIMPLEMENTED, 12)      /* no such method here */                                            \
    X(INTERNAL, 13)           /* a broken promise, ours or the protocol's */                       \
    X(UNAVAILABLE, 14)        /* the connection is gone; a new one may serve */                    \
    X(DATA_LOSS, 15)          /* */                                                                \
    X(UNAUTHENTICATED, 16)    /* the caller isn't known: log in */

enum rpc_status {
#define RPC_STATUS_ENUM(name, code) RPC_##name = code,
    RPC_STATUS_LIST(RPC_STATUS_ENUM)
#undef RPC_STATUS_ENUM
};

#define RPC_STATUS_MAX RPC_UNAUTHENTICATED

/* "NOT_FOUND"; "UNKNOWN" for a number that is none of these. Static. */
const char *rpc_status_name(enum rpc_status status);

/* RPC_OK is 0 and the other way round; each maps to the nearest of the other's. */
int rpc_status_to_err(enum rpc_status status);
enum rpc_status rpc_status_from_err(int err);

/* What a caller makes of an HTTP status in place of a gRPC one, and of the code of an RST_STREAM (RFC 9113 section 7). */
enum rpc_status rpc_status_from_http(unsigned http_status);
enum rpc_status rpc_status_from_reset(uint32_t http2_code);

#endif
