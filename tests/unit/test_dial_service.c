/* The dial channel's agent side: what is connected for an engine, what isn't, and how its end is noticed. */
#include "testing.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/dial_service.h"
#include "base/clock.h"
#include "loop/listener.h"
#include "profile_maker.h"
#include "temp_dir.h"

struct fixture {
    char path[TEMP_DIR_SIZE];
    struct home home;
    struct loop loop;
    struct clusters *clusters;
    struct dial_service *service;
    struct channel_setup setup;
    int engine; /* the other end */
    int listener;
    uint16_t port;
    int closed;
    char reason[128];
};

static void on_profile(void *arg, const char *profile)
{
    (void)arg;
    (void)profile;
}

static void on_change(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, const char *reason)
{
    struct fixture *f = arg;
    f->closed++;
    assert_int_equal(str_copy(f->reason, sizeof(f->reason), reason), 0);
}

static void set_up_network(struct fixture *f)
{
    union channel_message m;
    channel_init(&m, CHANNEL_SETUP);
    m.setup.ipv6_prefix[0] = 0xfd;
    m.setup.range_count = 1;
    m.setup.ranges[0] = (struct channel_range){.addr = {100, 64, 0, 0}, .bits = 10};
    m.setup.resolver_count = 1;
    assert_int_equal(str_copy(m.setup.resolvers[0], CHANNEL_RESOLVER_SIZE, "127.0.0.1"), 0);
    f->setup = m.setup;
}

static int setup(void **state)
{
    static struct fixture f;
    static const struct clusters_events events = {.on_profile = on_profile, .on_change = on_change};
    char gateway[32];
    int pair[2];
    memset(&f, 0, sizeof(f));
    *state = &f;
    temp_dir_make(f.path);
    assert_int_equal(home_open(f.path, &f.home, NULL), 0);
    assert_int_equal(loop_init(&f.loop), 0);
    assert_int_equal(listener_open_tcp("127.0.0.1", 0, &f.listener, &f.port, NULL), 0);
    (void)str_format(gateway, sizeof(gateway), "127.0.0.1:%u", (unsigned)f.port);
    /* Expired: the clusters don't ask it for its apps. */
    profile_put(&f.home, "demo", "alice", gateway, -10);
    assert_int_equal(clusters_new(&f.loop, &f.home, NULL, &events, &f, &f.clusters, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    f.engine = pair[1];
    set_up_network(&f);
    const struct dial_service_config config = {.loop = &f.loop,
                                               .clusters = f.clusters,
                                               .setup = &f.setup,
                                               .resolvers_of_setup = true,
                                               .on_closed = on_closed,
                                               .arg = &f};
    return dial_service_new(pair[0], &config, &f.service);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dial_service_free(f->service);
    clusters_free(f->clusters);
    if (f->engine >= 0)
        close(f->engine);
    if (f->listener >= 0)
        close(f->listener);
    loop_run(&f->loop);
    int r = loop_release(&f->loop);
    home_close(&f->home);
    temp_dir_remove(f->path);
    return r;
}

/* The next message from the agent. */
static size_t receive(struct fixture *f, union channel_message *m, int fds[CHANNEL_FDS_MAX])
{
    size_t count = 0;
    uint64_t end = clock_mono_ns() + 30 * NS_PER_S;
    int r = ERR_AGAIN;
    while (r == ERR_AGAIN && clock_mono_ns() < end) {
        loop_turn(&f->loop, false);
        r = channel_recv(f->engine, m, fds, &count);
    }
    assert_int_equal(r, 0);
    return count;
}

static void take_setup(struct fixture *f)
{
    union channel_message m = {0};
    int fds[CHANNEL_FDS_MAX] = {-1};
    assert_int_equal(receive(f, &m, fds), 0);
    assert_int_equal(m.header.type, CHANNEL_SETUP);
    assert_memory_equal(&m.setup, &f->setup, sizeof(m.setup));
}

static int dialed(struct fixture *f, uint32_t id, int *fd, char reason[CHANNEL_REASON_SIZE])
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX] = {-1};
    size_t count = receive(f, &m, fds);
    assert_int_equal(m.header.type, CHANNEL_DIALED);
    assert_int_equal(m.dialed.id, id);
    assert_int_equal(count, m.dialed.err == 0 ? 1 : 0);
    *fd = count == 1 ? fds[0] : -1;
    (void)str_format(reason, CHANNEL_REASON_SIZE, "%s", m.dialed.reason);
    return m.dialed.err;
}

static void ask_gateway(struct fixture *f, uint32_t id, const char *profile)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_GATEWAY);
    m.dial_gateway.id = id;
    assert_int_equal(str_copy(m.dial_gateway.profile, sizeof(m.dial_gateway.profile), profile), 0);
    assert_int_equal(channel_send(f->engine, &m, NULL, 0), 0);
}

static void ask_resolver(struct fixture *f, uint32_t id, uint32_t index, enum channel_transport how)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    m.dial_resolver.id = id;
    m.dial_resolver.index = index;
    m.dial_resolver.transport = (uint32_t)how;
    assert_int_equal(channel_send(f->engine, &m, NULL, 0), 0);
}

static void a_gateway_is_dialled_by_the_name_of_its_profile(void **state)
{
    struct fixture *f = *state;
    char reason[CHANNEL_REASON_SIZE];
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    int fd = -1;
    take_setup(f);
    ask_gateway(f, 7, "demo");
    assert_int_equal(dialed(f, 7, &fd, reason), 0);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
    assert_int_equal(ntohs(peer.sin_port), f->port);
    close(fd);
}

static void a_profile_that_is_not_there_is_not_dialled(void **state)
{
    struct fixture *f = *state;
    char reason[CHANNEL_REASON_SIZE];
    int fd = -1;
    take_setup(f);
    ask_gateway(f, 8, "../demo");
    assert_int_equal(dialed(f, 8, &fd, reason), ERR_AUTH);
    assert_non_null(strstr(reason, "stile login"));
}

static void a_gateway_that_is_down_is_told_with_the_reason(void **state)
{
    struct fixture *f = *state;
    char reason[CHANNEL_REASON_SIZE];
    int fd = -1;
    take_setup(f);
    close(f->listener);
    f->listener = -1;
    ask_gateway(f, 9, "demo");
    assert_int_equal(dialed(f, 9, &fd, reason), ERR_REFUSED);
    assert_non_null(strstr(reason, "refused"));
}

static void a_resolver_gets_a_connected_udp_socket(void **state)
{
    struct fixture *f = *state;
    char reason[CHANNEL_REASON_SIZE];
    int fd = -1, type = 0;
    socklen_t len = sizeof(type);
    take_setup(f);
    ask_resolver(f, 10, 0, CHANNEL_UDP);
    int err = dialed(f, 10, &fd, reason);
    if (err != 0)
        skip(); /* no route to the resolver of this machine */
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
    assert_int_equal(type, SOCK_DGRAM);
    struct sockaddr_storage peer;
    len = sizeof(peer);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
    close(fd);
}

static void a_resolver_that_was_not_offered_is_refused(void **state)
{
    struct fixture *f = *state;
    char reason[CHANNEL_REASON_SIZE];
    int fd = -1;
    take_setup(f);
    ask_resolver(f, 11, 1, CHANNEL_UDP);
    assert_int_equal(dialed(f, 11, &fd, reason), ERR_NOTFOUND);
}

static void changed_resolvers_are_told_and_dialled(void **state)
{
    struct fixture *f = *state;
    union channel_message m;
    int fds[CHANNEL_FDS_MAX] = {-1};
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof(peer);
    take_setup(f);
    f->setup.resolver_count = 2;
    assert_int_equal(str_copy(f->setup.resolvers[1], CHANNEL_RESOLVER_SIZE, "127.0.0.77"), 0);
    dial_service_resolvers_changed(f->service);
    assert_int_equal(receive(f, &m, fds), 0);
    assert_int_equal(m.header.type, CHANNEL_RESOLVERS);
    assert_int_equal(m.resolvers.resolver_count, 2);
    assert_string_equal(m.resolvers.resolvers[1], "127.0.0.77");
    ask_resolver(f, 5, 1, CHANNEL_UDP);
    int fd = -1;
    char reason[CHANNEL_REASON_SIZE];
    assert_int_equal(dialed(f, 5, &fd, reason), 0);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x7f00004d);
    close(fd);
}

static void turn_until_closed(struct fixture *f)
{
    uint64_t end = clock_mono_ns() + 30 * NS_PER_S;
    while (f->closed == 0 && clock_mono_ns() < end)
        loop_turn(&f->loop, false);
    assert_int_equal(f->closed, 1);
}

static void the_engines_end_is_noticed(void **state)
{
    struct fixture *f = *state;
    take_setup(f);
    close(f->engine);
    f->engine = -1;
    turn_until_closed(f);
    assert_string_equal(f->reason, "it has ended");
}

static void a_message_of_another_length_ends_the_channel(void **state)
{
    struct fixture *f = *state;
    take_setup(f);
    assert_int_equal(send(f->engine, "short", 5, 0), 5);
    turn_until_closed(f);
    assert_non_null(strstr(f->reason, "rules"));
}

static void a_message_that_only_the_agent_may_send_ends_the_channel(void **state)
{
    struct fixture *f = *state;
    union channel_message m;
    take_setup(f);
    m.setup = f->setup;
    assert_int_equal(channel_send(f->engine, &m, NULL, 0), 0);
    turn_until_closed(f);
    assert_non_null(strstr(f->reason, "may not send"));
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_gateway_is_dialled_by_the_name_of_its_profile),
        WITH(a_profile_that_is_not_there_is_not_dialled),
        WITH(a_gateway_that_is_down_is_told_with_the_reason),
        WITH(a_resolver_gets_a_connected_udp_socket),
        WITH(changed_resolvers_are_told_and_dialled),
        WITH(a_resolver_that_was_not_offered_is_refused),
        WITH(the_engines_end_is_noticed),
        WITH(a_message_of_another_length_ends_the_channel),
        WITH(a_message_that_only_the_agent_may_send_ends_the_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
