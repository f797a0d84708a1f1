#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/str.h"

#define MESSAGE_SIZE 1024
/* What precedes the message, and every byte of it as \u00xx. */
/* What precedes the message, every byte of it as \u00xx, and fields. */
#define LINE_SIZE (256 + 6 * MESSAGE_SIZE + 4096)

static _Atomic(const char *) current_component = "stile";
static atomic_int current_level = LOG_WARN;
static atomic_int current_format = LOG_TEXT;
static atomic_int current_fd = 2;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};
_Static_assert(ARRAY_LEN(level_names) == LOG_ERROR + 1, "one name per level");
_Static_assert(ARRAY_LEN(format_names) == LOG_JSON + 1, "one name per format");

void log_setup(const char *component, enum log_level level, enum log_format format)
{
    atomic_store(&current_component, component);
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

void log_set_fd(int fd)
{
    atomic_store(&current_fd, fd);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

enum log_format log_format(void)
{
    return (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return level >= log_level();
}

static int index_of(const char *const *names, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(names[i], s))
            return (int)i;
    }
    return ERR_FORMAT;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
    int i = index_of(level_names, ARRAY_LEN(level_names), s);
    if (i < 0)
        return i;
    *ret_level = (enum log_level)i;
    return 0;
}

int log_format_parse(const char *s, enum log_format *ret_format)
{
    int i = index_of(format_names, ARRAY_LEN(format_names), s);
    if (i < 0)
        return i;
    *ret_format = (enum log_format)i;
    return 0;
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

/* Whole or not at all. */
static void put_field(struct wr *w, const struct log_field *f)
{
    struct wr before = *w;
    bool json = log_format() == LOG_JSON;
    put_str(w, json ? "," : " ");
    if (json)
        put_json(w, f->name);
    else
        put_text(w, f->name);
    put_str(w, json ? ":" : "=");
    if (f->text == NULL)
        put_number(w, f->number);
    else if (json || strpbrk(f->text, " \"=") != NULL || f->text[0] == '\0')
        put_json(w, f->text);
    else
        put_text(w, f->text);
    if (w->bad)
        *w = before;
}

static void put_head(struct wr *w, enum log_level level, const char *message)
{
    const char *component = atomic_load(&current_component);
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_us(), time);
    if (log_format() == LOG_JSON) {
        put_str(w, "{\"time\":");
        put_json(w, time);
        put_str(w, ",\"level\":");
        put_json(w, level_names[level]);
        put_str(w, ",\"component\":");
        put_json(w, component);
        put_str(w, ",\"message\":");
        put_json(w, message);
        return;
    }
    put_str(w, time);
    put_str(w, " ");
    put_str(w, level_names[level]);
    put_str(w, " ");
    put_text(w, component);
    put_str(w, ": ");
    put_text(w, message);
}

/* One write per line, so that lines of several threads and processes don't mix. What can't be
 * written is lost. */
static void write_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.data, (unsigned int)s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s = slice_from(s, (size_t)n);
    }
}

static void write_line(enum log_level level, const char *message, const struct log_field *fields,
                       size_t count)
{
    uint8_t line[LINE_SIZE];
    const char *end = log_format() == LOG_JSON ? "}\n" : "\n";
    struct wr w = wr_init(line, sizeof(line) - strlen(end));
    put_head(&w, level, message);
    for (size_t i = 0; i < count; i++)
        put_field(&w, &fields[i]);
    memcpy(line + wr_len(&w), end, strlen(end));
    write_all(atomic_load(&current_fd), slice_of(line, wr_len(&w) + strlen(end)));
}

void log_event(enum log_level level, const char *message, const struct log_field *fields,
               size_t count)
{
    int saved_errno = errno;
    if (log_enabled(level))
        write_line(level, message, fields, count);
    errno = saved_errno;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved_errno = errno;
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (n < 0)
        str_format(message, sizeof(message), "(message can't be formatted: %.64s)", fmt);
    if (n >= (int)sizeof(message))
        memcpy(message + sizeof(message) - 4, "...", 4);
    write_line(level, message, NULL, 0);
    errno = saved_errno;
}
