/* The back-end of /etc/resolv.conf, on a file of the test's own. */
#include "testing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/resolv_conf.h"
#include "netcfg/dns_file.h"
#include "netcfg/object.h"
#include "netcfg/resolv_file.h"
#include "temp_dir.h"

struct world {
    char dir[TEMP_DIR_SIZE];
    char path[TEMP_DIR_SIZE + 16];
    struct dns_backend *backend;
    struct object object;
    struct buf undo;
    struct diag d;
};

static int set_up(void **state)
{
    struct world *w = NEW(struct world);
    assert_non_null(w);
    temp_dir_make(w->dir);
    assert_int_equal(str_format(w->path, sizeof(w->path), "%s/resolv.conf", w->dir), 0);
    assert_int_equal(dns_file_new_at(w->path, &w->backend, &w->d), 0);
    w->object = (struct object){.kind = OBJECT_DNS, .link = "stile0", .link_index = 7};
    w->object.dns.server_count = 1;
    assert_int_equal(ip_addr_parse("100.64.0.2", &w->object.dns.servers[0]), 0);
    buf_init(&w->undo, OBJECT_UNDO_MAX);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    w->backend->ops->free(w->backend);
    temp_dir_remove(w->dir);
    buf_release(&w->undo);
    mem_free(w);
    return 0;
}

/* As another process sees it. */
static void fresh_process(struct world *w)
{
    w->backend->ops->free(w->backend);
    assert_int_equal(dns_file_new_at(w->path, &w->backend, &w->d), 0);
}

static void write_path(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void put(struct world *w, const char *text)
{
    unlink(w->path);
    write_path(w->path, text);
}

static char *text_of(struct world *w, char *text, size_t size)
{
    int fd = open(w->path, O_RDONLY | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

#define TEXT(w) text_of(w, (char[4096]){0}, 4096)

static void capture(struct world *w)
{
    buf_clear(&w->undo);
    assert_int_equal(w->backend->ops->capture(w->backend, &w->object, &w->undo, &w->d), 0);
}

static void apply(struct world *w)
{
    assert_int_equal(w->backend->ops->apply(w->backend, &w->object, NULL, &w->d), 0);
    assert_non_null(strstr(TEXT(w), "\nnameserver 100.64.0.2\n"));
}

static enum object_presence verify(struct world *w)
{
    enum object_presence p;
    assert_int_equal(
        w->backend->ops->verify(w->backend, &w->object, buf_slice(&w->undo), &p, &w->d), 0);
    return p;
}

static enum object_undone undo(struct world *w)
{
    enum object_undone u;
    assert_int_equal(w->backend->ops->undo(w->backend, &w->object, buf_slice(&w->undo), &u, &w->d),
                     0);
    return u;
}

static void upstreams(struct world *w, const char *expected)
{
    struct resolvers r;
    char text[256] = "";
    assert_int_equal(w->backend->ops->upstreams(w->backend, &w->object, &r, &w->d), 0);
    for (size_t i = 0; i < r.count; i++) {
        size_t at = strlen(text);
        assert_int_equal(
            str_format(text + at, sizeof(text) - at, "%s%s", i > 0 ? " " : "", r.addrs[i]), 0);
    }
    assert_string_equal(text, expected);
}

static void a_file_comes_back_as_it_was(void **state)
{
    struct world *w = *state;
    struct stat st;
    put(w, "search lan\nnameserver 10.0.0.1");
    assert_int_equal(chmod(w->path, 0640), 0);
    capture(w);
    assert_int_equal(verify(w), OBJECT_MISSING);
    apply(w);
    assert_non_null(strstr(TEXT(w), "\nsearch lan\n"));
    assert_int_equal(verify(w), OBJECT_PRESENT);
    upstreams(w, "10.0.0.1");
    fresh_process(w);
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_string_equal(TEXT(w), "search lan\nnameserver 10.0.0.1");
    assert_int_equal(lstat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(undo(w), OBJECT_GONE);
}

static void no_file_is_none_again(void **state)
{
    struct world *w = *state;
    capture(w);
    apply(w);
    upstreams(w, "127.0.0.1");
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_int_equal(access(w->path, F_OK), -1);
    assert_int_equal(undo(w), OBJECT_GONE);
}

static void check_link(struct world *w, const char *target, const char *servers)
{
    char now[128] = "";
    unlink(w->path);
    assert_int_equal(symlink(target, w->path), 0);
    capture(w);
    apply(w);
    assert_int_equal(verify(w), OBJECT_PRESENT);
    upstreams(w, servers);
    fresh_process(w);
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_true(readlink(w->path, now, sizeof(now) - 1) > 0);
    assert_string_equal(now, target);
}

static void a_link_is_replaced_not_followed_and_comes_back(void **state)
{
    struct world *w = *state;
    char theirs[TEMP_DIR_SIZE + 16];
    assert_int_equal(str_format(theirs, sizeof(theirs), "%s/theirs", w->dir), 0);
    write_path(theirs, "nameserver 10.0.0.9\n");
    check_link(w, "theirs", "10.0.0.9");
    check_link(w, theirs, "10.0.0.9");
    check_link(w, "./../nowhere/resolv.conf", "127.0.0.1");
    assert_int_equal(unlink(w->path), 0);
    assert_int_equal(rename(theirs, w->path), 0);
    assert_string_equal(TEXT(w), "nameserver 10.0.0.9\n");
}

static void what_someone_wrote_over_ours_is_followed_and_comes_back(void **state)
{
    struct world *w = *state;
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    apply(w);
    put(w, "search other\nnameserver 10.9.0.1\n");
    assert_int_equal(verify(w), OBJECT_MISSING);
    upstreams(w, "10.9.0.1");
    capture(w);
    apply(w);
    assert_non_null(strstr(TEXT(w), "\nsearch other\n"));
    upstreams(w, "10.9.0.1");
    fresh_process(w);
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_string_equal(TEXT(w), "search other\nnameserver 10.9.0.1\n");
}

static void what_someone_wrote_over_ours_is_left_by_undo(void **state)
{
    struct world *w = *state;
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    apply(w);
    put(w, "nameserver 10.9.0.1\n");
    fresh_process(w);
    assert_int_equal(undo(w), OBJECT_LEFT);
    assert_string_equal(TEXT(w), "nameserver 10.9.0.1\n");
    unlink(w->path);
    assert_int_equal(undo(w), OBJECT_LEFT);
    assert_int_equal(access(w->path, F_OK), -1);
}

static void an_edit_of_ours_survives_undo(void **state)
{
    struct world *w = *state;
    char edited[4096];
    put(w, "nameserver 10.0.0.1\nsearch lan\n");
    capture(w);
    apply(w);
    assert_int_equal(str_format(edited, sizeof(edited), "%soptions timeout:1\n", TEXT(w)), 0);
    put(w, edited);
    assert_int_equal(verify(w), OBJECT_PRESENT);
    upstreams(w, "10.0.0.1");
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_string_equal(TEXT(w), "nameserver 10.0.0.1\nsearch lan\noptions timeout:1\n");
}

static void a_capture_of_our_own_text_gives_what_was_before(void **state)
{
    struct world *w = *state;
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    apply(w);
    assert_int_equal(ip_addr_parse("100.99.0.2", &w->object.dns.servers[0]), 0);
    capture(w);
    assert_int_equal(w->backend->ops->apply(w->backend, &w->object, NULL, &w->d), 0);
    assert_non_null(strstr(TEXT(w), "\nnameserver 100.99.0.2\n"));
    /* And where nobody knows: from the text itself. */
    fresh_process(w);
    capture(w);
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_string_equal(TEXT(w), "nameserver 10.0.0.1\n");
}

static void applying_what_is_there_writes_nothing(void **state)
{
    struct world *w = *state;
    struct stat a, b;
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    apply(w);
    assert_int_equal(lstat(w->path, &a), 0);
    apply(w);
    assert_int_equal(lstat(w->path, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_ctim.tv_nsec, b.st_ctim.tv_nsec);
}

static void a_change_between_capture_and_apply_is_not_written_over(void **state)
{
    struct world *w = *state;
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    put(w, "nameserver 10.0.0.2\n");
    assert_int_equal(w->backend->ops->apply(w->backend, &w->object, NULL, &w->d), ERR_BUSY);
    assert_string_equal(TEXT(w), "nameserver 10.0.0.2\n");
    assert_int_equal(undo(w), OBJECT_LEFT);
}

static void what_a_killed_write_left_beside_is_removed(void **state)
{
    struct world *w = *state;
    char next[TEMP_DIR_SIZE + 32];
    assert_int_equal(str_format(next, sizeof(next), "%s/" RESOLV_FILE_NEXT, w->dir), 0);
    put(w, "nameserver 10.0.0.1\n");
    capture(w);
    write_path(next, "half");
    assert_int_equal(undo(w), OBJECT_GONE);
    assert_int_equal(access(next, F_OK), -1);
    /* And doesn't keep the next one from being written; a link is not followed. */
    assert_int_equal(symlink("/nonexistent", next), 0);
    apply(w);
    assert_int_equal(access(next, F_OK), -1);
}

static void what_is_no_file_is_left_alone(void **state)
{
    struct world *w = *state;
    assert_int_equal(mkdir(w->path, 0755), 0);
    assert_int_equal(w->backend->ops->capture(w->backend, &w->object, &w->undo, &w->d),
                     ERR_UNSUPPORTED);
    assert_int_equal(w->backend->ops->probe(w->backend, &w->d), ERR_UNSUPPORTED);
    rmdir(w->path);
    put(w, "");
    assert_int_equal(truncate(w->path, 1024 * 1024), 0);
    assert_int_equal(w->backend->ops->capture(w->backend, &w->object, &w->undo, &w->d), ERR_TOOBIG);
    assert_int_equal(truncate(w->path, (off_t)RESOLV_BEFORE_MAX + 1), 0);
    assert_int_equal(w->backend->ops->capture(w->backend, &w->object, &w->undo, &w->d), ERR_TOOBIG);
    assert_int_equal(truncate(w->path, (off_t)RESOLV_BEFORE_MAX), 0);
    capture(w);
}

static void a_stub_on_this_host_is_no_upstream(void **state)
{
    struct world *w = *state;
    put(w, "nameserver 127.0.0.53\nnameserver 100.64.0.2\nnameserver 10.0.0.1\n");
    struct resolvers r;
    assert_int_equal(w->backend->ops->upstreams(w->backend, &w->object, &r, &w->d), 0);
    assert_true(r.count >= 1);
    for (size_t i = 0; i < r.count; i++)
        assert_false(str_eq(r.addrs[i], "127.0.0.53") || str_eq(r.addrs[i], "100.64.0.2"));
}

struct watcher {
    struct loop loop;
    unsigned changed;
    int calls;
};

static void on_changed(void *arg, unsigned changed)
{
    struct watcher *v = arg;
    v->changed |= changed;
    v->calls++;
}

static unsigned changes(struct watcher *v)
{
    v->changed = 0;
    for (int i = 0; i < 3; i++)
        loop_turn(&v->loop, false);
    return v->changed;
}

static void changes_by_others_are_told_and_ours_are_not(void **state)
{
    struct world *w = *state;
    struct watcher v = {0};
    char theirs[TEMP_DIR_SIZE + 16];
    assert_int_equal(str_format(theirs, sizeof(theirs), "%s/theirs", w->dir), 0);
    assert_int_equal(loop_init(&v.loop), 0);
    put(w, "nameserver 10.0.0.1\n");
    assert_int_equal(w->backend->ops->watch(w->backend, &v.loop, on_changed, &v, &w->d), 0);
    capture(w);
    apply(w);
    assert_int_equal(changes(&v), 0);
    put(w, "nameserver 10.0.0.2\n");
    assert_int_equal(changes(&v), DNS_CHANGED_SETTINGS | DNS_CHANGED_UPSTREAMS);
    capture(w);
    apply(w);
    assert_int_equal(changes(&v), 0);
    assert_int_equal(undo(w), OBJECT_UNDONE);
    assert_int_equal(changes(&v), 0);
    write_path(w->path, "nameserver 10.0.0.3\n");
    assert_int_equal(changes(&v), DNS_CHANGED_UPSTREAMS);
    /* Where a link leads is followed, even when nothing is there yet. */
    unlink(w->path);
    assert_int_equal(symlink("theirs", w->path), 0);
    (void)changes(&v);
    capture(w);
    apply(w);
    assert_int_equal(changes(&v), 0);
    write_path(theirs, "nameserver 10.0.0.4\n");
    assert_int_equal(changes(&v), DNS_CHANGED_SETTINGS | DNS_CHANGED_UPSTREAMS);
    upstreams(w, "10.0.0.4");
    assert_int_equal(verify(w), OBJECT_MISSING);
    w->backend->ops->unwatch(w->backend);
    assert_int_equal(loop_release(&v.loop), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_comes_back_as_it_was),
        TEST(no_file_is_none_again),
        TEST(a_link_is_replaced_not_followed_and_comes_back),
        TEST(what_someone_wrote_over_ours_is_followed_and_comes_back),
        TEST(what_someone_wrote_over_ours_is_left_by_undo),
        TEST(an_edit_of_ours_survives_undo),
        TEST(a_capture_of_our_own_text_gives_what_was_before),
        TEST(applying_what_is_there_writes_nothing),
        TEST(a_change_between_capture_and_apply_is_not_written_over),
        TEST(what_a_killed_write_left_beside_is_removed),
        TEST(what_is_no_file_is_left_alone),
        TEST(a_stub_on_this_host_is_no_upstream),
        TEST(changes_by_others_are_told_and_ours_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
