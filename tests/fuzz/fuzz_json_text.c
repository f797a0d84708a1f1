/* Any bytes: what is read as JSON, written by jansson, reads back the same, and jansson's own parser agrees. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/json_text.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* The other way round doesn't hold: that one takes deeper brackets, and refuses numbers over 64 bits. */
static void check_against_jansson(struct slice text, const json_t *value)
{
    json_error_t e;
    json_t *theirs =
        json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);

    require(theirs != NULL || json_error_code(&e) == json_error_numeric_overflow);
    require(theirs == NULL || json_equal(theirs, value));
    json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct diag d = {0};
    json_t *value = NULL, *again = NULL;
    int r = json_text_read(text, 0, &value, &d);

    if (r < 0) {
        require(value == NULL && d.err == r && str_is_printable(slice_str(d.text)));
        return 0;
    }
    check_against_jansson(text, value);
    char *written = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    require(written != NULL);
    require(json_text_read(slice_str(written), 0, &again, NULL) == 0);
    require(json_equal(value, again));
    json_decref(value);
    json_decref(again);
    mem_free(written);
    return 0;
}
