/* Any text as the broker's policy: read or refused with a place and a remedy; what was read allows nothing that no session may
 * have. */
#include "broker/policy.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL;
    struct diag d = {0};
    int r = policy_parse("broker.yaml", slice_of(data, size), NULL, NULL, &p, &d);
    if (r < 0) {
        if (d.text[0] == '\0')
            __builtin_trap();
        return 0;
    }
    static struct broker_network loopback = {.range_count = 1,
                                             .ranges = {{.addr = {127, 0, 0, 0}, .bits = 8}}};
    static struct broker_network one_label = {.zone_count = 1, .zones = {"com"}};
    if (policy_check(p, &loopback, &d) == 0 || policy_check(p, &one_label, &d) == 0)
        __builtin_trap();
    policy_free(p);
    return 0;
}
