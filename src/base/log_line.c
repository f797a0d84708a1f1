#include "base/log_line.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
_Static_assert(ARRAY_LEN(level_names) == LOG_ERROR + 1, "one name per level");

/* syslog's severities (RFC 5424 section 6.2.1), which the journal counts in. */
static const uint8_t priorities[] = {7, 6, 4, 3};
_Static_assert(ARRAY_LEN(priorities) == LOG_ERROR + 1, "one priority per level");

static const char *const line_ends[] = {"\n", "}\n", ""};
_Static_assert(ARRAY_LEN(line_ends) == LOG_JOURNAL + 1, "one end per format");

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static void put_str(struct wr *w, const char *s)
{
    wr_bytes(w, slice_str(s));
}

static void put_escape(struct wr *w, const char *intro, struct slice bytes)
{
    char hex[5];
    str_hex(hex, bytes);
    put_str(w, intro);
    put_str(w, hex);
}

static void put_text(struct wr *w, const char *text)
{
    for (struct slice s = slice_str(text); s.len > 0; s = slice_from(s, 1)) {
        struct slice first = slice_first(s, 1);
        if (str_is_printable(first))
            wr_bytes(w, first);
        else
            put_escape(w, "\\x", first);
    }
}

/* A UTF-16 code unit as JSON writes it. */
static void put_json_unit(struct wr *w, uint32_t unit)
{
    uint8_t bytes[2] = {(uint8_t)(unit >> 8), (uint8_t)unit};
    put_escape(w, "\\u", slice_of(bytes, sizeof(bytes)));
}

static void put_json_char(struct wr *w, uint32_t c)
{
    if (c > 0xffff) {
        put_json_unit(w, 0xd800 + ((c - 0x10000) >> 10));
        put_json_unit(w, 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else if (c < 0x20 || c > 0x7e) {
        put_json_unit(w, c);
    } else {
        if (c == '"' || c == '\\')
            wr_u8(w, '\\');
        wr_u8(w, (uint8_t)c);
    }
}

/* A JSON string (RFC 8259 section 7) in ASCII alone. A byte that is not UTF-8 becomes U+FFFD. */
static void put_json(struct wr *w, const char *text)
{
    wr_u8(w, '"');
    struct slice s = slice_str(text);
    while (s.len > 0) {
        uint32_t c = 0xfffd;
        size_t len = str_utf8_first(s, &c);
        put_json_char(w, c);
        s = slice_from(s, MAX(len, (size_t)1));
    }
    wr_u8(w, '"');
}

static void put_number(struct wr *w, uint64_t number)
{
    char digits[24];
    str_format(digits, sizeof(digits), "%llu", (unsigned long long)number);
    put_str(w, digits);
}

/* What the journal takes as a name: capital letters, digits and underscores. */
static void put_journal_name(struct wr *w, const char *name)
{
    put_str(w, "STILE_");
    for (; *name != '\0'; name++) {
        char c = *name;
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        bool good = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        wr_u8(w, good ? (uint8_t)c : '_');
    }
}

static void put_text_field(struct wr *w, const struct log_field *f)
{
    put_str(w, " ");
    put_text(w, f->name);
    put_str(w, "=");
    if (f->text == NULL)
        put_number(w, f->number);
    else if (strpbrk(f->text, " \"=") != NULL || f->text[0] == '\0')
        put_json(w, f->text);
    else
        put_text(w, f->text);
}

static void put_json_field(struct wr *w, const struct log_field *f)
{
    put_str(w, ",");
    put_json(w, f->name);
    put_str(w, ":");
    if (f->text == NULL)
        put_number(w, f->number);
    else
        put_json(w, f->text);
}

static void put_journal_field(struct wr *w, const struct log_field *f)
{
    put_journal_name(w, f->name);
    put_str(w, "=");
    if (f->text == NULL)
        put_number(w, f->number);
    else
        put_text(w, f->text);
    put_str(w, "\n");
}

/* Whole or not at all. */
static void put_field(struct wr *w, enum log_format format, const struct log_field *f)
{
    static void (*const put[])(struct wr *, const struct log_field *) = {
        put_text_field, put_json_field, put_journal_field};
    struct wr before = *w;
    put[format](w, f);
    if (w->bad)
        *w = before;
}

static void put_text_head(struct wr *w, const struct log_line *line, const char *time)
{
    put_str(w, time);
    put_str(w, " ");
    put_str(w, level_names[line->level]);
    put_str(w, " ");
    put_text(w, line->component);
    put_str(w, ": ");
    put_text(w, line->message);
}

static void put_json_head(struct wr *w, const struct log_line *line, const char *time)
{
    put_str(w, "{\"time\":");
    put_json(w, time);
    put_str(w, ",\"level\":");
    put_json(w, level_names[line->level]);
    put_str(w, ",\"component\":");
    put_json(w, line->component);
    put_str(w, ",\"message\":");
    put_json(w, line->message);
}

/* The journal has a time of its own. Values have no line break: they are escaped. */
static void put_journal_head(struct wr *w, const struct log_line *line, const char *time UNUSED)
{
    put_str(w, "PRIORITY=");
    put_number(w, priorities[line->level]);
    put_str(w, "\nSYSLOG_IDENTIFIER=stile\nSTILE_COMPONENT=");
    put_text(w, line->component);
    put_str(w, "\nMESSAGE=");
    put_text(w, line->message);
    put_str(w, "\n");
}

struct slice log_line_format(const struct log_line *line, enum log_format format,
                             uint8_t memory[LOG_LINE_SIZE])
{
    static void (*const put_head[])(struct wr *, const struct log_line *, const char *) = {
        put_text_head, put_json_head, put_journal_head};
    const char *end = line_ends[format];
    struct wr w = wr_init(memory, LOG_LINE_SIZE - strlen(end));
    char time[CLOCK_TEXT_SIZE];
    clock_format(line->time_us, time);
    put_head[format](&w, line, time);
    for (size_t i = 0; i < line->field_count; i++)
        put_field(&w, format, &line->fields[i]);
    memcpy(memory + wr_len(&w), end, strlen(end));
    return slice_of(memory, wr_len(&w) + strlen(end));
}
