/* Random bytes from the operating system, fit for keys. Aborts the process when the system has
 * none: nothing here can go on without. */
#ifndef STILE_BASE_RANDOM_H
#define STILE_BASE_RANDOM_H

#include "base/compiler.h"

void random_bytes(void *dst, size_t n);
uint64_t random_u64(void);

#endif
