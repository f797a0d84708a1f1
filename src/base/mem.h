/* Allocation: sizes are checked for overflow, failure is a return value, and tests can make any
 * allocation fail. */
#ifndef STILE_BASE_MEM_H
#define STILE_BASE_MEM_H

#include "base/compiler.h"

/* NULL when memory runs out (or the product overflows). Zero-sized requests give a valid pointer.
 */
MUST_CHECK void *mem_alloc(size_t size);                         /* uninitialised */
MUST_CHECK void *mem_zalloc(size_t size);                        /* zeroed */
MUST_CHECK void *mem_array(size_t count, size_t size);           /* zeroed */
MUST_CHECK void *mem_resize(void *p, size_t count, size_t size); /* p stays valid on failure */
MUST_CHECK char *mem_strdup(const char *s);
MUST_CHECK char *mem_strndup(const char *s, size_t n);
MUST_CHECK void *mem_dup(const void *p, size_t n);
void mem_free(void *p);

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* Secrets: zeroed in a way the compiler may not remove, and compared in constant time. */
void mem_wipe(void *p, size_t n);
void mem_free_wiped(void *p, size_t n);
bool mem_equal_secret(const void *a, const void *b, size_t n);

/* For CLEANUP: frees *(void **)pointer. */
void mem_freep(void *pointer_to_pointer);

/* Tests: the n-th allocation from now (1 is the next) fails once; 0 switches it off. Returns how
 * many allocations were asked for since the last call (the first call starts the count). Not for
 * several threads at once. */
uint64_t mem_fail_at(uint64_t n);

#endif
