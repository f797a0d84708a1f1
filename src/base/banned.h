/* Force-included before every C file by the build (-include): functions that have no place here.
 *
 * Each is declared deprecated, which warns (and fails the build in CI) at every use in our own
 * files, but not where system headers mention it: struct nghttp2_mem has members named malloc and
 * free, so poisoning would not do. mem.c alone switches the warning off, for the allocator.
 */
#ifndef STILE_BASE_BANNED_H
#define STILE_BASE_BANNED_H

#include <stdarg.h>
#include <stddef.h>

#define BANNED(instead) __attribute__((deprecated("banned here: use " instead)))

/* Before the headers that define some of these inline: an attribute can't come after that. */
BANNED("str_copy") char *strcpy(char *dst, const char *src);
BANNED("str_copy_slice") char *strncpy(char *dst, const char *src, size_t n);
BANNED("buf_put_str") char *strcat(char *dst, const char *src);
BANNED("buf_put_str") char *strncat(char *dst, const char *src, size_t n);
#ifdef _WIN32
#include <stdio.h> /* mingw-w64 has the next two as static functions, which must come first */
#endif
BANNED("str_format") int sprintf(char *dst, const char *fmt, ...);
BANNED("str_format") int vsprintf(char *dst, const char *fmt, va_list args);
BANNED("struct slice") char *strtok(char *s, const char *separators);
BANNED("str_to_u64") int atoi(const char *s);
BANNED("str_to_u64") long atol(const char *s);
BANNED("mem_alloc") void *malloc(size_t size);
BANNED("mem_array") void *calloc(size_t count, size_t size);
BANNED("mem_resize") void *realloc(void *p, size_t size);
BANNED("mem_free") void free(void *p);
BANNED("mem_strdup") char *strdup(const char *s);
BANNED("mem_strndup") char *strndup(const char *s, size_t n);
BANNED("arguments, never a shell") int system(const char *command);

#undef BANNED

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* alloca, a macro of the compiler that libfyaml.h mentions, is left to the lint. */
#pragma GCC poison gets

#endif
