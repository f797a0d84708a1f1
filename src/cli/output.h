/* What commands print for people and for programs: tables and JSON, on standard output. */
#ifndef STILE_CLI_OUTPUT_H
#define STILE_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/cli.h"

/* Prints the value indented, with a line break, and drops it. NULL (memory ran out while it was
 * made) fails. Returns an exit status. */
int output_json(const struct cli *cli, json_t *value);

/* What would steer a terminal becomes '?': control characters, also C1 as UTF-8, and what isn't UTF-8. Line breaks too unless
 * keep_lines. In place. */
void output_tame(char *text, bool keep_lines);

/* 1234567 → "1.2M" */
#define OUTPUT_BYTES_SIZE 16
void output_bytes(uint64_t bytes, char text[OUTPUT_BYTES_SIZE]);

/* A table for people. The first row is the headings. Texts are copied; bytes that would steer the terminal are shown as '?'. */
struct table_rows {
    size_t columns;
    size_t count;
    size_t size;
    char **cells; /* owned, and so are the texts */
};

void table_rows_init(struct table_rows *t, size_t columns);
void table_rows_release(struct table_rows *t);
int table_rows_add(struct table_rows *t, const char *const *cells); /* ERR_NOMEM */
/* Columns as wide as their widest cell; the last one isn't padded. */
void table_rows_print(const struct table_rows *t);

/* The same for cells that are at hand: rows × columns texts. */
void output_table(const char *const *cells, size_t rows, size_t columns);

#endif
