#include "rpc/metadata.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define TIMEOUT_DIGITS 8
#define TIMEOUT_MAX    99999999u

void rpc_timeout_format(unsigned ms, char text[RPC_TIMEOUT_SIZE])
{
    bool fits = ms <= TIMEOUT_MAX;
    /* Rounded up: a deadline isn't shortened. */
    unsigned value = fits ? ms : ms / 1000 + (ms % 1000 != 0);
    (void)str_format(text, RPC_TIMEOUT_SIZE, "%u%c", value, fits ? 'm' : 'S');
}

static uint64_t unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H':
        return 3600 * NS_PER_S;
    case 'M':
        return 60 * NS_PER_S;
    case 'S':
        return NS_PER_S;
    case 'm':
        return NS_PER_MS;
    case 'u':
        return NS_PER_US;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

int rpc_timeout_parse(struct slice text, uint64_t *ret_ns)
{
    if (text.len < 2 || text.len > TIMEOUT_DIGITS + 1)
        return ERR_FORMAT;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len - 1; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return ERR_FORMAT;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    uint64_t unit = unit_ns(text.data[text.len - 1]);
    if (unit == 0)
        return ERR_FORMAT;
    *ret_ns = value > UINT64_MAX / unit ? UINT64_MAX : value * unit;
    return 0;
}

void rpc_text_encode(const char *text, char encoded[RPC_TEXT_ENCODED_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < RPC_TEXT_SIZE - 1 && text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            encoded[n++] = (char)c;
            continue;
        }
        encoded[n++] = '%';
        encoded[n++] = digits[c >> 4];
        encoded[n++] = digits[c & 15];
    }
    encoded[n] = '\0';
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* The byte that starts here, and how many characters it took. */
static uint8_t decode_byte(struct slice s, size_t *ret_used)
{
    *ret_used = 1;
    if (s.data[0] != '%' || s.len < 3)
        return s.data[0];
    int high = hex_value(s.data[1]);
    int low = hex_value(s.data[2]);
    if (high < 0 || low < 0)
        return s.data[0];
    *ret_used = 3;
    return (uint8_t)(high << 4 | low);
}

void rpc_text_decode(struct slice encoded, char text[RPC_TEXT_SIZE])
{
    size_t n = 0;
    while (encoded.len > 0 && n < RPC_TEXT_SIZE - 1) {
        size_t used;
        uint8_t c = decode_byte(encoded, &used);
        encoded = slice_from(encoded, used);
        text[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    text[n] = '\0';
}

bool rpc_content_type_ok(struct slice value)
{
    static const char want[] = "application/grpc";
    size_t n = sizeof(want) - 1;
    if (!slice_eq_str(slice_first(value, n), want))
        return false;
    if (value.len == n)
        return true;
    struct slice rest = slice_from(value, n);
    return rest.data[0] == ';' || slice_eq_str(slice_first(rest, 6), "+proto");
}
