#include "net/name.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static char fold(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

int name_parse(const char *text, struct name *ret)
{
    struct name n = {.len = 0};
    size_t len = strlen(text);
    size_t label = 0;

    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len > NAME_WIRE_MAX - 2)
        return ERR_FORMAT;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c == '.') {
            if (label == 0)
                return ERR_FORMAT;
            label = 0;
        } else if (!is_plain(c) || ++label > NAME_LABEL_MAX) {
            return ERR_FORMAT;
        }
        n.text[n.len++] = fold(c);
    }
    if (label == 0)
        return ERR_FORMAT;
    *ret = n;
    return 0;
}

static void put_byte(struct name *n, uint8_t c)
{
    if (is_plain(c)) {
        n->text[n->len++] = fold(c);
        return;
    }
    n->text[n->len++] = '\\';
    n->text[n->len++] = (char)('0' + c / 100);
    n->text[n->len++] = (char)('0' + c / 10 % 10);
    n->text[n->len++] = (char)('0' + c % 10);
}

int name_read(struct rd *r, struct name *ret, struct slice *ret_wire)
{
    const uint8_t *start = r->next;
    struct name n = {.len = 0};
    size_t wire = 0;

    for (;;) {
        uint8_t len = rd_u8(r);
        struct slice label = rd_bytes(r, len <= NAME_LABEL_MAX ? len : 0);
        if (r->bad)
            return ERR_TRUNCATED;
        wire += 1 + (size_t)len;
        if (len > NAME_LABEL_MAX || wire > NAME_WIRE_MAX)
            return ERR_FORMAT;
        if (len == 0)
            break;
        if (n.len > 0)
            n.text[n.len++] = '.';
        for (size_t i = 0; i < label.len; i++)
            put_byte(&n, label.data[i]);
    }
    *ret_wire = slice_of(start, wire);
    *ret = n;
    return 0;
}

/* The next byte of the text, unescaped. */
static uint8_t take_byte(const struct name *n, size_t *at)
{
    const char *s = n->text + *at;

    if (s[0] != '\\') {
        *at += 1;
        return (uint8_t)s[0];
    }
    *at += 4;
    return (uint8_t)((s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'));
}

void name_write(struct wr *w, const struct name *n)
{
    uint8_t label[NAME_LABEL_MAX];
    size_t len = 0;

    for (size_t at = 0; at < n->len;) {
        if (n->text[at] == '.') {
            wr_u8(w, (uint8_t)len);
            wr_bytes(w, slice_of(label, len));
            len = 0;
            at++;
        } else {
            label[len++] = take_byte(n, &at);
        }
    }
    if (n->len > 0) {
        wr_u8(w, (uint8_t)len);
        wr_bytes(w, slice_of(label, len));
    }
    wr_u8(w, 0);
}

bool name_eq(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

struct slice name_key(const struct name *n)
{
    return slice_of(n->text, n->len);
}

bool name_in_zone(const struct name *n, const struct name *zone)
{
    if (zone->len == 0)
        return true;
    if (n->len < zone->len)
        return false;
    size_t skip = n->len - zone->len;
    if (skip > 0 && n->text[skip - 1] != '.')
        return false;
    return memcmp(n->text + skip, zone->text, zone->len) == 0;
}

unsigned name_labels(const struct name *n)
{
    unsigned labels = n->len > 0;

    for (size_t i = 0; i < n->len; i++)
        labels += n->text[i] == '.';
    return labels;
}
