#include "cli/output.h"

#include <stdio.h>
#include <string.h>

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

/* Characters of UTF-8 text: all bytes but the continuation bytes. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static size_t column_width(const char *const *cells, size_t rows, size_t columns, size_t column)
{
    size_t width = 0;
    for (size_t r = 0; r < rows; r++)
        width = MAX(width, text_width(cells[r * columns + column]));
    return width;
}

static void put_cell(const char *s)
{
    for (; *s != '\0'; s++)
        putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

void output_table(const char *const *cells, size_t rows, size_t columns)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            const char *cell = cells[r * columns + c];
            put_cell(cell);
            if (c + 1 == columns)
                break;
            size_t pad = column_width(cells, rows, columns, c) + 2 - text_width(cell);
            printf("%*s", (int)pad, "");
        }
        putchar('\n');
    }
}
