/* One remote procedure: its path, what goes in, what comes out. Tables of them are in rpc/services.h. */
#ifndef STILE_RPC_METHOD_H
#define STILE_RPC_METHOD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Of one message, either way, packed. */
#define RPC_MESSAGE_MAX (4u * 1024u * 1024u)

struct rpc_method {
    const char *path; /* "/stile.vnet.v1.ClientApplicationService/Ping" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool streaming; /* many responses */
};

#endif
