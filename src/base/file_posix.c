#include "base/file.h"

FILE *file_open(const char *path, const char *mode)
{
    return fopen(path, mode);
}
