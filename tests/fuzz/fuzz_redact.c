/* Redaction of any text: ends, never writes what it was told to hide, and what was redacted stays as it is. */
#include <stdlib.h>

#include "base/slice.h"
#include "diag/redact.h"

/* "alice" in any case, as a word of its own. */
static bool names_alice(struct slice text)
{
    static const char name[] = "alice";
    for (size_t i = 0; i + sizeof(name) - 1 <= text.len; i++) {
        size_t n = 0;
        while (n < sizeof(name) - 1 && (text.data[i + n] | 0x20) == (uint8_t)name[n])
            n++;
        bool word_before = i > 0 && ((text.data[i - 1] | 0x20) >= 'a' ||
                                     (text.data[i - 1] >= '0' && text.data[i - 1] <= '9'));
        uint8_t after = i + n < text.len ? text.data[i + n] : ' ';
        bool word_after = (after | 0x20) >= 'a' || (after >= '0' && after <= '9');
        if (n == sizeof(name) - 1 && !word_before && !word_after)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redactor *r;
    struct buf out;
    if (redactor_new(&r) < 0)
        return 0;
    buf_init(&out, (size_t)1024 * 1024);
    if (redact_name(r, "alice") == 0 && redact_text(r, slice_of(data, size), &out) == 0 &&
        names_alice(buf_slice(&out)))
        abort();
    buf_release(&out);
    redactor_free(r);
    return 0;
}
