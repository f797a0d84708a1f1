/* The local channels' fixed messages: what is sent arrives, and nothing that breaks a rule does. */
#include "testing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "platform/channel.h"
#include "platform/fdpass.h"

static int setup_pair(void **state)
{
    static int pair[2];
    *state = pair;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

static int teardown_pair(void **state)
{
    int *pair = *state;
    fdpass_close(pair, 2);
    return 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void dialed_ok(union channel_message *m)
{
    channel_init(m, CHANNEL_DIALED);
    m->dialed.id = 7;
}

static void test_message_arrives_whole_with_its_descriptor(void **state)
{
    int *pair = *state;
    union channel_message out, in;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    int sent[2];
    assert_int_equal(pipe(sent), 0);
    dialed_ok(&out);
    assert_int_equal(channel_send(pair[0], &out, &sent[1], 1), 0);
    assert_int_equal(channel_recv(pair[1], &in, fds, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(in.dialed.id, 7);
    assert_int_equal(write(fds[0], "x", 1), 1);
    char c = 0;
    assert_int_equal(read(sent[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    fdpass_close(fds, count);
    fdpass_close(sent, 2);
}

static void test_empty_channel_would_block_and_closed_one_says_so(void **state)
{
    int *pair = *state;
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    assert_int_equal(channel_recv(pair[1], &m, fds, &count), ERR_AGAIN);
    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(channel_recv(pair[1], &m, fds, &count), ERR_CLOSED);
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    assert_int_equal(channel_send(pair[1], &m, NULL, 0), ERR_CLOSED);
}

/* The kernel gives the lowest free number: if nothing leaked, it is the same before and after. */
static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void test_descriptors_of_a_refused_message_are_closed(void **state)
{
    int *pair = *state;
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 99;
    int before = next_fd();
    channel_init(&m, CHANNEL_DIAL_RESOLVER); /* comes without any */
    const int sent[2] = {0, 0};
    assert_int_equal(
        fdpass_send(pair[0], slice_of(&m, sizeof(m.dial_resolver)), sent, ARRAY_LEN(sent)), 0);
    assert_int_equal(channel_recv(pair[1], &m, fds, &count), ERR_PROTOCOL);
    assert_int_equal(count, 99);
    assert_int_equal(next_fd(), before);
}

static void test_every_wrong_length_is_refused(void **state)
{
    int *pair = *state;
    union channel_message m, in;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    for (size_t len = 1; len < sizeof(m); len++) {
        if (len == sizeof(m.dial_resolver))
            continue;
        assert_int_equal(fdpass_send(pair[0], slice_of(&m, len), NULL, 0), 0);
        assert_int_equal(channel_recv(pair[1], &in, fds, &count), ERR_PROTOCOL);
    }
    uint8_t longer[sizeof(m) + 1] = {0};
    memcpy(longer, &m, sizeof(m));
    assert_int_equal(fdpass_send(pair[0], slice_of(longer, sizeof(longer)), NULL, 0), 0);
    assert_int_equal(channel_recv(pair[1], &in, fds, &count), ERR_PROTOCOL);
}

static void test_dialed_has_a_descriptor_exactly_when_it_succeeded(void **state)
{
    (void)state;
    union channel_message m;
    dialed_ok(&m);
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 1), 0);
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 0), ERR_PROTOCOL);
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 2), ERR_PROTOCOL);
    m.dialed.err = ERR_REFUSED;
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 0), 0);
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 1), ERR_PROTOCOL);
    m.dialed.err = 1;
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 0), ERR_PROTOCOL);
    m.dialed.err = ERR_LAST - 1;
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.dialed)), 0), ERR_PROTOCOL);
}

static void test_texts_end_and_are_printable(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_GATEWAY);
    struct slice bytes = slice_of(&m, sizeof(m.dial_gateway));
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL); /* no profile */
    memset(m.dial_gateway.profile, 'p', CHANNEL_PROFILE_SIZE);
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL); /* no end */
    m.dial_gateway.profile[CHANNEL_PROFILE_SIZE - 1] = '\0';
    assert_int_equal(channel_check(bytes, 0), 0);
    m.dial_gateway.profile[3] = '\n';
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
}

static void test_version_and_type_are_checked(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    struct slice bytes = slice_of(&m, sizeof(m.dial_resolver));
    assert_int_equal(channel_check(bytes, 0), 0);
    m.header.version = CHANNEL_VERSION + 1;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.header.version = CHANNEL_VERSION;
    const uint32_t types[] = {0, CHANNEL_RESOLVERS + 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        m.header.type = types[i];
        assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    }
}

static void test_setup_counts_and_ranges_are_bounded(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_SETUP);
    struct slice bytes = slice_of(&m, sizeof(m.setup));
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL); /* no range */
    m.setup.range_count = 1;
    m.setup.ranges[0].bits = 10;
    assert_int_equal(channel_check(bytes, 0), 0);
    m.setup.ranges[0].bits = 31;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.setup.ranges[0].bits = 10;
    m.setup.range_count = CHANNEL_RANGES_MAX + 1;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.setup.range_count = 1;
    m.setup.resolver_count = CHANNEL_RESOLVERS_MAX + 1;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.setup.resolver_count = 0;
    m.setup.flags = 4;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
}

static void test_resolvers_are_bounded_and_printable(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_RESOLVERS);
    struct slice bytes = slice_of(&m, sizeof(m.resolvers));
    assert_int_equal(channel_check(bytes, 0), 0); /* none is fine */
    assert_int_equal(channel_check(bytes, 1), ERR_PROTOCOL);
    m.resolvers.resolver_count = CHANNEL_RESOLVERS_MAX;
    assert_int_equal(channel_check(bytes, 0), 0);
    m.resolvers.resolver_count = CHANNEL_RESOLVERS_MAX + 1;
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.resolvers.resolver_count = 1;
    memset(m.resolvers.resolvers[0], '1', CHANNEL_RESOLVER_SIZE);
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
    m.resolvers.resolvers[0][CHANNEL_RESOLVER_SIZE - 1] = '\0';
    assert_int_equal(channel_check(bytes, 0), 0);
    m.resolvers.resolvers[0][1] = '\033';
    assert_int_equal(channel_check(bytes, 0), ERR_PROTOCOL);
}

static void test_device_brings_its_queues(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_DEVICE);
    struct slice bytes = slice_of(&m, sizeof(m.device));
    m.device.queue_count = 2;
    m.device.mtu = 1500;
    m.device.uid_count = 1;
    assert_int_equal(channel_check(bytes, 3), 0);
    assert_int_equal(channel_check(bytes, 2), ERR_PROTOCOL);
    m.device.uid_count = 0;
    assert_int_equal(channel_check(bytes, 3), ERR_PROTOCOL);
    m.device.uid_count = 1;
    m.device.mtu = 1279;
    assert_int_equal(channel_check(bytes, 3), ERR_PROTOCOL);
    m.device.mtu = 1280;
    m.device.queue_count = CHANNEL_QUEUES_MAX + 1;
    assert_int_equal(channel_check(bytes, CHANNEL_QUEUES_MAX + 2), ERR_PROTOCOL);
}

static void test_an_invalid_message_is_not_sent(void **state)
{
    int *pair = *state;
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    channel_init(&m, CHANNEL_DIAL_GATEWAY);
    assert_int_equal(channel_send(pair[0], &m, NULL, 0), ERR_INVAL);
    dialed_ok(&m);
    assert_int_equal(channel_send(pair[0], &m, NULL, 0), ERR_INVAL);
    assert_int_equal(channel_recv(pair[1], &m, fds, &count), ERR_AGAIN);
    assert_true(is_open(pair[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_message_arrives_whole_with_its_descriptor, setup_pair,
                                        teardown_pair),
        cmocka_unit_test_setup_teardown(test_empty_channel_would_block_and_closed_one_says_so,
                                        setup_pair, teardown_pair),
        cmocka_unit_test_setup_teardown(test_descriptors_of_a_refused_message_are_closed,
                                        setup_pair, teardown_pair),
        cmocka_unit_test_setup_teardown(test_every_wrong_length_is_refused, setup_pair,
                                        teardown_pair),
        cmocka_unit_test(test_dialed_has_a_descriptor_exactly_when_it_succeeded),
        cmocka_unit_test(test_texts_end_and_are_printable),
        cmocka_unit_test(test_version_and_type_are_checked),
        cmocka_unit_test(test_setup_counts_and_ranges_are_bounded),
        cmocka_unit_test(test_resolvers_are_bounded_and_printable),
        cmocka_unit_test(test_device_brings_its_queues),
        cmocka_unit_test_setup_teardown(test_an_invalid_message_is_not_sent, setup_pair,
                                        teardown_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
