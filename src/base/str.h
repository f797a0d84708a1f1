/* Text: bounded copies, comparison, numbers. ASCII rules throughout; no locale. */
#ifndef STILE_BASE_STR_H
#define STILE_BASE_STR_H

#include "base/slice.h"

/* Copies with the NUL. ERR_TOOBIG when it doesn't fit (dst is then the empty string). */
MUST_CHECK int str_copy(char *dst, size_t dst_size, const char *src);
MUST_CHECK int str_copy_slice(char *dst, size_t dst_size,
                              struct slice src); /* ERR_FORMAT if src holds a NUL */
PRINTF_LIKE(3, 4)
int str_format(char *dst, size_t dst_size, const char *fmt, ...); /* 0 or ERR_TOOBIG (cut) */

/* NULL counts as empty. Inline: analysers then see that a text that isn't empty isn't NULL. */
static inline bool str_is_empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

bool str_eq(const char *a, const char *b);
bool str_eq_nocase(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
void str_lower(char *s);

/* The whole text must be one decimal number in range; else ERR_FORMAT or ERR_TOOBIG. */
MUST_CHECK int str_to_u64(const char *s, uint64_t max, uint64_t *ret_v);
MUST_CHECK int str_to_u16(const char *s, uint16_t *ret_v);
/* The number that the text begins with, as strtod(3) reads it, but in no locale: the point is a point. Infinite beyond the range of a
 * double, 0 if there is none. ERR_NOMEM. */
MUST_CHECK int str_to_double(const char *s, double *ret_v);

/* Lower-case hex; dst needs 2 * len + 1. */
void str_hex(char *dst, struct slice bytes);
MUST_CHECK int str_unhex(const char *s, uint8_t *dst, size_t len); /* exactly len bytes */

/* True if every byte is printable ASCII: what may be shown to a person or put in a log unescaped.
 */
bool str_is_printable(struct slice s);

/* The length of the UTF-8 character that s begins with (RFC 3629: shortest form, no surrogates), 1
 * to 4; 0 if s is empty or begins with anything else. */
size_t str_utf8_first(struct slice s, uint32_t *ret_char);
bool str_is_utf8(struct slice s);

#endif
