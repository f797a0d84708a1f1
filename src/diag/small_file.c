#include "diag/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096

static int read_all(int fd, struct buf *b)
{
    for (;;) {
        uint8_t *space = NULL;
        if (buf_reserve(b, CHUNK, &space) < 0)
            return 0; /* full: what is there does */
        ssize_t n = read(fd, space, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_from_errno(errno) : 0;
        buf_commit(b, (size_t)n);
    }
}

int small_file_read(const char *path, struct buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_from_errno(errno);
    int err = read_all(fd, b);
    (void)close(fd);
    return err;
}

static int write_all(int fd, struct slice text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text = slice_from(text, (size_t)n);
    }
    return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int small_file_create(const char *path, struct slice text, struct diag *d)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return diag_set(d, ERR_EXISTS, EEXIST,
                        "%s is there already; give another name, or remove it first", path);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to create %s: %s", path,
                        strerror(errno));
    int code = write_all(fd, text);
    if (close(fd) < 0 && code == 0)
        code = -errno;
    if (code < 0) {
        (void)unlink(path);
        return diag_set(d, err_from_errno(-code), -code, "Failed to write %s: %s", path,
                        strerror(-code));
    }
    return 0;
}
