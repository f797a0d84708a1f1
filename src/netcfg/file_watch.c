#include "netcfg/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define DIRECTORY_EVENTS                                                                           \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ONLYDIR)
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF)

struct watched {
    int wd;
    char name[NAME_MAX + 1]; /* of the directory's events that count; empty: all */
};

struct file_watch {
    int fd;
    uv_poll_t poll;
    struct watched watched[2 * FILE_WATCH_MAX];
    size_t count;
    void (*changed)(void *arg);
    void *arg;
};

static bool counts(const struct file_watch *w, const struct inotify_event *e)
{
    if ((e->mask & IN_Q_OVERFLOW) != 0)
        return true;
    if ((e->mask & IN_IGNORED) != 0)
        return false;
    for (size_t i = 0; i < w->count; i++)
        if (w->watched[i].wd == e->wd &&
            (e->len == 0 || w->watched[i].name[0] == '\0' || str_eq(w->watched[i].name, e->name)))
            return true;
    return false;
}

static bool take_events(struct file_watch *w)
{
    _Alignas(struct inotify_event) uint8_t memory[16 * 1024];
    bool any = false;
    for (;;) {
        ssize_t n = read(w->fd, memory, sizeof(memory));
        if (n <= 0)
            return any;
        for (size_t at = 0; at < (size_t)n;) {
            const struct inotify_event *e = (const void *)(memory + at);
            any = any || counts(w, e);
            at += sizeof(*e) + e->len;
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct file_watch *w = poll->data;
    (void)status;
    (void)events;
    if (take_events(w))
        w->changed(w->arg);
}

int file_watch_new(struct loop *loop, void (*changed)(void *arg), void *arg,
                   struct file_watch **ret, struct diag *d)
{
    struct file_watch *w = NEW(struct file_watch);
    if (w == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to watch files: out of memory");
    w->changed = changed;
    w->arg = arg;
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        int code = errno;
        mem_free(w);
        return diag_set(d, ERR_LIMIT, code,
                        "Failed to watch files: %s. Raise fs.inotify.max_user_instances",
                        strerror(code));
    }
    int err = loop_err(uv_poll_init(&loop->uv, &w->poll, w->fd));
    if (err < 0) {
        close(w->fd);
        mem_free(w);
        return diag_set(d, err, 0, "Failed to watch files: %s", err_text(err));
    }
    w->poll.data = w;
    (void)uv_poll_start(&w->poll, UV_READABLE, on_readable);
    *ret = w;
    return 0;
}

void file_watch_clear(struct file_watch *w)
{
    for (size_t i = 0; i < w->count; i++)
        (void)inotify_rm_watch(w->fd, w->watched[i].wd);
    w->count = 0;
    (void)take_events(w);
}

static int add(struct file_watch *w, const char *path, const char *name, uint32_t events)
{
    if (w->count == ARRAY_LEN(w->watched))
        return ERR_LIMIT;
    struct watched *slot = &w->watched[w->count];
    int err = str_copy(slot->name, sizeof(slot->name), name);
    if (err < 0)
        return err;
    slot->wd = inotify_add_watch(w->fd, path, events | IN_MASK_ADD);
    if (slot->wd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_LIMIT;
    w->count++;
    return 0;
}

/* The directory, or the nearest one above it: any event there may bring it. */
static int add_nearest(struct file_watch *w, char *path, const char *name)
{
    int err = add(w, path[0] != '\0' ? path : "/", name, DIRECTORY_EVENTS);
    while (err == ERR_NOTFOUND && path[0] != '\0') {
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return err;
        *slash = '\0';
        err = add(w, path[0] != '\0' ? path : "/", slash + 1, DIRECTORY_EVENTS);
    }
    return err;
}

int file_watch_add(struct file_watch *w, const char *path)
{
    char dir[PATH_MAX];
    int err = str_copy(dir, sizeof(dir), path);
    if (err < 0)
        return err;
    char *slash = strrchr(dir, '/');
    if (slash == NULL) {
        err = add(w, ".", path, DIRECTORY_EVENTS);
    } else {
        *slash = '\0';
        err = add_nearest(w, dir, slash + 1);
    }
    if (err < 0)
        return err;
    err = add(w, path, "", FILE_EVENTS | IN_DONT_FOLLOW);
    return err == ERR_NOTFOUND ? 0 : err;
}

int file_watch_add_directory(struct file_watch *w, const char *path)
{
    char dir[PATH_MAX];
    int err = str_copy(dir, sizeof(dir), path);
    return err < 0 ? err : add_nearest(w, dir, "");
}

static void closed(uv_handle_t *handle)
{
    struct file_watch *w = handle->data;
    close(w->fd);
    mem_free(w);
}

void file_watch_free(struct file_watch *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->poll, closed);
}
