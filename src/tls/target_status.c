#include "tls/target_status.h"

#include <assert.h>

#include "base/err.h"

#define VERSION   1
#define TEXT_LEN  120
#define ZEROS_LEN 5

static const struct {
    const char *name;
    int err;
} codes[] = {
    [TARGET_OK] = {"ok", 0},
    [TARGET_DENIED] = {"denied", ERR_DENIED},
    [TARGET_REFUSED] = {"refused", ERR_REFUSED},
    [TARGET_UNREACHABLE] = {"unreachable", ERR_UNREACHABLE},
    [TARGET_FAILED] = {"failed", ERR_IO},
};
static_assert(ARRAY_LEN(codes) == TARGET_CODE_COUNT, "one row per code");

const char *target_code_name(enum target_code code)
{
    return codes[code].name;
}

int target_code_to_err(enum target_code code)
{
    return codes[code].err;
}

enum target_code target_code_from_err(int err)
{
    switch (err) {
    case 0:
        return TARGET_OK;
    case ERR_DENIED:
    case ERR_AUTH:
    case ERR_EXPIRED:
        return TARGET_DENIED;
    case ERR_REFUSED:
        return TARGET_REFUSED;
    case ERR_UNREACHABLE:
    case ERR_TIMEOUT:
    case ERR_NOTFOUND:
        return TARGET_UNREACHABLE;
    default:
        return TARGET_FAILED;
    }
}

/* ---- text: printable UTF-8 (RFC 3629) ---- */

/* The length of the character that begins here, 0 if none does that may be shown. */
static size_t char_len(const uint8_t *s, size_t left)
{
    uint8_t first = s[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7f ? 1 : 0;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len > left)
        return 0;
    uint32_t point = first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    bool control = point < 0xa0;
    /* Bidirectional overrides and line separators make a shown text lie. */
    bool layout = (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
    return point < least[len] || point > 0x10ffff || surrogate || control || layout ? 0 : len;
}

static bool is_text(struct slice s)
{
    for (size_t i = 0, n; i < s.len; i += n) {
        n = char_len(s.data + i, s.len - i);
        if (n == 0)
            return false;
    }
    return true;
}

void target_status_set(struct target_status *st, enum target_code code, const char *text)
{
    *st = (struct target_status){.code = code};
    struct slice in = slice_str(text);
    for (size_t i = 0, out = 0, n; i < in.len; i += n) {
        n = char_len(in.data + i, in.len - i);
        bool shown = n > 0;
        n = shown ? n : 1;
        if (out + n > TEXT_LEN)
            return;
        for (size_t k = 0; k < n; k++)
            st->text[out++] = shown ? (char)in.data[i + k] : '?';
    }
}

/* ---- the message ---- */

void target_status_encode(const struct target_status *st, uint8_t message[TARGET_STATUS_LEN])
{
    struct slice text = slice_first(slice_str(st->text), TEXT_LEN);
    struct wr w = wr_init(message, TARGET_STATUS_LEN);
    wr_u8(&w, VERSION);
    wr_u8(&w, (uint8_t)st->code);
    wr_u8(&w, (uint8_t)text.len);
    wr_zeros(&w, ZEROS_LEN);
    wr_bytes(&w, text);
    wr_zeros(&w, TEXT_LEN - text.len);
}

static bool are_zeros(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != 0)
            return false;
    return true;
}

int target_status_decode(struct slice message, struct target_status *ret)
{
    struct rd rd = rd_init(message);
    uint8_t version = rd_u8(&rd);
    uint8_t code = rd_u8(&rd);
    uint8_t text_len = rd_u8(&rd);
    struct slice zeros = rd_bytes(&rd, ZEROS_LEN);
    struct slice text = rd_bytes(&rd, TEXT_LEN);
    int r = rd_end(&rd);
    if (r < 0)
        return r;
    if (version != VERSION)
        return ERR_VERSION;
    if (code >= TARGET_CODE_COUNT || text_len > TEXT_LEN || !are_zeros(zeros) ||
        !are_zeros(slice_from(text, text_len)) || !is_text(slice_first(text, text_len)))
        return ERR_FORMAT;
    target_status_set(ret, (enum target_code)code, "");
    for (size_t i = 0; i < text_len; i++)
        ret->text[i] = (char)text.data[i];
    return 0;
}
