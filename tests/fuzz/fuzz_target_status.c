/* Any message: what is accepted must say the same when it is written again. */
#include <string.h>

#include "tls/target_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target_status st;
    if (target_status_decode(slice_of(data, size), &st) < 0)
        return 0;
    uint8_t message[TARGET_STATUS_LEN];
    target_status_encode(&st, message);
    if (size != sizeof(message) || memcmp(message, data, size) != 0)
        __builtin_trap();
    struct target_status again;
    target_status_set(&again, st.code, st.text);
    if (memcmp(again.text, st.text, sizeof(st.text)) != 0)
        __builtin_trap(); /* accepted text needs no repair */
    return 0;
}
