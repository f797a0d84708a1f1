#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log_journal.h"
#include "base/str.h"

static atomic_int journal_fd = -1;
static struct sockaddr_un journal_addr;

bool log_journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char actual[64];
    struct stat st;
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    str_format(actual, sizeof(actual), "%llu:%llu", (unsigned long long)st.st_dev,
               (unsigned long long)st.st_ino);
    return str_eq(stream, actual);
}

int log_journal_open(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int r = str_copy(addr.sun_path, sizeof(addr.sun_path), path);
    if (r < 0)
        return r;
    log_journal_close();
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_from_errno(errno);
    journal_addr = addr;
    atomic_store(&journal_fd, fd);
    return 0;
}

void log_journal_close(void)
{
    int fd = atomic_exchange(&journal_fd, -1);
    if (fd >= 0)
        close(fd);
}

bool log_journal_send(struct slice datagram)
{
    int fd = atomic_load(&journal_fd);
    ssize_t n = -1;
    if (fd < 0)
        return false;
    do /* addressed anew each time: the journal may have been restarted */
        n = sendto(fd, datagram.data, datagram.len, MSG_NOSIGNAL,
                   (const struct sockaddr *)&journal_addr, sizeof(journal_addr));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)datagram.len;
}
