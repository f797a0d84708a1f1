#include "diag/redact.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"
#include "net/ip.h"

#define KEY_MAX    1024
#define TOKEN_SIZE 24
#define NAME_MIN   2  /* a letter tells of nobody, and is a word of many sentences */
#define MAC_LENGTH 17 /* aa:bb:cc:dd:ee:ff */
#define V6_LENGTH  (IP_ADDR_TEXT_SIZE - 1)

/* What a text is replaced by. Found by its lower-case text. */
struct token {
    char text[TOKEN_SIZE];
    struct slice key; /* behind this struct */
};

struct redactor {
    struct table tokens;
    unsigned names, addresses, hardware;
};

/* Dotted words that are no names of anybody's. */
static const char *const kept_names[] = {
    "resolv.conf",       "stub-resolv.conf", "nsswitch.conf", "broker.yaml",
    "broker.sock",       "profile.json",     "gateway.yaml",  "libsystemd.so",
    "connections.jsonl", "in-addr.arpa",     "ip6.arpa",      "os-release",
};
static const char *const kept_prefixes[] = {"net.ipv4.", "net.ipv6.", "kernel.", "user.max_",
                                            "org.freedesktop."};
static const char *const kept_suffixes[] = {".service", ".socket", ".timer"};
static const char *const kept_words[] = {"root", "localhost", "stile", "nobody"};

int redactor_new(struct redactor **ret)
{
    uint8_t secret[16];
    struct redactor *r = NEW(struct redactor);
    if (r == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&r->tokens, secret);
    *ret = r;
    return 0;
}

void redactor_free(struct redactor *r)
{
    size_t i = 0;
    struct token *t;
    if (r == NULL)
        return;
    while ((t = table_next(&r->tokens, &i)) != NULL)
        mem_free(t);
    table_release(&r->tokens);
    mem_free(r);
}

/* ---- tokens ---- */

static int lower_key(struct slice text, char key[KEY_MAX])
{
    if (str_copy_slice(key, KEY_MAX, text) < 0)
        return ERR_TOOBIG;
    str_lower(key);
    return 0;
}

static int add_token(struct redactor *r, const char *key, const char *kind, unsigned *number,
                     struct token **ret)
{
    size_t len = strlen(key);
    if (r->tokens.count == REDACT_TOKENS_MAX)
        return ERR_LIMIT;
    struct token *t = mem_zalloc(sizeof(*t) + len);
    if (t == NULL)
        return ERR_NOMEM;
    memcpy(t + 1, key, len);
    t->key = slice_of(t + 1, len);
    int err = table_put(&r->tokens, t->key, t);
    if (err < 0) {
        mem_free(t);
        return err;
    }
    (void)str_format(t->text, sizeof(t->text), "%s-%u", kind, ++*number);
    *ret = t;
    return 0;
}

static int put_token(struct redactor *r, const char *key, const char *kind, unsigned *number,
                     struct buf *out)
{
    struct token *t = table_get(&r->tokens, slice_str(key));
    int err = t == NULL ? add_token(r, key, kind, number, &t) : 0;
    return err < 0 ? err : buf_put_str(out, t->text);
}

static bool is_listed(const char *const *list, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i], key))
            return true;
    return false;
}

int redact_name(struct redactor *r, const char *name)
{
    char key[KEY_MAX];
    struct token *t;
    struct slice text = slice_str(name);
    while (text.len > 0 && text.data[text.len - 1] == '.')
        text.len--;
    if (text.len < NAME_MIN || lower_key(text, key) < 0 ||
        is_listed(kept_words, ARRAY_LEN(kept_words), key) ||
        table_get(&r->tokens, slice_str(key)) != NULL)
        return 0;
    /* Not by the name's rule: addresses have their own tokens. */
    struct ip_addr a;
    if (ip_addr_parse(key, &a) == 0)
        return 0;
    return add_token(r, key, "name", &r->names, &t);
}

/* ---- what stands in the text ---- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0x80;
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Of a name, without its dots. */
static bool is_word(uint8_t c)
{
    return is_digit(c) || is_letter(c) || c == '-' || c == '_';
}

static uint8_t at(struct slice text, size_t i)
{
    return i < text.len ? text.data[i] : 0;
}

/* Nothing that the address would be only a part of: "1.2.3.4.5", "1.2.3.4-5", "4.3.2.1.in-addr.arpa". */
static bool ends_here(struct slice text, size_t len)
{
    uint8_t next = at(text, len);
    return !is_word(next) && !(next == '.' && is_word(at(text, len + 1)));
}

/* Four groups of up to three digits, also if they are no valid address; the length, or 0. */
static size_t dotted_quad(struct slice text)
{
    size_t i = 0;
    for (unsigned group = 0; group < 4; group++) {
        size_t start = i;
        if (group > 0 && at(text, i) != '.')
            return 0;
        start = i += group > 0;
        while (i - start < 3 && is_digit(at(text, i)))
            i++;
        if (i == start)
            return 0;
    }
    return ends_here(text, i) ? i : 0;
}

static size_t hardware_address(struct slice text)
{
    if (text.len < MAC_LENGTH || is_word(at(text, MAC_LENGTH)) || at(text, MAC_LENGTH) == ':')
        return 0;
    for (size_t i = 0; i < MAC_LENGTH; i++)
        if (i % 3 == 2 ? text.data[i] != ':' : !is_hex(text.data[i]))
            return 0;
    return MAC_LENGTH;
}

/* The longest start of the text that is an address of IPv6 and ends there. */
static size_t ipv6_address(struct slice text)
{
    char copy[IP_ADDR_TEXT_SIZE];
    struct ip_addr a;
    size_t len = 0;
    while (len < V6_LENGTH && (is_hex(at(text, len)) || at(text, len) == ':' ||
                               (at(text, len) == '.' && is_digit(at(text, len + 1)))))
        len++;
    for (; len >= 2; len--) {
        if (!ends_here(text, len) || str_copy_slice(copy, sizeof(copy), slice_first(text, len)) < 0)
            continue;
        if (ip_addr_parse(copy, &a) == 0 && a.version == 6)
            return len;
    }
    return 0;
}

static bool tells_of_nobody(const struct ip_addr *a)
{
    return ip_addr_is_loopback(a) || ip_addr_is_unspecified(a) || ip_addr_is_multicast(a);
}

static int put_address(struct redactor *r, struct slice text, struct buf *out)
{
    char copy[KEY_MAX];
    struct ip_addr a;
    int err = lower_key(text, copy);
    if (err == 0 && ip_addr_parse(copy, &a) == 0) {
        if (tells_of_nobody(&a))
            return buf_put(out, text);
        ip_addr_format(&a, copy); /* two spellings of one address are one */
    }
    return err < 0 ? err : put_token(r, copy, "address", &r->addresses, out);
}

/* Labels without the dots around them. */
static size_t name_run(struct slice text)
{
    size_t len = is_word(at(text, 0));
    while (len > 0 &&
           (is_word(at(text, len)) || (at(text, len) == '.' && is_word(at(text, len + 1)))))
        len++;
    return len;
}

/* Two labels or more, the last one like a top-level domain: not "6.1.0-amd64", not "e.g". */
static bool is_domain(const char *key)
{
    const char *last = strrchr(key, '.');
    return last != NULL && last != key && is_letter((uint8_t)last[1]) && strlen(last + 1) >= 2;
}

static bool is_kept(const char *key)
{
    if (is_listed(kept_names, ARRAY_LEN(kept_names), key))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(kept_prefixes); i++)
        if (str_starts(key, kept_prefixes[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(kept_suffixes); i++)
        if (str_ends(key, kept_suffixes[i]))
            return true;
    return false;
}

/* Names that were named may be parts of longer words: "/run/user-alice". */
static int put_pieces(struct redactor *r, struct slice text, struct buf *out)
{
    char key[KEY_MAX];
    int err = 0;
    for (size_t i = 0; err == 0 && i < text.len;) {
        size_t len = 0;
        while (i + len < text.len && strchr(".-_", text.data[i + len]) == NULL)
            len++;
        struct slice piece = slice_of(text.data + i, MAX(len, 1));
        struct token *t = NULL;
        if (len > 0 && lower_key(piece, key) == 0)
            t = table_get(&r->tokens, slice_str(key));
        err = t != NULL ? buf_put_str(out, t->text) : buf_put(out, piece);
        i += piece.len;
    }
    return err;
}

static int put_name(struct redactor *r, struct slice text, struct buf *out)
{
    char key[KEY_MAX];
    int err = lower_key(text, key);
    if (err < 0)
        return put_token(r, "", "name", &r->names, out); /* too long for any name */
    const struct token *known = table_get(&r->tokens, slice_str(key));
    if (known != NULL)
        return buf_put_str(out, known->text);
    if (is_domain(key) && !is_kept(key))
        return put_token(r, key, "name", &r->names, out);
    return put_pieces(r, text, out);
}

/* One thing at the start of the text, which is no part of what was before; its length goes to ret_len. */
static int put_next(struct redactor *r, struct slice text, struct buf *out, size_t *ret_len)
{
    size_t len = hardware_address(text);
    if (len > 0) {
        char key[KEY_MAX];
        *ret_len = len;
        (void)lower_key(slice_first(text, len), key);
        return put_token(r, key, "hardware", &r->hardware, out);
    }
    len = dotted_quad(text);
    if (len == 0)
        len = ipv6_address(text);
    if (len > 0) {
        *ret_len = len;
        return put_address(r, slice_first(text, len), out);
    }
    len = name_run(text);
    *ret_len = MAX(len, 1);
    return len > 0 ? put_name(r, slice_first(text, len), out) : buf_put(out, slice_first(text, 1));
}

int redact_text(struct redactor *r, struct slice text, struct buf *out)
{
    int err = 0;
    while (err == 0 && text.len > 0) {
        size_t len = 0;
        err = put_next(r, text, out, &len);
        text = slice_from(text, len);
    }
    return err;
}
