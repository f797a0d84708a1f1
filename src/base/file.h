/* Files by name, which is UTF-8 on every system. */
#ifndef STILE_BASE_FILE_H
#define STILE_BASE_FILE_H

#include <stdio.h>

/* As fopen: NULL with errno. The file is the caller's, fclose. */
FILE *file_open(const char *path, const char *mode);

#endif
