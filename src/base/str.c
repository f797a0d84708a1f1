#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int str_copy(char *dst, size_t dst_size, const char *src)
{
    return str_copy_slice(dst, dst_size, slice_str(src));
}

int str_copy_slice(char *dst, size_t dst_size, struct slice src)
{
    if (dst_size == 0)
        return ERR_TOOBIG;
    dst[0] = '\0';
    if (src.len >= dst_size)
        return ERR_TOOBIG;
    if (src.len == 0)
        return 0;
    if (memchr(src.data, '\0', src.len) != NULL)
        return ERR_FORMAT;
    memcpy(dst, src.data, src.len);
    dst[src.len] = '\0';
    return 0;
}

int str_format(char *dst, size_t dst_size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(dst, dst_size, fmt, args);
    va_end(args);
    return n < 0 || (size_t)n >= dst_size ? ERR_TOOBIG : 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool str_eq_nocase(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s);
    size_t want = strlen(suffix);
    return want <= len && strcmp(s + len - want, suffix) == 0;
}

void str_lower(char *s)
{
    for (; *s != '\0'; s++)
        *s = lower(*s);
}

int str_to_u64(const char *s, uint64_t max, uint64_t *ret_v)
{
    size_t len = strspn(s, "0123456789");
    if (len == 0 || s[len] != '\0')
        return ERR_FORMAT;
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v) || v > max)
            return ERR_TOOBIG;
    }
    *ret_v = v;
    return 0;
}

int str_to_u16(const char *s, uint16_t *ret_v)
{
    uint64_t v;
    int r = str_to_u64(s, UINT16_MAX, &v);
    if (r < 0)
        return r;
    *ret_v = (uint16_t)v;
    return 0;
}

void str_hex(char *dst, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        *dst++ = digits[bytes.data[i] >> 4];
        *dst++ = digits[bytes.data[i] & 15];
    }
    *dst = '\0';
}

static int hex_value(char c)
{
    c = lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_unhex(const char *s, uint8_t *dst, size_t len)
{
    size_t text_len = strlen(s);
    if (text_len / 2 != len || text_len % 2 != 0)
        return ERR_FORMAT;
    for (size_t i = 0; i < text_len; i++) {
        if (hex_value(s[i]) < 0)
            return ERR_FORMAT;
    }
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t)((unsigned)hex_value(s[2 * i]) << 4 | (unsigned)hex_value(s[2 * i + 1]));
    return 0;
}

bool str_is_printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] > 0x7e)
            return false;
    }
    return true;
}

size_t str_utf8_first(struct slice s, uint32_t *ret_char)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length */
    if (s.len == 0)
        return 0;
    uint8_t lead = s.data[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (len == 0 || len > s.len || lead > 0xf7)
        return 0;
    uint32_t c = len == 1 ? lead : lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s.data[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s.data[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret_char = c;
    return len;
}

bool str_is_utf8(struct slice s)
{
    while (s.len > 0) {
        uint32_t c;
        size_t len = str_utf8_first(s, &c);
        if (len == 0)
            return false;
        s = slice_from(s, len);
    }
    return true;
}
