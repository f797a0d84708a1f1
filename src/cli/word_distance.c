#include "cli/word_distance.h"

#include <string.h>

#include "base/compiler.h"

size_t word_distance(const char *a, const char *b)
{
    size_t row[32];
    size_t la = strlen(a), lb = strlen(b);
    if (la >= ARRAY_LEN(row) || lb >= ARRAY_LEN(row))
        return ARRAY_LEN(row);
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}
