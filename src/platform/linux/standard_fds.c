#include "platform/standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"

int standard_fds_open(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* The lowest free number, which is this one. Inherited by programs, on purpose. */
        if (open("/dev/null", O_RDWR) < 0)
            return err_from_errno(errno);
    }
    return 0;
}
