/* Whose socket is it: real connections on loopback, asked of the kernel. */
#include "testing.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/owner.h"

struct world {
    struct owner_table *table;
    int listener;
    int client;
    struct ip_endpoint client_end;
    struct ip_endpoint server_end;
};

static struct ip_endpoint name_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return (struct ip_endpoint){.addr = ip_addr_from(4, (const uint8_t *)&a.sin_addr),
                                .port = ntohs(a.sin_port)};
}

static int setup(void **state)
{
    static struct world w;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(any);
    w.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(w.listener, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(w.listener, 1), 0);
    assert_int_equal(getsockname(w.listener, (struct sockaddr *)&any, &len), 0);
    w.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(w.client, (struct sockaddr *)&any, sizeof(any)), 0);
    w.client_end = name_of(w.client);
    w.server_end = name_of(w.listener);
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    assert_true(fd >= 0);
    assert_int_equal(owner_table_new(fd, &w.table), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    owner_table_free(w->table);
    if (w->client >= 0)
        close(w->client);
    close(w->listener);
    return 0;
}

static void test_uid_and_inode_of_the_client_are_found(void **state)
{
    struct world *w = *state;
    struct owner owner = {.uid = 12345};
    struct stat st;
    assert_int_equal(owner_of_tcp(w->table, &w->client_end, &w->server_end, &owner), 0);
    assert_int_equal(fstat(w->client, &st), 0);
    assert_int_equal(owner.uid, geteuid());
    assert_int_equal(owner.inode, st.st_ino);
}

static void test_a_connection_that_is_not_there_has_no_owner(void **state)
{
    struct world *w = *state;
    struct owner owner;
    struct ip_endpoint other = w->client_end;
    other.addr = ip_addr_v4(100, 64, 0, 9);
    assert_int_equal(owner_of_tcp(w->table, &other, &w->server_end, &owner), ERR_NOTFOUND);
    close(w->client);
    w->client = -1;
    assert_int_equal(owner_of_tcp(w->table, &other, &w->server_end, &owner), ERR_NOTFOUND);
}

static void test_a_listener_on_the_same_port_is_not_taken_for_the_owner(void **state)
{
    struct world *w = *state;
    struct owner owner;
    struct ip_endpoint stranger = {.addr = ip_addr_v4(127, 0, 0, 7), .port = 4444};
    assert_int_equal(owner_of_tcp(w->table, &w->server_end, &stranger, &owner), ERR_NOTFOUND);
}

static void test_many_questions_get_their_own_answers(void **state)
{
    struct world *w = *state;
    struct owner owner;
    struct ip_endpoint other = w->client_end;
    other.port = (uint16_t)(other.port ^ 1);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(owner_of_tcp(w->table, &w->client_end, &w->server_end, &owner), 0);
        assert_int_equal(owner.uid, geteuid());
        assert_int_equal(owner_of_tcp(w->table, &other, &w->server_end, &owner), ERR_NOTFOUND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_uid_and_inode_of_the_client_are_found, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_connection_that_is_not_there_has_no_owner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_listener_on_the_same_port_is_not_taken_for_the_owner,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_questions_get_their_own_answers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
