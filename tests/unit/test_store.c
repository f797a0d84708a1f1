#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "netcfg/journal.h"
#include "temp_dir.h"

/* The journal's files in a real directory. */

static char directory[TEMP_DIR_SIZE];

static int make_directory(void **state)
{
    (void)state;
    temp_dir_make(directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    temp_dir_remove(directory);
    return 0;
}

static void path_of(char path[256], const char *name)
{
    assert_int_equal(str_format(path, 256, "%s/%s", directory, name), 0);
}

static struct store *opened(void)
{
    struct store *s;
    struct diag d = {0};
    int r = store_open(directory, &s, &d);
    if (r < 0)
        fail_msg("%s", d.text);
    return s;
}

static void assert_contents(struct store *s, const char *expected)
{
    struct buf bytes;
    buf_init(&bytes, 1000000);
    assert_int_equal(s->ops->read(s, &bytes, NULL), 0);
    assert_true(slice_eq_str(buf_slice(&bytes), expected));
    buf_release(&bytes);
}

static void what_is_appended_cut_and_replaced_is_there_afterwards(void **state)
{
    (void)state;
    struct store *s = opened();
    struct stat st;
    char path[256];
    path_of(path, "journal");
    assert_contents(s, "");
    assert_int_equal(stat(path, &st), -1); /* looking makes no file */
    assert_int_equal(s->ops->truncate(s, 0, NULL), 0);
    assert_int_equal(s->ops->append(s, SLICE_LIT("one,"), NULL), 0);
    assert_int_equal(s->ops->append(s, SLICE_LIT("two"), NULL), 0);
    assert_contents(s, "one,two");
    store_close(s);
    s = opened();
    assert_contents(s, "one,two");
    assert_int_equal(s->ops->replace(s, SLICE_LIT("three"), NULL), 0);
    assert_int_equal(s->ops->append(s, SLICE_LIT(",four"), NULL), 0);
    assert_contents(s, "three,four");
    assert_int_equal(s->ops->truncate(s, 5, NULL), 0);
    assert_int_equal(s->ops->append(s, SLICE_LIT("!"), NULL), 0);
    assert_contents(s, "three!");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(s);
}

static void a_damaged_journal_stays_beside_whatever_is_written_then(void **state)
{
    (void)state;
    struct store *s = opened();
    char path[256], text[32] = "";
    path_of(path, "journal.damaged");
    assert_int_equal(s->ops->append(s, SLICE_LIT("damaged"), NULL), 0);
    assert_int_equal(s->ops->keep_damaged(s, NULL), 0);
    assert_int_equal(s->ops->keep_damaged(s, NULL), 0); /* over an older one */
    assert_int_equal(s->ops->truncate(s, 0, NULL), 0);
    assert_int_equal(s->ops->append(s, SLICE_LIT("new"), NULL), 0);
    assert_contents(s, "new");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 7);
    assert_string_equal(text, "damaged");
    close(fd);
    store_close(s);
}

static void a_second_process_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct store *s = opened(), *second;
    struct diag d;
    assert_int_equal(store_open(directory, &second, &d), ERR_BUSY);
    assert_non_null(strstr(d.text, "Another stile broker is running"));
    pid_t child = fork();
    if (child == 0)
        _exit(store_open(directory, &second, NULL) == ERR_BUSY ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    store_close(s);
    s = opened(); /* the lock went with its holder */
    store_close(s);
}

static void links_and_foreign_directories_are_refused(void **state)
{
    (void)state;
    char path[256], other[256];
    struct store *s;
    struct diag d;
    path_of(path, "link");
    path_of(other, "open-to-all");
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_true(store_open(path, &s, &d) < 0);
    assert_int_equal(chmod(other, 0777), 0);
    assert_int_equal(store_open(other, &s, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "chmod"));
    path_of(path, "journal");
    assert_int_equal(symlink("/etc/hostname", path), 0);
    s = opened();
    struct buf bytes;
    buf_init(&bytes, 1000);
    assert_true(s->ops->read(s, &bytes, &d) < 0);
    assert_true(s->ops->append(s, SLICE_LIT("x"), &d) < 0);
    buf_release(&bytes);
    store_close(s);
}

static void a_directory_that_isnt_there_is_made(void **state)
{
    (void)state;
    char path[256];
    struct store *s;
    struct stat st;
    path_of(path, "made");
    assert_int_equal(store_open(path, &s, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    store_close(s);
    path_of(path, "not/there");
    struct diag d;
    assert_int_equal(store_open(path, &s, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "not/there"));
}

/* A file that may not grow, as on a full disk: the write is cut in its middle. */
static int grow_in_child(void)
{
    struct store *s;
    struct diag d = {0};
    struct journal j;
    struct journal_entry *e;
    struct object o = {.kind = OBJECT_LINK, .link = "stile0", .link_index = 1};
    struct journal_origin origin = {.session = 1};
    struct rlimit little = {200, 200};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (store_open(directory, &s, &d) < 0 || journal_open(s, &j, &d) < 0 ||
        journal_intend(&j, &origin, &o, SLICE_LIT("x"), &e) < 0 || journal_flush(&j, &d) < 0 ||
        setrlimit(RLIMIT_FSIZE, &little) < 0)
        return 2;
    o.link_index = 2;
    if (journal_intend(&j, &origin, &o, SLICE_LIT("y"), &e) < 0 || journal_flush(&j, &d) == 0)
        return 3;
    if (d.os_code != EFBIG || strstr(d.text, directory) == NULL)
        return 4;
    journal_undone(&j, e);
    journal_close(&j);
    return 0;
}

static void a_write_cut_by_a_full_disk_is_told_and_read_as_torn(void **state)
{
    (void)state;
    struct journal j;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(grow_in_child());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(journal_open(opened(), &j, NULL), 0);
    assert_int_equal(j.count, 1);
    assert_true(j.torn);
    assert_false(j.damaged);
    journal_close(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_cut_and_replaced_is_there_afterwards,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_damaged_journal_stays_beside_whatever_is_written_then,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_second_process_is_refused_with_a_reason, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(links_and_foreign_directories_are_refused, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_directory_that_isnt_there_is_made, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_write_cut_by_a_full_disk_is_told_and_read_as_torn,
                                        make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
