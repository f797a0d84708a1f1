/* Time. Monotonic time is in nanoseconds from an arbitrary start; wall time in Unix seconds. */
#ifndef STILE_BASE_CLOCK_H
#define STILE_BASE_CLOCK_H

#include "base/compiler.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

uint64_t clock_mono_ns(void);
int64_t clock_wall_s(void);
int64_t clock_wall_us(void);

/* Milliseconds until a moment of clock_mono_ns, for poll and its like: never too few, 0 when it has come. */
int clock_left_ms(uint64_t deadline_ns);

/* RFC 3339 in UTC with microseconds, "2026-11-22T08:00:00.000000Z": 27 characters and the NUL. */
#define CLOCK_TEXT_SIZE 28
void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE]);
/* What clock_format made of an instant since 1970; ERR_FORMAT for anything else. */
MUST_CHECK int clock_parse(const char *text, int64_t *ret_wall_us);

#endif
