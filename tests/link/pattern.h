/* Bytes that tell where they belong: a stream whose every byte is known from its position. The period is a prime, so that
 * nothing lost, doubled or out of place by any number of segments goes unnoticed. */
#ifndef STILE_TESTS_LINK_PATTERN_H
#define STILE_TESTS_LINK_PATTERN_H

#include "base/slice.h"

#define PATTERN_PERIOD 1048573
#define PATTERN_RUN    (256 * 1024) /* bytes that may be taken from any position in one piece */

void pattern_init(void);
/* n ≤ PATTERN_RUN bytes as they are at this position of the stream. */
struct slice pattern_at(uint64_t position, size_t n);
bool pattern_matches(uint64_t position, struct slice bytes);

#endif
