/* What is told of files that are watched, by whatever path they are named. */
#include "testing.h"

#include <stdio.h>
#include <unistd.h>

#include "netcfg/file_watch.h"
#include "temp_dir.h"

struct fixture {
    char dir[TEMP_DIR_SIZE];
    struct loop loop;
    struct file_watch *watch;
    unsigned told;
};

static void on_changed(void *arg)
{
    ((struct fixture *)arg)->told++;
}

static int begin(void **state)
{
    static struct fixture f;
    struct diag d = {0};
    f = (struct fixture){0};
    temp_dir_make(f.dir);
    assert_int_equal(chdir(f.dir), 0);
    assert_int_equal(loop_init(&f.loop), 0);
    assert_int_equal(file_watch_new(&f.loop, on_changed, &f, &f.watch, &d), 0);
    *state = &f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    file_watch_free(f->watch);
    while (uv_loop_alive(&f->loop.uv))
        loop_turn(&f->loop, true);
    assert_int_equal(loop_release(&f->loop), 0);
    assert_int_equal(chdir("/"), 0);
    temp_dir_remove(f->dir);
    return 0;
}

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void expect_told(struct fixture *f)
{
    f->told = 0;
    while (f->told == 0)
        loop_turn(&f->loop, true); /* for ever: the test's time is limited */
}

static void a_file_is_named_from_the_working_directory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_watch_add(f->watch, "rules.json"), 0);
    write_file("rules.json"); /* comes */
    expect_told(f);
    file_watch_clear(f->watch);
    assert_int_equal(file_watch_add(f->watch, "rules.json"), 0);
    write_file("new");
    assert_int_equal(rename("new", "rules.json"), 0); /* is replaced */
    expect_told(f);
    file_watch_clear(f->watch);
    assert_int_equal(file_watch_add(f->watch, "./rules.json"), 0);
    assert_int_equal(unlink("rules.json"), 0); /* goes */
    expect_told(f);
}

static void nothing_is_told_of_other_files(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(file_watch_add(f->watch, "rules.json"), 0);
    write_file("other.json");
    loop_turn(&f->loop, false);
    assert_int_equal(f->told, 0);
    write_file("rules.json");
    expect_told(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_named_from_the_working_directory, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_told_of_other_files, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
