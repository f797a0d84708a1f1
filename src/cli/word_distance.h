/* How far a mistyped word is from one that is meant. Pure. */
#ifndef STILE_CLI_WORD_DISTANCE_H
#define STILE_CLI_WORD_DISTANCE_H

#include <stddef.h>

/* Up to this it is worth a question. */
#define WORD_DISTANCE_NEAR 2

/* Levenshtein's: bytes to be put in, left out or changed. Words over 31 bytes count as far apart. */
size_t word_distance(const char *a, const char *b);

#endif
