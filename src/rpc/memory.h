/* The memory of nghttp2 and protobuf-c, through base/mem, so that tests can make it fail. Internal to rpc. */
#ifndef STILE_RPC_MEMORY_H
#define STILE_RPC_MEMORY_H

#include "base/compiler.h"

#include <nghttp2/nghttp2.h>
#include <protobuf-c/protobuf-c.h>

nghttp2_mem *rpc_memory_nghttp2(void);

/* What a message may take when unpacked: a few bytes on the wire can become a hundred in memory (an empty submessage), which
 * a peer must not choose. Zeroed before it is freed, since messages hold passwords. */
struct rpc_budget {
    size_t left; /* bytes */
};

/* An allocator that draws on the budget; both are valid as long as what it allocated isn't freed by it. */
ProtobufCAllocator rpc_memory_unpack(struct rpc_budget *budget);
/* One that only frees. */
ProtobufCAllocator *rpc_memory_free(void);

#endif
