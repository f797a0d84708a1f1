/* What base/str.h reads from text must, written again, be the same text. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_number(const char *text)
{
    uint64_t v;
    if (str_to_u64(text, UINT64_MAX, &v) < 0)
        return;
    char again[32];
    require(str_format(again, sizeof(again), "%llu", (unsigned long long)v) == 0);
    while (text[0] == '0' && text[1] != '\0')
        text++;
    require(str_eq(text, again));
}

static void check_hex(const char *text, size_t len)
{
    CLEANUP(mem_freep) uint8_t *bytes = mem_alloc(len / 2);
    CLEANUP(mem_freep) char *again = mem_alloc(len + 2);
    if (bytes == NULL || again == NULL || str_unhex(text, bytes, len / 2) < 0)
        return;
    str_hex(again, slice_of(bytes, len / 2));
    require(str_eq_nocase(text, again));
}

/* Encodes the character, which shows that it was in its shortest form. */
static size_t encode(uint32_t c, uint8_t dst[4])
{
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        dst[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    dst[0] = (uint8_t)(leads[len] | c);
    return len;
}

static void check_utf8(struct slice s)
{
    bool whole = str_is_utf8(s);
    uint32_t c;
    for (size_t len; (len = str_utf8_first(s, &c)) > 0; s = slice_from(s, len)) {
        uint8_t again[4];
        require(encode(c, again) == len && slice_eq(slice_first(s, len), slice_of(again, len)));
    }
    require(whole == (s.len == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(mem_freep) char *text = mem_alloc(size + 1);
    if (text == NULL)
        return 0;
    check_utf8(slice_of(data, size));
    if (str_copy_slice(text, size + 1, slice_of(data, size)) < 0)
        return 0;
    check_number(text);
    check_hex(text, size);
    return 0;
}
