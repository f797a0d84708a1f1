#include "policy/json_text.h"

#include <float.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define NUMBER_MAX 64 /* bytes */

struct parser {
    const uint8_t *start, *at, *end;
    struct buf text; /* of the string that is read, without its escapes */
    unsigned depth;
    bool nul_allowed; /* in the string that is read */
    bool nul_allowed_in_values;
    struct diag *d;
};

static int bad(const struct parser *p, const char *what)
{
    size_t line = 1;
    const uint8_t *line_start = p->start;

    for (const uint8_t *c = p->start; c < p->at; c++) {
        if (*c == '\n') {
            line++;
            line_start = c + 1;
        }
    }
    return diag_set(p->d, ERR_FORMAT, 0, "line %zu, column %zu: %s", line,
                    (size_t)(p->at - line_start) + 1, what);
}

static int no_memory(const struct parser *p)
{
    return diag_set(p->d, ERR_NOMEM, 0, "%s", err_text(ERR_NOMEM));
}

/* The next byte, or NUL (which is in no JSON) at the end. */
static uint8_t peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : 0;
}

static bool skip(struct parser *p, char c)
{
    if (peek(p) != (uint8_t)c || c == '\0')
        return false;
    p->at++;
    return true;
}

static void skip_spaces(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ---- Strings ---- */

static int put(struct parser *p, struct slice bytes)
{
    return buf_put(&p->text, bytes) < 0 ? no_memory(p) : 0;
}

/* The four digits behind "\u". */
static int read_unit(struct parser *p, uint32_t *ret)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++, p->at++) {
        uint8_t c = peek(p);
        if (is_digit(c))
            v = v * 16 + (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return bad(p, "\\u wants four hexadecimal digits");
    }
    *ret = v;
    return 0;
}

static int put_char(struct parser *p, uint32_t c)
{
    uint8_t b[4];
    size_t len = 0;

    if (c < 0x80) {
        b[len++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[len++] = (uint8_t)(0xc0 | c >> 6);
        b[len++] = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        b[len++] = (uint8_t)(0xe0 | c >> 12);
        b[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[len++] = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        b[len++] = (uint8_t)(0xf0 | c >> 18);
        b[len++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        b[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[len++] = (uint8_t)(0x80 | (c & 0x3f));
    }
    return put(p, slice_of(b, len));
}

/* RFC 8259 §7: what is beyond 16 bits is two units, high one first. */
static int read_unicode(struct parser *p)
{
    uint32_t c = 0, low = 0;
    int r = read_unit(p, &c);

    if (r < 0)
        return r;
    if (c == 0 && !p->nul_allowed)
        return bad(p, "\\u0000 is not allowed here");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!skip(p, '\\') || !skip(p, 'u'))
            return bad(p, "half of a surrogate pair");
        r = read_unit(p, &low);
        if (r < 0)
            return r;
        if (low < 0xdc00 || low > 0xdfff)
            return bad(p, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return bad(p, "half of a surrogate pair");
    }
    return put_char(p, c);
}

static int read_escape(struct parser *p)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint8_t c = peek(p);
    const char *found = c != 0 ? strchr(letters, c) : NULL;

    if (skip(p, 'u'))
        return read_unicode(p);
    if (found == NULL)
        return bad(p, "there is no such escape in JSON");
    p->at++;
    return put(p, slice_of(&meant[found - letters], 1));
}

/* Into p->text. `at` is behind the first quote. */
static int read_text(struct parser *p)
{
    buf_clear(&p->text);
    for (;;) {
        const uint8_t *from = p->at;
        while (p->at < p->end && *p->at >= 0x20 && *p->at != '"' && *p->at != '\\')
            p->at++;
        struct slice plain = slice_of(from, (size_t)(p->at - from));
        if (!str_is_utf8(plain))
            return bad(p, "the text before this is not UTF-8");
        int r = put(p, plain);
        if (r == 0 && skip(p, '"'))
            return 0;
        if (r == 0 && skip(p, '\\'))
            r = read_escape(p);
        else if (r == 0)
            return bad(p, p->at == p->end ? "the text has no end: a \" is missing"
                                          : "a control character in a text");
        if (r < 0)
            return r;
    }
}

static int read_string(struct parser *p, json_t **ret)
{
    p->nul_allowed = p->nul_allowed_in_values;
    int r = read_text(p);

    if (r < 0)
        return r;
    struct slice text = buf_slice(&p->text);
    *ret = json_stringn_nocheck(text.len > 0 ? (const char *)text.data : "", text.len);
    return *ret != NULL ? 0 : no_memory(p);
}

/* ---- Numbers ---- */

static bool skip_digits(struct parser *p)
{
    const uint8_t *from = p->at;

    while (is_digit(peek(p)))
        p->at++;
    return p->at > from;
}

static bool skip_number(struct parser *p, bool *ret_whole)
{
    *ret_whole = true;
    (void)skip(p, '-');
    if (!skip(p, '0') && !skip_digits(p))
        return false;
    if (is_digit(peek(p)))
        return false; /* behind a leading zero */
    if (skip(p, '.')) {
        *ret_whole = false;
        if (!skip_digits(p))
            return false;
    }
    if (skip(p, 'e') || skip(p, 'E')) {
        *ret_whole = false;
        if (!skip(p, '+'))
            (void)skip(p, '-');
        if (!skip_digits(p))
            return false;
    }
    return true;
}

static bool to_integer(const char *text, json_int_t *ret)
{
    bool negative = text[0] == '-';
    json_int_t v = 0;

    for (const char *c = text + negative; *c != '\0'; c++) {
        int digit = negative ? '0' - *c : *c - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

static int read_number(struct parser *p, json_t **ret)
{
    const uint8_t *from = p->at;
    char text[NUMBER_MAX];
    json_int_t integer;
    double real;
    bool whole;

    if (!skip_number(p, &whole))
        return bad(p, "this is no number");
    if (str_copy_slice(text, sizeof(text), slice_of(from, (size_t)(p->at - from))) < 0)
        return bad(p, "the number before this is too long");
    if (whole && to_integer(text, &integer))
        *ret = json_integer(integer);
    else if (str_to_double(text, &real) < 0)
        return no_memory(p);
    else
        *ret = json_real(MAX(-DBL_MAX, MIN(DBL_MAX, real)));
    return *ret != NULL ? 0 : no_memory(p);
}

/* ---- Values ---- */

static int read_value(struct parser *p, json_t **ret);

static int read_member(struct parser *p, json_t *object)
{
    json_t *value = NULL;

    skip_spaces(p);
    if (!skip(p, '"'))
        return bad(p, "the name of a member is expected, in double quotes");
    p->nul_allowed = false;
    int r = read_text(p);
    if (r < 0)
        return r;
    /* The value's own texts go through p->text too. */
    CLEANUP(mem_freep) char *name = buf_steal_cstr(&p->text);
    if (name == NULL)
        return no_memory(p);
    if (json_object_get(object, name) != NULL)
        return bad(p, "this member is there twice");
    skip_spaces(p);
    if (!skip(p, ':'))
        return bad(p, "a colon is expected behind the name of a member");
    r = read_value(p, &value);
    if (r < 0)
        return r;
    return json_object_set_new_nocheck(object, name, value) < 0 ? no_memory(p) : 0;
}

static int read_element(struct parser *p, json_t *array)
{
    json_t *value = NULL;
    int r = read_value(p, &value);

    if (r < 0)
        return r;
    return json_array_append_new(array, value) < 0 ? no_memory(p) : 0;
}

/* Members or elements up to the closing bracket. */
static int read_inside(struct parser *p, json_t *container, char closing)
{
    skip_spaces(p);
    if (skip(p, closing))
        return 0;
    for (;;) {
        int r = closing == '}' ? read_member(p, container) : read_element(p, container);
        if (r < 0)
            return r;
        skip_spaces(p);
        if (skip(p, closing))
            return 0;
        if (!skip(p, ','))
            return bad(p, closing == '}' ? "a comma or } is expected" : "a comma or ] is expected");
    }
}

static int read_container(struct parser *p, json_t *container, char closing, json_t **ret)
{
    int r;

    if (container == NULL)
        return no_memory(p);
    if (p->depth == JSON_TEXT_DEPTH) {
        json_decref(container);
        return bad(p, "too many brackets in each other: this is too deep");
    }
    p->depth++;
    r = read_inside(p, container, closing);
    p->depth--;
    if (r < 0)
        json_decref(container);
    else
        *ret = container;
    return r;
}

static bool skip_word(struct parser *p, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
        return false;
    p->at += len;
    return true;
}

static int read_value(struct parser *p, json_t **ret)
{
    skip_spaces(p);
    if (skip(p, '{'))
        return read_container(p, json_object(), '}', ret);
    if (skip(p, '['))
        return read_container(p, json_array(), ']', ret);
    if (skip(p, '"'))
        return read_string(p, ret);
    if (peek(p) == '-' || is_digit(peek(p)))
        return read_number(p, ret);
    if (skip_word(p, "true"))
        *ret = json_true();
    else if (skip_word(p, "false"))
        *ret = json_false();
    else if (skip_word(p, "null"))
        *ret = json_null();
    else
        return bad(p, p->at == p->end ? "the text ends too early" : "this is no JSON");
    return 0;
}

int json_text_read(struct slice text, unsigned flags, json_t **ret, struct diag *d)
{
    static const uint8_t none[1];
    const uint8_t *start = text.len > 0 ? text.data : none;
    struct parser p = {.start = start,
                       .at = start,
                       .end = start + text.len,
                       .nul_allowed_in_values = (flags & JSON_TEXT_NUL) != 0,
                       .d = d};
    json_t *value = NULL;

    buf_init(&p.text, SIZE_MAX);
    int r = read_value(&p, &value);
    if (r == 0) {
        skip_spaces(&p);
        if (p.at < p.end) {
            r = bad(&p, "there is something behind the end of the JSON");
            json_decref(value);
        }
    }
    buf_release(&p.text);
    if (r == 0)
        *ret = value;
    return r;
}

static int put_bytes(const char *bytes, size_t len, void *out)
{
    return buf_put(out, slice_of(bytes, len));
}

int json_text_write(const json_t *value, size_t flags, struct buf *out)
{
    return json_dump_callback(value, put_bytes, out, flags) < 0 ? ERR_NOMEM : 0;
}

void json_text_unrefp(json_t **value)
{
    json_decref(*value);
}
