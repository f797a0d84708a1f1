#include "pattern.h"

#include <string.h>

static uint8_t bytes[PATTERN_PERIOD + PATTERN_RUN];

void pattern_init(void)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(x >> 56);
    }
    memcpy(bytes + PATTERN_PERIOD, bytes, PATTERN_RUN);
}

struct slice pattern_at(uint64_t position, size_t n)
{
    return slice_of(bytes + position % PATTERN_PERIOD, MIN(n, (size_t)PATTERN_RUN));
}

bool pattern_matches(uint64_t position, struct slice s)
{
    while (s.len > 0) {
        struct slice expected = pattern_at(position, s.len);
        if (memcmp(expected.data, s.data, expected.len) != 0)
            return false;
        position += expected.len;
        s = slice_from(s, expected.len);
    }
    return true;
}
