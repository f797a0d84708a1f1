#include "cli/up_log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"

#define LOOK_MS (30 * 1000)
#define SLACK   ((size_t)64 * 1024 * 1024) /* what may be written between two looks */

struct up_log {
    const struct home *home;
    struct timer timer; /* when it has been closed, all of this is freed */
};

static int open_file(const struct home *home, int *ret_fd, struct diag *d)
{
    return private_dir_append_fd(&home->root, UP_LOG_FILE, ret_fd, d);
}

static void keep_newer_half(const struct home *home)
{
    CLEANUP(buf_release) struct buf b;
    struct slice text = {0};
    int fd = -1;
    buf_init(&b, UP_LOG_MAX + SLACK);
    if (private_dir_read(&home->root, UP_LOG_FILE, &b, NULL) == 0)
        text = slice_from(buf_slice(&b), buf_len(&b) - MIN(buf_len(&b), UP_LOG_MAX / 2));
    const uint8_t *line = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
    if (line != NULL)
        text = slice_from(text, (size_t)(line + 1 - text.data));
    fflush(stdout);
    if (private_dir_write(&home->root, UP_LOG_FILE, text, NULL) < 0 ||
        open_file(home, &fd, NULL) < 0)
        return;
    (void)dup2(fd, 1);
    (void)dup2(fd, 2);
    (void)close(fd);
}

static void look(void *arg)
{
    struct up_log *log = arg;
    struct stat st;
    if (fstat(2, &st) == 0 && st.st_size > (off_t)UP_LOG_MAX)
        keep_newer_half(log->home);
    timer_start(&log->timer, LOOK_MS);
}

int up_log_new(struct loop *loop, const struct home *home, struct up_log **ret, int *ret_fd,
               struct diag *d)
{
    int fd = -1;
    int r = open_file(home, &fd, d);
    if (r < 0)
        return r;
    struct up_log *log = NEW(struct up_log);
    if (log == NULL || timer_init(&log->timer, loop, look, log) < 0) {
        (void)close(fd);
        mem_free(log);
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    }
    log->home = home;
    timer_start(&log->timer, LOOK_MS);
    *ret = log;
    *ret_fd = fd;
    return 0;
}

static void on_closed(void *arg)
{
    mem_free(arg);
}

void up_log_free(struct up_log *log)
{
    if (log != NULL)
        timer_close(&log->timer, on_closed);
}
