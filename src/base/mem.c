/* The one file that calls the C library's allocator (banned.h deprecates it everywhere). */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Programs never call mem_fail_at: what they pay is one load of `watched`, which nobody writes. */
static atomic_bool watched;
static atomic_uint_fast64_t made;
static atomic_uint_fast64_t fails_at; /* the value of `made` that fails; 0 is never reached */

uint64_t mem_fail_at(uint64_t n)
{
    uint64_t since = atomic_load(&made);
    atomic_store(&made, 0);
    atomic_store(&fails_at, n);
    atomic_store(&watched, true);
    return since;
}

static bool may_allocate(size_t count, size_t size, size_t *ret_total)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total) || total > PTRDIFF_MAX)
        return false;
    if (UNLIKELY(atomic_load_explicit(&watched, memory_order_relaxed)) &&
        atomic_fetch_add(&made, 1) + 1 == atomic_load(&fails_at))
        return false;
    *ret_total = total > 0 ? total : 1;
    return true;
}

void *mem_alloc(size_t size)
{
    size_t total;
    return may_allocate(1, size, &total) ? malloc(total) : NULL;
}

void *mem_zalloc(size_t size)
{
    return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
    size_t total;
    return may_allocate(count, size, &total) ? calloc(1, total) : NULL;
}

void *mem_resize(void *p, size_t count, size_t size)
{
    size_t total;
    return may_allocate(count, size, &total) ? realloc(p, total) : NULL;
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = mem_alloc(len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void *mem_dup(const void *p, size_t n)
{
    void *copy = mem_alloc(n);
    if (copy != NULL && n > 0)
        memcpy(copy, p, n);
    return copy;
}

void mem_free(void *p)
{
    free(p);
}

void mem_wipe(void *p, size_t n)
{
    if (n == 0)
        return;
    memset(p, 0, n);
    __asm__ volatile(""
                     :
                     : "r"(p)
                     : "memory"); /* the zeros may be read here, for all the compiler knows */
}

void mem_free_wiped(void *p, size_t n)
{
    if (p == NULL)
        return;
    mem_wipe(p, n);
    free(p);
}

bool mem_equal_secret(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t differs = 0;
    for (size_t i = 0; i < n; i++)
        differs = (uint8_t)(differs | (x[i] ^ y[i]));
    return differs == 0;
}

void mem_freep(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}
