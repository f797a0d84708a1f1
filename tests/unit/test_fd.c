#include "testing.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"

static int open_one(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void what_is_closed_is_none_any_more(void **state UNUSED)
{
    int fd = open_one();
    int was = fd;
    fd_closep(&fd);
    assert_false(is_open(was));
    assert_int_equal(fd, -1);
    int other = open_one(); /* takes the number */
    assert_int_equal(other, was);
    fd_closep(&fd);
    assert_true(is_open(other));
    fd_closep(&other);
}

static void a_descriptor_ends_with_its_scope_unless_it_is_taken(void **state UNUSED)
{
    int stays = -1, goes = -1;
    {
        CLEANUP(fd_closep) int a = open_one();
        CLEANUP(fd_closep) int b = open_one();
        goes = a;
        stays = fd_steal(&b);
        assert_int_equal(b, -1);
    }
    assert_false(is_open(goes));
    assert_true(is_open(stays));
    fd_closep(&stays);
}

/* A daemon's standard input may be closed: the next file has its number. */
static void number_zero_is_one(void **state UNUSED)
{
    int kept = dup(STDIN_FILENO), zero = STDIN_FILENO;
    fd_closep(&zero);
    assert_false(is_open(STDIN_FILENO));
    if (kept >= 0)
        assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    fd_closep(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_closed_is_none_any_more),
        cmocka_unit_test(a_descriptor_ends_with_its_scope_unless_it_is_taken),
        cmocka_unit_test(number_zero_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
