#include "base/file.h"

#include <errno.h>
#include <windows.h>

#include "base/compiler.h"
#include "base/mem.h"

/* What fopen takes is in the code page of the machine, which has no letters for most names. */
FILE *file_open(const char *path, const char *mode)
{
    wchar_t wide_mode[8];
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
    CLEANUP(mem_freep)
    wchar_t *wide = size > 0 ? mem_array((size_t)size, sizeof(wchar_t)) : NULL;
    if (wide == NULL ||
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, size) == 0 ||
        MultiByteToWideChar(CP_UTF8, 0, mode, -1, wide_mode, ARRAY_LEN(wide_mode)) == 0) {
        errno = size > 0 ? ENOMEM : EILSEQ;
        return NULL;
    }
    return _wfopen(wide, wide_mode);
}
