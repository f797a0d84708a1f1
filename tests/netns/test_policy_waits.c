/* What is waited for when a child dies without a word, while others hold the other ends of its pipes: as a child does that another thread
 * has begun at that moment. The functions of the C library that decide it are replaced by ours here. */
#include "policy_network.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "policy/namespace.h"
#include "policy/nft_program.h"

static struct container container;
static struct diag d;
static bool dies;       /* the child, as it enters the namespace */
static bool first_away; /* process 1 is out of reach */
static int held[16];
static size_t held_count;

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's have underscores. */
int pipe2(int fds[2], int flags)
{
    int r = (int)syscall(SYS_pipe2, fds, flags);

    if (r == 0 && dies && held_count < ARRAY_LEN(held))
        held[held_count++] = dup(fds[1]);
    return r;
}

int setns(int fd, int type)
{
    if (dies)
        _exit(1);
    return (int)syscall(SYS_setns, fd, type);
}

int fstatat(int dir, const char *restrict path, struct stat *restrict st, int flags)
{
    if (first_away && strcmp(path, "1/ns/net") == 0) {
        errno = EACCES;
        return -1;
    }
    return (int)syscall(SYS_newfstatat, dir, path, st, flags);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static int set_up(void **state UNUSED)
{
    (void)alarm(20); /* else it would wait for ever */
    container = container_new();
    dies = true;
    return 0;
}

static int tear_down(void **state UNUSED)
{
    dies = first_away = false;
    while (held_count > 0)
        (void)close(held[--held_count]);
    container_end(&container);
    (void)alarm(0);
    return 0;
}

static void a_socket_whose_child_dies_is_a_failure_at_once(void **state UNUSED)
{
    int fd = -1;

    assert_int_equal(namespace_socket(container.netns_fd, AF_NETLINK, SOCK_RAW, 0, &fd, &d),
                     ERR_IO);
    assert_true(held_count > 0);
}

static void a_namespace_whose_owner_cant_be_told_is_refused_at_once(void **state UNUSED)
{
    char name[64];
    int fd = -1;

    (void)snprintf(name, sizeof(name), "pid:%d", (int)container.pid);
    first_away = true;
    assert_int_equal(namespace_open(name, false, &fd, &d), ERR_PERM);
    assert_true(held_count > 0);
    dies = false;
    assert_int_equal(namespace_open(name, false, &fd, &d), 0);
    (void)close(fd);
}

static void nft_whose_child_dies_is_not_waited_for_until_its_time_is_up(void **state UNUSED)
{
    uint64_t before = clock_mono_ns();

    assert_int_equal(nft_run(container.netns_fd, -1, SLICE_LIT("add table inet one\n"), &d),
                     ERR_TIMEOUT);
    assert_true(clock_mono_ns() - before < 10 * NS_PER_S);
    assert_true(held_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_whose_child_dies_is_a_failure_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_namespace_whose_owner_cant_be_told_is_refused_at_once,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nft_whose_child_dies_is_not_waited_for_until_its_time_is_up,
                                        set_up, tear_down),
    };

    network_enter();
    private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
