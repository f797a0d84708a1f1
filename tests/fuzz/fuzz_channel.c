/* Any bytes on a local channel, with any number of descriptors: accepted only with the exact size of a known type. */
#include "platform/channel.h"

static const size_t sizes[] = {
    [CHANNEL_DIAL_GATEWAY] = sizeof(struct channel_dial_gateway),
    [CHANNEL_DIAL_RESOLVER] = sizeof(struct channel_dial_resolver),
    [CHANNEL_DIALED] = sizeof(struct channel_dialed),
    [CHANNEL_SETUP] = sizeof(struct channel_setup),
    [CHANNEL_DEVICE] = sizeof(struct channel_device),
    [CHANNEL_RESOLVERS] = sizeof(struct channel_resolvers),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (channel_check(bytes, data[0] % 20) < 0)
        return 0;
    struct channel_header h;
    __builtin_memcpy(&h, bytes.data, sizeof(h));
    if (h.type >= ARRAY_LEN(sizes) || sizes[h.type] != bytes.len)
        __builtin_trap();
    return 0;
}
