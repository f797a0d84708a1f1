#include "net/resolv_conf.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* Of a network interface's name (IFNAMSIZ without the NUL): what may follow a %. */
#define ZONE_MAX 15

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice take_word(struct slice *line)
{
    while (line->len > 0 && is_space(line->data[0]))
        *line = slice_from(*line, 1);
    size_t n = 0;
    while (n < line->len && !is_space(line->data[n]))
        n++;
    struct slice word = slice_first(*line, n);
    *line = slice_from(*line, n);
    return word;
}

bool resolv_word_next(struct slice *line, struct slice *ret)
{
    *ret = take_word(line);
    return ret->len > 0;
}

bool resolv_line_next(struct slice *text, struct resolv_line *ret)
{
    if (text->len == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
    struct slice line = slice_first(*text, len);
    ret->text = line;
    ret->keyword = take_word(&line);
    ret->value = take_word(&line);
    *text = slice_from(*text, len + 1);
    return true;
}

static bool is_zone(const char *zone)
{
    size_t len = strlen(zone);
    return len > 0 && len <= ZONE_MAX && str_is_printable(slice_str(zone)) &&
           strpbrk(zone, " /%\"'\\`$&|;<>(){}*?!#~") == NULL;
}

int resolver_address(const char *text, struct ip_addr *ret)
{
    char plain[RESOLVER_TEXT];
    struct ip_addr addr;
    if (str_copy(plain, sizeof(plain), text) < 0)
        return ERR_FORMAT;
    char *zone = strchr(plain, '%');
    if (zone != NULL)
        *zone++ = '\0';
    if (ip_addr_parse(plain, &addr) < 0 || (zone != NULL && (addr.version != 6 || !is_zone(zone))))
        return ERR_FORMAT;
    *ret = addr;
    return 0;
}

bool resolvers_add(struct resolvers *r, struct slice address)
{
    char text[RESOLVER_TEXT];
    struct ip_addr addr;
    if (r->count == RESOLVERS_MAX || str_copy_slice(text, sizeof(text), address) < 0 ||
        resolver_address(text, &addr) < 0)
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->addrs[i], text))
            return false;
    memset(r->addrs[r->count], 0, RESOLVER_TEXT);
    return str_copy(r->addrs[r->count++], RESOLVER_TEXT, text) == 0;
}

void resolvers_remove(struct resolvers *r, const struct ip_addr *address)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct ip_addr addr;
        if (resolver_address(r->addrs[i], &addr) == 0 && ip_addr_eq(&addr, address))
            continue;
        if (kept != i)
            memcpy(r->addrs[kept], r->addrs[i], RESOLVER_TEXT);
        kept++;
    }
    memset(r->addrs[kept], 0, (r->count - kept) * RESOLVER_TEXT);
    r->count = kept;
}

bool resolvers_equal(const struct resolvers *a, const struct resolvers *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!str_eq(a->addrs[i], b->addrs[i]))
            return false;
    return true;
}

void resolvers_read(struct slice text, struct resolvers *r)
{
    struct resolv_line line;
    /* A comment's first word isn't "nameserver". */
    while (resolv_line_next(&text, &line))
        if (slice_eq_str(line.keyword, "nameserver"))
            (void)resolvers_add(r, line.value);
}

void resolvers_parse(struct slice text, struct resolvers *ret)
{
    memset(ret, 0, sizeof(*ret));
    resolvers_read(text, ret);
    if (ret->count == 0)
        (void)resolvers_add(ret, SLICE_LIT("127.0.0.1"));
}
