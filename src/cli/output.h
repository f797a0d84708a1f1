/* What commands print for people and for programs: tables and JSON, on standard output. */
#ifndef STILE_CLI_OUTPUT_H
#define STILE_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/cli.h"

/* Prints the value indented, with a line break, and drops it. NULL (memory ran out while it was
 * made) fails. Returns an exit status. */
int output_json(const struct cli *cli, json_t *value);

/* Prints rows as columns as wide as their widest cell; the last one isn't padded. cells: rows ×
 * columns texts, the first row the headings. Bytes that are not printable are shown as '?'. */
void output_table(const char *const *cells, size_t rows, size_t columns);

#endif
