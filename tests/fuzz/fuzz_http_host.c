/* Any bytes as a request's head: the verdict must not depend on what follows the head, and a host that is told lies in it. */
#include "net/http_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[] = "wiki.demo.test";
    char *const allowed[] = {name};
    struct slice host = {0};
    enum http_host_verdict verdict = http_host_check(slice_of(data, size), allowed, 1, &host);

    if (host.len > 0 && (host.data < data || host.data + host.len > data + size))
        __builtin_trap();
    if (size > 0 && verdict == HTTP_HOST_ALLOWED) {
        struct slice again;
        for (size_t len = 0; len < size && len < 256; len++) {
            enum http_host_verdict v = http_host_check(slice_of(data, len), allowed, 1, &again);
            if (v != HTTP_HOST_MORE && v != HTTP_HOST_ALLOWED)
                __builtin_trap();
        }
    }
    return 0;
}
