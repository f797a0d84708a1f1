#include "base/random.h"

#include <stdlib.h>
#include <windows.h>

#include <bcrypt.h>

#define CHUNK (1u << 20)

void random_bytes(void *dst, size_t n)
{
    uint8_t *p = dst;
    while (n > 0) {
        ULONG chunk = (ULONG)MIN(n, (size_t)CHUNK);
        if (BCryptGenRandom(NULL, p, chunk, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0)
            abort();
        p += chunk;
        n -= chunk;
    }
}
