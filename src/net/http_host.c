#include "net/http_host.h"

#include <string.h>

#include "base/str.h"

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n"

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts off the next line, without its CR LF. False: no whole line is left. */
static bool next_line(struct slice *bytes, struct slice *ret)
{
    const uint8_t *lf = bytes->len > 0 ? memchr(bytes->data, '\n', bytes->len) : NULL;

    if (lf == NULL)
        return false;
    size_t len = (size_t)(lf - bytes->data);
    *ret = slice_first(*bytes, len);
    *bytes = slice_from(*bytes, len + 1);
    if (ret->len > 0 && ret->data[ret->len - 1] == '\r')
        ret->len--;
    return true;
}

static bool eq_nocase(struct slice a, const char *b, size_t b_len)
{
    if (a.len != b_len)
        return false;
    for (size_t i = 0; i < b_len; i++) {
        uint8_t x = a.data[i];
        uint8_t y = (uint8_t)b[i];
        if ((x >= 'A' && x <= 'Z' ? x | 0x20 : x) != (y >= 'A' && y <= 'Z' ? y | 0x20 : y))
            return false;
    }
    return true;
}

/* Without ":port"; the colons inside an IPv6 literal's brackets are not it. */
static struct slice without_port(struct slice host)
{
    for (size_t i = host.len; i > 0 && host.data[i - 1] != ']'; i--) {
        if (host.data[i - 1] == ':')
            return slice_first(host, i - 1);
    }
    return host;
}

static bool is_allowed(struct slice host, char *const *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(allowed[i]);
        if (eq_nocase(host, allowed[i], len) || eq_nocase(without_port(host), allowed[i], len))
            return true;
    }
    return false;
}

/* What stands between "://" and the path; false for the other forms of a target (RFC 9112 §3.2). */
static bool authority_of(struct slice target, struct slice *ret)
{
    for (size_t i = 0; i + 3 <= target.len && target.data[0] != '/'; i++) {
        if (memcmp(target.data + i, "://", 3) != 0)
            continue;
        struct slice rest = slice_from(target, i + 3);
        size_t len = 0;
        while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
            len++;
        *ret = slice_first(rest, len);
        return true;
    }
    return false;
}

/* METHOD SP TARGET SP HTTP/1.x */
static bool parse_request_line(struct slice line, struct slice *ret_target)
{
    const uint8_t *first = memchr(line.data, ' ', line.len);

    if (first == NULL || first == line.data)
        return false;
    struct slice rest = slice_from(line, (size_t)(first - line.data) + 1);
    const uint8_t *second = rest.len > 0 ? memchr(rest.data, ' ', rest.len) : NULL;
    if (second == NULL || second == rest.data)
        return false;
    *ret_target = slice_first(rest, (size_t)(second - rest.data));
    struct slice version = slice_from(rest, ret_target->len + 1);
    return slice_eq_str(version, "HTTP/1.1") || slice_eq_str(version, "HTTP/1.0");
}

/* One field: false if it is malformed, or a second Host. */
static bool take_field(struct slice line, bool *seen, struct slice *host)
{
    const uint8_t *colon = memchr(line.data, ':', line.len);

    if (colon == NULL || colon == line.data || line.data[0] == ' ' || line.data[0] == '\t' ||
        colon[-1] == ' ' || colon[-1] == '\t')
        return false;
    struct slice name = slice_first(line, (size_t)(colon - line.data));
    if (!eq_nocase(name, "host", 4))
        return true;
    if (*seen)
        return false;
    *seen = true;
    *host = trimmed(slice_from(line, name.len + 1));
    return true;
}

static bool is_preface(struct slice bytes)
{
    size_t n = MIN(bytes.len, sizeof(HTTP2_PREFACE) - 1);

    return n > 0 && memcmp(bytes.data, HTTP2_PREFACE, n) == 0;
}

enum http_host_verdict http_host_check(struct slice bytes, char *const *allowed,
                                       size_t allowed_count, struct slice *ret_host)
{
    enum http_host_verdict unfinished =
        bytes.len >= HTTP_HEAD_MAX ? HTTP_HOST_MALFORMED : HTTP_HOST_MORE;
    struct slice host = slice_of(NULL, 0);
    struct slice target;
    struct slice line;
    bool seen = false;

    if (is_preface(bytes)) {
        *ret_host = host;
        return bytes.len >= sizeof(HTTP2_PREFACE) - 1 ? HTTP_HOST_ALLOWED : HTTP_HOST_MORE;
    }
    if (!next_line(&bytes, &line))
        return unfinished;
    if (line.len == 0 || !parse_request_line(line, &target))
        return HTTP_HOST_MALFORMED;
    for (;;) {
        if (!next_line(&bytes, &line))
            return unfinished;
        if (line.len == 0)
            break;
        if (!take_field(line, &seen, &host))
            return HTTP_HOST_MALFORMED;
    }
    struct slice authority;
    bool good = seen && is_allowed(host, allowed, allowed_count);
    if (good && authority_of(target, &authority))
        good = is_allowed(authority, allowed, allowed_count);
    *ret_host = host;
    return good ? HTTP_HOST_ALLOWED : HTTP_HOST_FOREIGN;
}
