#include "netcfg/resolv_text.h"

#include <string.h>

#include "base/str.h"
#include "base/table.h"
#include "net/resolv_conf.h"

#define STATE_VERSION 1
#define NOTE          "#stile: " /* our own words */
#define KEPT          "#stile# " /* a line of the text before */
#define CHECKSUM      NOTE "checksum "
#define CHECKSUM_LEN  (sizeof(CHECKSUM) - 1 + 16 + 1) /* with the line break */

void resolv_state_init(struct resolv_state *s)
{
    memset(s, 0, sizeof(*s));
    s->kind = RESOLV_ABSENT;
    buf_init(&s->bytes, RESOLV_BEFORE_MAX);
}

void resolv_state_release(struct resolv_state *s)
{
    buf_release(&s->bytes);
}

bool resolv_state_eq(const struct resolv_state *a, const struct resolv_state *b)
{
    return a->kind == b->kind && slice_eq(buf_slice(&a->bytes), buf_slice(&b->bytes)) &&
           a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

int resolv_state_encode(const struct resolv_state *s, struct buf *out)
{
    uint8_t head[18];
    struct wr w = wr_init(head, sizeof(head));
    wr_u8(&w, STATE_VERSION);
    wr_u8(&w, (uint8_t)s->kind);
    wr_u32(&w, s->mode);
    wr_u32(&w, s->uid);
    wr_u32(&w, s->gid);
    wr_u32(&w, (uint32_t)buf_len(&s->bytes));
    int err = buf_put(out, slice_of(head, wr_len(&w)));
    return err < 0 ? err : buf_put(out, buf_slice(&s->bytes));
}

static int check_state(const struct resolv_state *s, struct slice bytes)
{
    bool file = s->kind == RESOLV_FILE;
    if (!file && s->kind != RESOLV_ABSENT && s->kind != RESOLV_LINK)
        return ERR_FORMAT;
    if ((!file && (s->mode | s->uid | s->gid) != 0) || (s->mode & ~(uint32_t)07777) != 0)
        return ERR_FORMAT;
    if (s->kind == RESOLV_LINK && (bytes.len == 0 || memchr(bytes.data, 0, bytes.len) != NULL))
        return ERR_FORMAT;
    return s->kind == RESOLV_ABSENT && bytes.len > 0 ? ERR_FORMAT : 0;
}

int resolv_state_decode(struct slice bytes, struct resolv_state *ret)
{
    struct rd r = rd_init(bytes);
    struct resolv_state s;
    resolv_state_init(&s);
    uint8_t version = rd_u8(&r);
    if (!r.bad && version != STATE_VERSION)
        return ERR_UNSUPPORTED;
    s.kind = (enum resolv_kind)rd_u8(&r);
    s.mode = rd_u32(&r);
    s.uid = rd_u32(&r);
    s.gid = rd_u32(&r);
    struct slice content = rd_bytes(&r, rd_u32(&r));
    int err = rd_end(&r);
    if (err == 0)
        err = check_state(&s, content);
    if (err == 0)
        err = buf_put(&s.bytes, content);
    if (err < 0) {
        resolv_state_release(&s);
        return err;
    }
    *ret = s;
    return 0;
}

/* Not against people of bad will: they may write what they like into the file. */
static void checksum_of(struct slice body, char text[17])
{
    static const uint64_t key[2] = {0x7374696c652d646eu, 0x732d7265736f6c76u};
    uint8_t bytes[8];
    struct wr w = wr_init(bytes, sizeof(bytes));
    wr_u64(&w, siphash13(key, body));
    str_hex(text, slice_of(bytes, sizeof(bytes)));
}

static bool is_kept_as_it_is(struct slice keyword)
{
    return slice_eq_str(keyword, "search") || slice_eq_str(keyword, "domain") ||
           slice_eq_str(keyword, "options") || slice_eq_str(keyword, "sortlist");
}

static bool starts_with(struct slice text, const char *prefix)
{
    return slice_eq_str(slice_first(text, strlen(prefix)), prefix);
}

static int put_line(struct buf *out, const char *prefix, struct slice line)
{
    int err = buf_put_str(out, prefix);
    if (err == 0)
        err = buf_put(out, line);
    return err < 0 ? err : buf_put_u8(out, '\n');
}

static int put_body(const struct object_dns *dns, struct slice before, struct buf *out)
{
    int err = buf_put_str(out, NOTE
                          "All questions of this host go to stile, which answers those for "
                          "its own names and\n" NOTE
                          "passes the others on. What was here before comes back when it ends; "
                          "whoever changes\n" NOTE
                          "this file keeps their changes. Lines from before begin with #stile#.\n");
    for (size_t i = 0; err == 0 && i < dns->server_count; i++) {
        char text[IP_ADDR_TEXT_SIZE];
        ip_addr_format(&dns->servers[i], text);
        err = put_line(out, "nameserver ", slice_str(text));
    }
    struct resolv_line line;
    while (err == 0 && resolv_line_next(&before, &line))
        err = put_line(out, is_kept_as_it_is(line.keyword) ? "" : KEPT, line.text);
    return err;
}

int resolv_text_make(const struct object_dns *dns, struct slice before, struct buf *out)
{
    CLEANUP(buf_release) struct buf body;
    char checksum[17];
    buf_init(&body, RESOLV_TEXT_MAX);
    int err = put_body(dns, before, &body);
    if (err < 0)
        return err;
    checksum_of(buf_slice(&body), checksum);
    err = put_line(out, CHECKSUM, slice_str(checksum));
    return err < 0 ? err : buf_put(out, buf_slice(&body));
}

bool resolv_text_is_ours(struct slice text)
{
    char checksum[17];
    struct resolv_line line;
    if (text.len < CHECKSUM_LEN || !starts_with(text, CHECKSUM))
        return false;
    checksum_of(slice_from(text, CHECKSUM_LEN), checksum);
    (void)resolv_line_next(&text, &line);
    return slice_eq_str(slice_from(line.text, sizeof(CHECKSUM) - 1), checksum);
}

static bool is_server(struct slice value, const struct object_dns *dns)
{
    char text[RESOLVER_TEXT];
    struct ip_addr addr;
    if (dns == NULL || str_copy_slice(text, sizeof(text), value) < 0 ||
        resolver_address(text, &addr) < 0)
        return false;
    for (size_t i = 0; i < dns->server_count; i++)
        if (ip_addr_eq(&addr, &dns->servers[i]))
            return true;
    return false;
}

bool resolv_text_has_ours(struct slice text, const struct object_dns *dns)
{
    struct resolv_line line;
    while (resolv_line_next(&text, &line))
        if (starts_with(line.text, NOTE) || starts_with(line.text, KEPT) ||
            (slice_eq_str(line.keyword, "nameserver") && is_server(line.value, dns)))
            return true;
    return false;
}

bool resolv_text_asks_us(struct slice text, const struct object_dns *dns)
{
    struct resolv_line line;
    while (resolv_line_next(&text, &line))
        if (slice_eq_str(line.keyword, "nameserver"))
            return is_server(line.value, dns);
    return false;
}

int resolv_text_without_ours(struct slice text, const struct object_dns *dns, struct buf *out)
{
    struct resolv_line line;
    bool intact = resolv_text_is_ours(text);
    int err = 0;
    while (err == 0 && resolv_line_next(&text, &line)) {
        bool server = slice_eq_str(line.keyword, "nameserver");
        if (starts_with(line.text, KEPT))
            err = put_line(out, "", slice_from(line.text, sizeof(KEPT) - 1));
        else if (!starts_with(line.text, NOTE) &&
                 !(server && (intact || is_server(line.value, dns))))
            err = put_line(out, "", line.text);
    }
    return err;
}

bool resolv_text_is_torn(struct slice text, struct slice from, struct slice to)
{
    size_t n = 0;
    while (n < text.len && n < to.len && text.data[n] == to.data[n])
        n++;
    return slice_eq(slice_from(text, n), slice_from(from, n));
}
