#include "agent/resolvers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"

void resolvers_load(const char *path, struct resolvers *ret)
{
    CLEANUP(buf_release) struct buf b;
    uint8_t *space = NULL;
    buf_init(&b, RESOLV_CONF_CAP);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd >= 0 && buf_reserve(&b, 4096, &space) == 0) {
        ssize_t n = read(fd, space, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    resolvers_parse(buf_slice(&b), ret);
}
