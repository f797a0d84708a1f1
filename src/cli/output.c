#include "cli/output.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

int output_json(const struct cli *cli, json_t *value)
{
    if (value == NULL)
        return cli_fail_text(cli, "Out of memory");
    int r = json_dumpf(value, stdout, JSON_INDENT(2));
    json_decref(value);
    if (r != 0 || putchar('\n') == EOF)
        return cli_fail_text(cli, "Failed to write the output");
    return CLI_OK;
}

static bool steers(uint32_t c, bool keep_lines)
{
    return c < 0x20 ? c != '\n' || !keep_lines : c >= 0x7f && c < 0xa0;
}

void output_tame(char *text, bool keep_lines)
{
    struct slice left = slice_str(text);
    while (left.len > 0) {
        uint32_t c = 0;
        size_t len = str_utf8_first(left, &c);
        bool bad = len == 0 || steers(c, keep_lines);
        len = MAX(len, 1);
        for (size_t i = 0; bad && i < len; i++)
            text[i] = '?';
        text += len;
        left = slice_from(left, len);
    }
}

void output_bytes(uint64_t bytes, char text[OUTPUT_BYTES_SIZE])
{
    static const char units[] = "kMGTP";
    double v = (double)bytes;
    size_t unit = 0;
    if (bytes < 1000) {
        (void)str_format(text, OUTPUT_BYTES_SIZE, "%llu", (unsigned long long)bytes);
        return;
    }
    for (v /= 1000; v >= 999.5 && unit + 1 < sizeof(units) - 1; unit++)
        v /= 1000;
    (void)str_format(text, OUTPUT_BYTES_SIZE, "%.1f%c", v, units[unit]);
}

/* Characters of UTF-8 text: all bytes but the continuation bytes. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void table_rows_init(struct table_rows *t, size_t columns)
{
    *t = (struct table_rows){.columns = columns};
}

void table_rows_release(struct table_rows *t)
{
    for (size_t i = 0; i < t->count * t->columns; i++)
        mem_free(t->cells[i]);
    mem_free((void *)t->cells);
    *t = (struct table_rows){0};
}

static char *copy_cell(const char *text)
{
    char *copy = mem_strdup(text);
    if (copy != NULL)
        output_tame(copy, false);
    return copy;
}

int table_rows_add(struct table_rows *t, const char *const *cells)
{
    if (t->count == t->size) {
        size_t size = t->size == 0 ? 32 : t->size * 2;
        char **grown = mem_resize((void *)t->cells, size * t->columns, sizeof(char *));
        if (grown == NULL)
            return ERR_NOMEM;
        t->cells = grown;
        t->size = size;
    }
    char **row = t->cells + t->count * t->columns;
    for (size_t i = 0; i < t->columns; i++) {
        row[i] = copy_cell(cells[i]);
        if (row[i] != NULL)
            continue;
        while (i-- > 0)
            mem_free(row[i]);
        return ERR_NOMEM;
    }
    t->count++;
    return 0;
}

static size_t column_width(const struct table_rows *t, size_t column)
{
    size_t width = 0;
    for (size_t r = 0; r < t->count; r++)
        width = MAX(width, text_width(t->cells[r * t->columns + column]));
    return width;
}

#define COLUMNS_MAX 16

void table_rows_print(const struct table_rows *t)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t c = 0; c < t->columns && c < COLUMNS_MAX; c++)
        widths[c] = column_width(t, c);
    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < t->columns && c < COLUMNS_MAX; c++) {
            const char *cell = t->cells[r * t->columns + c];
            size_t pad = c + 1 < t->columns ? widths[c] + 2 - text_width(cell) : 0;
            printf("%s%*s", cell, (int)pad, "");
        }
        putchar('\n');
    }
}

void output_table(const char *const *cells, size_t rows, size_t columns)
{
    struct table_rows t;
    table_rows_init(&t, columns);
    for (size_t r = 0; r < rows; r++)
        if (table_rows_add(&t, cells + r * columns) < 0)
            break;
    table_rows_print(&t);
    table_rows_release(&t);
}
