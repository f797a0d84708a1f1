#include "policy/l4_value.h"

#include <string.h>

#include "base/str.h"
#include "policy/list_text.h"
#include "policy/shown.h"

#define SID_PARTS_MAX 15 /* sub-authorities */

static int add_protocol(void *protocols, const char *item, struct diag *d)
{
    unsigned *p = protocols;

    if (str_eq_nocase(item, "tcp") || str_eq(item, "6"))
        *p |= L4_TCP;
    else if (str_eq_nocase(item, "udp") || str_eq(item, "17"))
        *p |= L4_UDP;
    else
        return diag_set(d, ERR_FORMAT, 0,
                        "protocol \"%s\" can't be redirected: tcp (6) and udp (17) can",
                        shown(item).text);
    return 0;
}

int l4_protocols_parse(const char *text, unsigned *ret, struct diag *d)
{
    unsigned protocols = 0;
    int r = list_text_each(text, add_protocol, &protocols, d);

    if (r == 0)
        *ret = protocols;
    return r;
}

const char *l4_protocols_numbers(unsigned protocols)
{
    if (protocols == (L4_TCP | L4_UDP))
        return "6,17";
    return protocols == L4_UDP ? "17" : "6";
}

int l4_udp_parse(const char *text, enum l4_udp *ret, struct diag *d)
{
    if (str_eq(text, "tproxy"))
        *ret = L4_UDP_TPROXY;
    else if (str_eq(text, "redirect"))
        *ret = L4_UDP_REDIRECT;
    else
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is no way for UDP: it is tproxy or redirect",
                        shown(text).text);
    return 0;
}

const char *l4_udp_word(enum l4_udp udp)
{
    return udp == L4_UDP_REDIRECT ? "redirect" : "tproxy";
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "-" and a number up to max; moves *at behind them. */
static bool skip_part(const char **at, uint64_t max)
{
    const char *s = *at;
    uint64_t v = 0;

    if (*s != '-' || !is_digit(s[1]))
        return false;
    for (s++; is_digit(*s); s++) {
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > max)
            return false;
    }
    *at = s;
    return true;
}

/* An authority over 32 bits is written as twelve hexadecimal digits. */
static bool skip_authority(const char **at)
{
    if (!str_starts(*at, "-0x"))
        return skip_part(at, UINT32_MAX);
    if (strspn(*at + 3, "0123456789abcdefABCDEF") != 12)
        return false;
    *at += 3 + 12;
    return true;
}

static bool is_sid(const char *text)
{
    const char *at = text + 3;
    size_t parts = 0;

    if (!str_starts(text, "S-1") || !skip_authority(&at))
        return false;
    while (parts < SID_PARTS_MAX && skip_part(&at, UINT32_MAX))
        parts++;
    return parts > 0 && *at == '\0';
}

int l4_sid_parse(const char *text, char ret[L4_SID_SIZE], struct diag *d)
{
    if (strlen(text) >= L4_SID_SIZE || !is_sid(text))
        return diag_set(
            d, ERR_FORMAT, 0,
            "\"%s\" is no SID: one looks like S-1-5-32-556 (`whoami /all` shows those of a user)",
            shown(text).text);
    return str_copy(ret, L4_SID_SIZE, text);
}

int l4_id_parse(const char *text, uint32_t *ret, struct diag *d)
{
    uint64_t id;

    if (str_to_u64(text, UINT32_MAX - 1, &id) < 0)
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is no id: ids are numbers from 0 to 4294967294",
                        shown(text).text);
    *ret = (uint32_t)id;
    return 0;
}

/* No step up, no empty one. */
static bool is_path_below(const char *path)
{
    for (const char *at = path;;) {
        size_t len = strcspn(at, "/");
        struct slice name = slice_of(at, len);
        if (len == 0 || slice_eq_str(name, ".") || slice_eq_str(name, ".."))
            return false;
        if (at[len] == '\0')
            return true;
        at += len + 1;
    }
}

/* Quotes would end the text in nft's rules, and of other bytes nobody says what they mean there. */
static size_t first_bad_byte(const char *text)
{
    size_t i = 0;

    while (text[i] >= ' ' && text[i] <= '~' && text[i] != '\'' && text[i] != '"')
        i++;
    return i;
}

static int refuse_byte(const char *text, size_t at, struct diag *d)
{
    char byte[8];

    if (text[at] == '\'' || text[at] == '"')
        (void)str_format(byte, sizeof(byte), "%c", text[at]);
    else
        (void)str_format(byte, sizeof(byte), "0x%02x", (unsigned char)text[at]);
    return diag_set(d, ERR_FORMAT, 0,
                    "\"%s\" can't be named in a rule: byte %zu is %s, and only printable ASCII "
                    "without quotes can stand there. Give the control group another name",
                    shown(text).text, at + 1, byte);
}

int l4_cgroup_parse(const char *text, char ret[L4_CGROUP_SIZE], struct diag *d)
{
    const char *path = text[0] == '/' ? text + 1 : text;

    if (str_starts(text, "/sys/fs/cgroup/"))
        return diag_set(
            d, ERR_FORMAT, 0,
            "\"%s\": write the path below the root of cgroup v2 (as /proc/PID/cgroup shows it "
            "after \"0::\")",
            shown(text).text);
    if (strlen(path) >= L4_CGROUP_SIZE)
        return diag_set(d, ERR_FORMAT, 0,
                        "\"%s\" is too long for a control group: at most %d bytes",
                        shown(text).text, L4_CGROUP_SIZE - 1);
    if (!is_path_below(path))
        return diag_set(d, ERR_FORMAT, 0,
                        "\"%s\" is no control group: it is a path like "
                        "system.slice/proxy.service, without \".\", \"..\" and empty names",
                        shown(text).text);
    size_t bad = first_bad_byte(text);
    if (text[bad] != '\0')
        return refuse_byte(text, bad, d);
    return str_copy(ret, L4_CGROUP_SIZE, path);
}
