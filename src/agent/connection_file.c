#include "agent/connection_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"

#define FLUSH_MS    200
#define PENDING_CAP ((size_t)256 * 1024)

struct connection_file {
    struct loop *loop;
    const struct home *home;
    struct buf pending;
    struct timer timer; /* when it has been closed, all of this is freed */
};

static void on_timer(void *arg);

int connection_file_new(struct loop *loop, const struct home *home, struct connection_file **ret)
{
    struct connection_file *f = NEW(struct connection_file);
    if (f == NULL)
        return ERR_NOMEM;
    int r = timer_init(&f->timer, loop, on_timer, f);
    if (r < 0) {
        mem_free(f);
        return r;
    }
    f->loop = loop;
    f->home = home;
    buf_init(&f->pending, PENDING_CAP);
    *ret = f;
    return 0;
}

/* The file as text, at most its cap and one batch of lines. */
static int read_file(const struct home *home, struct buf *b)
{
    buf_init(b, CONNECTION_LOG_FILE_MAX + 2 * PENDING_CAP);
    return private_dir_read(&home->root, CONNECTION_LOG_FILE, b, NULL);
}

static void keep_newer_half(const struct home *home)
{
    CLEANUP(buf_release) struct buf b;
    struct diag d = {0};
    if (read_file(home, &b) < 0) {
        (void)private_dir_remove(&home->root, CONNECTION_LOG_FILE, NULL);
        return;
    }
    struct slice text = slice_from(buf_slice(&b), buf_len(&b) / 2);
    const uint8_t *line = memchr(text.data, '\n', text.len);
    if (line != NULL)
        text = slice_from(text, (size_t)(line - text.data) + 1);
    if (private_dir_write(&home->root, CONNECTION_LOG_FILE, text, &d) < 0)
        log_debug("%s", d.text);
}

static void flush(struct connection_file *f)
{
    struct slice text = buf_slice(&f->pending);
    struct diag d = {0};
    struct stat st;
    int fd = -1;
    if (text.len == 0)
        return;
    if (private_dir_append_fd(&f->home->root, CONNECTION_LOG_FILE, &fd, &d) < 0) {
        log_debug("%s", d.text);
        buf_clear(&f->pending);
        return;
    }
    /* One write: lines of several agents don't mix. A full disk loses the log, not the connections. */
    if (write(fd, text.data, text.len) < (ssize_t)text.len)
        log_debug("Failed to append to %s", CONNECTION_LOG_FILE);
    bool large = fstat(fd, &st) == 0 && st.st_size > (off_t)CONNECTION_LOG_FILE_MAX;
    close(fd);
    buf_clear(&f->pending);
    if (large)
        keep_newer_half(f->home);
}

static void on_timer(void *arg)
{
    flush(arg);
}

static void on_closed(void *file)
{
    mem_free(file);
}

void connection_file_free(struct connection_file *f)
{
    if (f == NULL)
        return;
    flush(f);
    buf_release(&f->pending);
    timer_close(&f->timer, on_closed);
}

json_t *connection_to_json(const struct connection *c)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:i}", "profile", c->profile, "app", c->app, "name",
                          c->name, "port", (int)c->port);
    if (o == NULL)
        return NULL;
    /* Paths may be anything; what isn't UTF-8 is left out. */
    json_t *path = json_string(c->program.path);
    json_object_set_new(o, "program", path != NULL ? path : json_string(""));
    json_object_set_new(o, "pid", json_integer(c->program.pid));
    json_object_set_new(o, "verdict", json_string(connection_verdict_name(c->verdict)));
    json_t *reason = json_string(c->reason);
    json_object_set_new(o, "reason", reason != NULL ? reason : json_string(""));
    json_object_set_new(o, "bytes_up", json_integer((json_int_t)c->bytes_up));
    json_object_set_new(o, "bytes_down", json_integer((json_int_t)c->bytes_down));
    json_object_set_new(o, "started_us", json_integer(c->started_us));
    json_object_set_new(o, "ended_us", json_integer(c->ended_us));
    return o;
}

void connection_file_add(struct connection_file *f, const struct connection *c)
{
    uint8_t *space = NULL;
    json_t *o = connection_to_json(c);
    size_t size = o != NULL ? json_dumpb(o, NULL, 0, JSON_COMPACT) : 0;
    if (size > 0 && buf_len(&f->pending) + size + 1 > PENDING_CAP)
        flush(f);
    if (size > 0 && buf_reserve(&f->pending, size + 1, &space) == 0 &&
        json_dumpb(o, (char *)space, size, JSON_COMPACT) == size) {
        space[size] = '\n';
        buf_commit(&f->pending, size + 1);
    }
    json_decref(o);
    if (!timer_active(&f->timer))
        timer_start(&f->timer, FLUSH_MS);
}

json_t *connection_file_read(const struct home *home)
{
    CLEANUP(buf_release) struct buf b;
    json_t *list = json_array();
    if (list == NULL || read_file(home, &b) < 0)
        return list;
    struct slice rest = buf_slice(&b);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        json_t *one = json_loadb((const char *)rest.data, len, 0, NULL);
        if (json_is_object(one))
            json_array_append(list, one);
        json_decref(one);
        rest = slice_from(rest, len + 1);
    }
    return list;
}
