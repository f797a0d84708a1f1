#include "broker/user_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

/* Inside a text of the line every quote has a backslash before it, so this can't be part of one. */
static bool has_uid(struct slice line, uint32_t uid)
{
    char field[32];
    (void)str_format(field, sizeof(field), ",\"" USER_LOG_FIELD "\":%u", (unsigned)uid);
    const uint8_t *at = memmem(line.data, line.len, field, strlen(field));
    size_t end = at != NULL ? (size_t)(at - line.data) + strlen(field) : line.len;
    return end < line.len && (line.data[end] == ',' || line.data[end] == '}');
}

bool user_log_may_read(uint32_t uid, struct slice line)
{
    return uid == 0 || has_uid(line, uid);
}

static int select_lines(uint32_t uid, struct slice all, struct buf *out)
{
    int r = 0;
    while (r == 0 && all.len > 0) {
        const uint8_t *end = memchr(all.data, '\n', all.len);
        struct slice line = slice_first(all, end != NULL ? (size_t)(end - all.data) + 1 : all.len);
        if (user_log_may_read(uid, line))
            r = buf_put(out, line);
        all = slice_from(all, line.len);
    }
    return r;
}

static int write_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.data, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_from_errno(errno);
        s = slice_from(s, (size_t)n);
    }
    return 0;
}

static int to_memory(struct slice bytes, int *ret_fd)
{
    int fd = memfd_create("stile-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_from_errno(errno);
    int r = write_all(fd, bytes);
    if (r == 0 &&
        (lseek(fd, 0, SEEK_SET) < 0 ||
         fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0))
        r = err_from_errno(errno);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int user_log_open(uint32_t uid, int *ret_fd, struct diag *d)
{
    CLEANUP(buf_release) struct buf all, selected;
    buf_init(&all, LOG_KEPT_SIZE);
    buf_init(&selected, LOG_KEPT_SIZE);
    int r = log_kept(&all);
    if (r == 0)
        r = select_lines(uid, buf_slice(&all), &selected);
    if (r == 0)
        r = to_memory(buf_slice(&selected), ret_fd);
    return r == 0 ? 0 : diag_set(d, r, 0, "Failed to hand out the log: %s", err_text(r));
}
