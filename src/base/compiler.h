/* What the compilers add to C17: attributes, cleanup, ownership moves. */
#ifndef STILE_BASE_COMPILER_H
#define STILE_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__MINGW32__) && !defined(__clang__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(gnu_printf, fmt, args)))
#else
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#endif

#define UNUSED     __attribute__((unused))
#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN   __attribute__((noreturn))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#ifndef MIN /* sys/param.h has the same two */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

/* The structure that contains this member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* CLEANUP(fn) T *v: fn(&v) runs when v leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves a pointer out of its variable, leaving NULL: what a cleanup attribute then sees. */
#define STEAL(var)                                                                                 \
    __extension__({                                                                                \
        __typeof__(var) stolen_ = (var);                                                           \
        (var) = NULL;                                                                              \
        stolen_;                                                                                   \
    })

#endif
