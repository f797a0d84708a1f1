/* Any bytes on the broker's socket, with any number of descriptors: accepted only if every rule of the messages holds. */
#include "broker/messages.h"

#include "base/err.h"

static void check_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0')
            return;
    __builtin_trap();
}

static void check_network(const struct broker_network *n)
{
    if (n->range_count > BROKER_RANGES_MAX || n->zone_count > BROKER_ZONES_MAX ||
        n->uid_count > BROKER_UIDS_MAX)
        __builtin_trap();
    for (uint32_t i = 0; i < n->zone_count; i++)
        check_text(n->zones[i], BROKER_ZONE_SIZE);
}

static void check_accepted(const union broker_message *m)
{
    switch (m->header.type) {
    case BROKER_HELLO:
        check_text(m->hello.version, sizeof(m->hello.version));
        break;
    case BROKER_START:
    case BROKER_CONFIGURE:
        check_network(&m->start.network);
        break;
    case BROKER_REFUSED:
        check_text(m->refused.text, sizeof(m->refused.text));
        if (m->refused.err >= 0)
            __builtin_trap();
        break;
    case BROKER_STATUS_REPLY:
        if (m->status_reply.session_count > BROKER_SESSIONS_MAX)
            __builtin_trap();
        break;
    case BROKER_CLEANED:
        if (m->cleaned.count > BROKER_CLEANED_MAX)
            __builtin_trap();
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static union broker_message m;
    if (size < 1)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (broker_message_check(bytes, data[0] % 5) < 0)
        return 0;
    __builtin_memset(&m, 0, sizeof(m));
    __builtin_memcpy(&m, bytes.data, bytes.len);
    check_accepted(&m);
    return 0;
}
