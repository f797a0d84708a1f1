#include "rpc/message.h"

#include "base/err.h"
#include "rpc/memory.h"

/* Ordinary messages take less than a tenth of this per byte. */
#define MEMORY_PER_BYTE 16u
#define MEMORY_BASE     (64u * 1024u)

int rpc_message_pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > RPC_MESSAGE_MAX)
        return ERR_TOOBIG;

    uint8_t *space;
    int r = buf_reserve(out, RPC_PREFIX_SIZE + size, &space);
    if (r < 0)
        return r;
    struct wr w = wr_init(space, RPC_PREFIX_SIZE);
    wr_u8(&w, 0);
    wr_u32(&w, (uint32_t)size);
    protobuf_c_message_pack(message, space + RPC_PREFIX_SIZE);
    buf_commit(out, RPC_PREFIX_SIZE + size);
    return 0;
}

int rpc_message_next(struct slice bytes, size_t max, struct slice *ret_body)
{
    struct rd r = rd_init(bytes);
    uint8_t flag = rd_u8(&r);
    uint32_t size = rd_u32(&r);
    if (r.bad)
        return ERR_AGAIN;
    if (flag > 1)
        return ERR_FORMAT;
    if (flag == 1)
        return ERR_UNSUPPORTED;
    if (size > max)
        return ERR_TOOBIG;
    if (size > rd_left(&r))
        return ERR_AGAIN;
    *ret_body = rd_bytes(&r, size);
    return 0;
}

int rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice body,
                       ProtobufCMessage **ret_message)
{
    struct rpc_budget budget = {MEMORY_BASE + body.len * MEMORY_PER_BYTE};
    ProtobufCAllocator allocator = rpc_memory_unpack(&budget);
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, body.len, body.data);
    if (message == NULL)
        return ERR_FORMAT;
    *ret_message = message;
    return 0;
}

void rpc_message_free(ProtobufCMessage *message)
{
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, rpc_memory_free());
}
