#include "base/fd.h"

#include <unistd.h>

void fd_closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
