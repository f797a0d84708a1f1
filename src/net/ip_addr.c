#include "net/ip.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

struct ip_addr ip_addr_from(uint8_t version, const uint8_t *bytes)
{
    struct ip_addr a = {.version = version};
    memcpy(a.bytes, bytes, version == 4 ? 4 : 16);
    return a;
}

struct ip_addr ip_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return ip_addr_from(4, (const uint8_t[]){a, b, c, d});
}

size_t ip_addr_len(const struct ip_addr *a)
{
    return a->version == 4 ? 4 : 16;
}

int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b)
{
    if (a->version != b->version)
        return a->version < b->version ? -1 : 1;
    return memcmp(a->bytes, b->bytes, ip_addr_len(a));
}

bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
    return ip_addr_cmp(a, b) == 0;
}

bool ip_addr_is_unspecified(const struct ip_addr *a)
{
    static const uint8_t zeros[16];
    return memcmp(a->bytes, zeros, ip_addr_len(a)) == 0;
}

bool ip_addr_is_loopback(const struct ip_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->version == 4 ? a->bytes[0] == 127 : memcmp(a->bytes, one, 16) == 0;
}

bool ip_addr_is_multicast(const struct ip_addr *a)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (a->version == 4)
        return a->bytes[0] >> 4 == 14 || memcmp(a->bytes, broadcast, 4) == 0;
    return a->bytes[0] == 0xff;
}

bool ip_addr_is_link_local(const struct ip_addr *a)
{
    if (a->version == 4)
        return a->bytes[0] == 169 && a->bytes[1] == 254;
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* One decimal byte without leading zeros; the text behind it, or NULL. */
static const char *parse_decimal_byte(const char *s, uint8_t *ret_byte)
{
    unsigned value = 0;
    size_t digits = 0;
    for (; s[digits] >= '0' && s[digits] <= '9'; digits++) {
        if (digits == 3)
            return NULL;
        value = value * 10 + (unsigned)(s[digits] - '0');
    }
    if (digits == 0 || value > 255 || (digits > 1 && s[0] == '0'))
        return NULL;
    *ret_byte = (uint8_t)value;
    return s + digits;
}

/* Four of them with dots, up to the end of the text. */
static bool parse_v4(const char *s, uint8_t bytes[4])
{
    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && *s++ != '.')
            return false;
        s = parse_decimal_byte(s, &bytes[i]);
        if (s == NULL)
            return false;
    }
    return *s == '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Up to four hex digits; how many there were. */
static size_t parse_group(const char *s, uint16_t *ret_group)
{
    unsigned value = 0;
    size_t digits = 0;
    for (; digits < 4 && hex_value(s[digits]) >= 0; digits++)
        value = value << 4 | (unsigned)hex_value(s[digits]);
    *ret_group = (uint16_t)value;
    return digits;
}

struct v6_text {
    uint8_t bytes[16];
    size_t len; /* bytes so far */
    size_t gap; /* where "::" was; SIZE_MAX: nowhere yet */
};

/* What may stand where a group is expected: a group, or an IPv4 address as the last four bytes. The text behind it. */
static const char *parse_v6_part(struct v6_text *t, const char *s)
{
    uint16_t group;
    size_t digits = parse_group(s, &group);
    if (s[digits] == '.') {
        if (t->len > 12 || !parse_v4(s, t->bytes + t->len))
            return NULL;
        t->len += 4;
        return s + strlen(s);
    }
    if (digits == 0 || t->len > 14)
        return NULL;
    t->bytes[t->len++] = (uint8_t)(group >> 8);
    t->bytes[t->len++] = (uint8_t)group;
    return s + digits;
}

static bool close_gap(struct v6_text *t)
{
    if (t->gap == SIZE_MAX)
        return t->len == 16;
    if (t->len > 14)
        return false;
    size_t behind = t->len - t->gap;
    memmove(t->bytes + 16 - behind, t->bytes + t->gap, behind);
    memset(t->bytes + t->gap, 0, 16 - t->len);
    return true;
}

static bool parse_v6(const char *s, uint8_t bytes[16])
{
    struct v6_text t = {.gap = SIZE_MAX};
    if (s[0] == ':' && s[1] != ':')
        return false;
    while (*s != '\0') {
        if (s[0] == ':' && s[1] == ':') {
            if (t.gap != SIZE_MAX)
                return false;
            t.gap = t.len;
            s += 2;
            if (*s == '\0')
                break;
        } else if (*s == ':') {
            s++;
        }
        s = parse_v6_part(&t, s);
        if (s == NULL || (*s != '\0' && *s != ':'))
            return false;
    }
    if (!close_gap(&t))
        return false;
    memcpy(bytes, t.bytes, 16);
    return true;
}

int ip_addr_parse(const char *text, struct ip_addr *ret_addr)
{
    struct ip_addr a = {.version = strchr(text, ':') != NULL ? 6 : 4};
    bool good = a.version == 6 ? parse_v6(text, a.bytes) : parse_v4(text, a.bytes);
    if (!good)
        return ERR_FORMAT;
    *ret_addr = a;
    return 0;
}

static uint16_t group_at(const uint8_t *bytes, size_t i)
{
    return (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
}

/* RFC 5952 §4.2: the first longest run of at least two zero groups. Its length, 0 if there is none. */
static size_t longest_zeros(const uint8_t bytes[16], size_t *ret_start)
{
    size_t best = 0;
    for (size_t i = 0; i < 8; i++) {
        size_t n = 0;
        while (i + n < 8 && group_at(bytes, i + n) == 0)
            n++;
        if (n > best && n >= 2) {
            best = n;
            *ret_start = i;
        }
    }
    return best;
}

static void format_v6(const uint8_t bytes[16], char text[IP_ADDR_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t start = 8;
    size_t zeros = longest_zeros(bytes, &start);
    char *p = text;
    for (size_t i = 0; i < 8; i++) {
        if (zeros > 0 && i == start) {
            *p++ = ':';
            i += zeros - 1;
            if (i == 7)
                *p++ = ':';
            continue;
        }
        if (i > 0)
            *p++ = ':';
        uint16_t g = group_at(bytes, i);
        for (int shift = g > 0xfff ? 12 : g > 0xff ? 8 : g > 0xf ? 4 : 0; shift >= 0; shift -= 4)
            *p++ = digits[g >> shift & 15];
    }
    *p = '\0';
}

void ip_addr_format(const struct ip_addr *a, char text[IP_ADDR_TEXT_SIZE])
{
    const uint8_t *b = a->bytes;
    if (a->version == 6)
        format_v6(b, text);
    else if (a->version == 4)
        (void)str_format(text, IP_ADDR_TEXT_SIZE, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else
        (void)str_format(text, IP_ADDR_TEXT_SIZE, "-");
}

bool ip_endpoint_eq(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_addr_eq(&a->addr, &b->addr);
}

int ip_endpoint_parse(const char *text, struct ip_endpoint *ret_endpoint)
{
    bool brackets = text[0] == '[';
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || (brackets && colon[-1] != ']'))
        return ERR_FORMAT;
    const char *first = text + (brackets ? 1 : 0);
    const char *end = colon - (brackets ? 1 : 0);
    char addr[IP_ADDR_TEXT_SIZE];
    struct ip_endpoint e;
    int r = end < first ? ERR_FORMAT
                        : str_copy_slice(addr, sizeof addr, slice_of(first, (size_t)(end - first)));
    if (r < 0)
        return ERR_FORMAT;
    r = ip_addr_parse(addr, &e.addr);
    if (r < 0)
        return r;
    if ((e.addr.version == 6) != brackets)
        return ERR_FORMAT;
    r = str_to_u16(colon + 1, &e.port);
    if (r < 0)
        return r;
    *ret_endpoint = e;
    return 0;
}

void ip_endpoint_format(const struct ip_endpoint *e, char text[IP_ENDPOINT_TEXT_SIZE])
{
    char addr[IP_ADDR_TEXT_SIZE];
    ip_addr_format(&e->addr, addr);
    (void)str_format(text, IP_ENDPOINT_TEXT_SIZE, e->addr.version == 6 ? "[%s]:%u" : "%s:%u", addr,
                     e->port);
}
