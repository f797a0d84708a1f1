/* The dial channel: answers find their questions, sockets nobody wants are closed, and the channel's end fails what waits. The agent is
 * the test.
 */
#include "testing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/dial_channel.h"

struct outcome {
    unsigned count;
    int err;
    int fd;
    char reason[CHANNEL_REASON_SIZE];
};

struct world {
    struct loop loop;
    struct dial_channel *channel;
    int agent;
    unsigned setups;
    unsigned resolvers; /* of the last message */
    unsigned closed;
    int closed_err;
};

static struct world w;

static void on_dialed(void *arg, int err, int fd, const char *reason)
{
    struct outcome *o = arg;
    o->count++;
    o->err = err;
    o->fd = fd;
    assert_true(strlen(reason) < sizeof(o->reason));
    memcpy(o->reason, reason, strlen(reason) + 1);
}

static void on_setup(void *arg, const struct channel_setup *setup)
{
    (void)arg;
    assert_int_equal(setup->range_count, 1);
    w.setups++;
}

static void on_resolvers(void *arg, const struct channel_resolvers *resolvers)
{
    (void)arg;
    w.resolvers = resolvers->resolver_count;
}

static void on_closed(void *arg, int err)
{
    (void)arg;
    w.closed++;
    w.closed_err = err;
}

static const struct dial_channel_events events = {
    .on_setup = on_setup, .on_resolvers = on_resolvers, .on_closed = on_closed};

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        loop_turn(&w.loop, false);
}

static void send_setup(void)
{
    union channel_message m;
    channel_init(&m, CHANNEL_SETUP);
    m.setup.range_count = 1;
    m.setup.ranges[0].bits = 10;
    assert_int_equal(channel_send(w.agent, &m, NULL, 0), 0);
    turn();
}

static int setup(void **state)
{
    int pair[2];
    (void)state;
    memset(&w, 0, sizeof(w));
    assert_int_equal(loop_init(&w.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    w.agent = pair[0];
    assert_int_equal(dial_channel_new(&w.loop, pair[1], &events, NULL, &w.channel), 0);
    send_setup();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dial_channel_free(w.channel);
    turn();
    if (w.agent >= 0)
        close(w.agent);
    assert_int_equal(loop_release(&w.loop), 0);
    return 0;
}

/* The next question. */
static union channel_message question(void)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    assert_int_equal(channel_recv(w.agent, &m, fds, &count), 0);
    return m;
}

static void answer(uint32_t id, int err, int fd)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIALED);
    m.dialed.id = id;
    m.dialed.err = err;
    if (err < 0)
        memcpy(m.dialed.reason, "no route", sizeof("no route"));
    assert_int_equal(channel_send(w.agent, &m, &fd, err == 0 ? 1 : 0), 0);
    turn();
}

static void answers_find_their_questions_in_any_order(void **state)
{
    (void)state;
    struct outcome first = {0}, second = {0};
    int pipes[2];
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &first, NULL), 0);
    assert_int_equal(dial_channel_resolver(w.channel, 3, CHANNEL_TCP, on_dialed, &second, NULL), 0);
    union channel_message a = question();
    union channel_message b = question();
    assert_int_equal(a.header.type, CHANNEL_DIAL_GATEWAY);
    assert_string_equal(a.dial_gateway.profile, "demo");
    assert_int_equal(b.header.type, CHANNEL_DIAL_RESOLVER);
    assert_int_equal(b.dial_resolver.index, 3);
    assert_int_equal(b.dial_resolver.transport, CHANNEL_TCP);
    assert_int_equal(first.count + second.count, 0);
    assert_int_equal(pipe(pipes), 0);
    answer(b.dial_resolver.id, 0, pipes[1]);
    assert_int_equal(second.count, 1);
    assert_int_equal(first.count, 0);
    assert_int_equal(write(second.fd, "x", 1), 1);
    answer(a.dial_gateway.id, ERR_UNREACHABLE, -1);
    assert_int_equal(first.count, 1);
    assert_int_equal(first.err, ERR_UNREACHABLE);
    assert_int_equal(first.fd, -1);
    assert_string_equal(first.reason, "no route");
    close(second.fd);
    close(pipes[0]);
    close(pipes[1]);
}

static void a_socket_for_a_cancelled_dial_is_closed(void **state)
{
    (void)state;
    struct outcome o = {0};
    int pipes[2];
    uint32_t id = 0;
    char c;
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &o, &id), 0);
    assert_int_equal(question().dial_gateway.id, id);
    dial_channel_cancel(w.channel, id);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    answer(id, 0, pipes[1]);
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &c, 1), 0); /* no writer is left */
    assert_int_equal(o.count, 0);
    close(pipes[0]);
}

static void an_answer_comes_once(void **state)
{
    (void)state;
    struct outcome o = {0};
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &o, NULL), 0);
    uint32_t id = question().dial_gateway.id;
    answer(id, ERR_TIMEOUT, -1);
    answer(id, ERR_TIMEOUT, -1);
    assert_int_equal(o.count, 1);
    assert_int_equal(w.closed, 0);
}

static void the_agents_end_fails_what_waits(void **state)
{
    (void)state;
    struct outcome o = {0};
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &o, NULL), 0);
    close(w.agent);
    w.agent = -1;
    turn();
    assert_int_equal(o.count, 1);
    assert_int_equal(o.err, ERR_CLOSED);
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.closed_err, ERR_CLOSED);
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &o, NULL), ERR_CLOSED);
}

static void a_message_that_has_no_place_here_ends_the_channel(void **state)
{
    (void)state;
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    assert_int_equal(channel_send(w.agent, &m, NULL, 0), 0);
    turn();
    assert_int_equal(w.closed, 1);
    assert_int_equal(w.closed_err, ERR_PROTOCOL);
}

static void a_second_setup_ends_the_channel(void **state)
{
    (void)state;
    assert_int_equal(w.setups, 1);
    send_setup();
    assert_int_equal(w.setups, 1);
    assert_int_equal(w.closed_err, ERR_PROTOCOL);
}

static void send_resolvers(uint32_t count)
{
    union channel_message m;
    channel_init(&m, CHANNEL_RESOLVERS);
    m.resolvers.resolver_count = count;
    assert_int_equal(channel_send(w.agent, &m, NULL, 0), 0);
    turn();
}

static void resolvers_may_change_any_time_after_the_setup(void **state)
{
    (void)state;
    send_resolvers(3);
    assert_int_equal(w.resolvers, 3);
    send_resolvers(1);
    assert_int_equal(w.resolvers, 1);
    assert_int_equal(w.closed, 0);
}

static void freeing_fails_what_waits(void **state)
{
    (void)state;
    struct outcome o = {0};
    assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &o, NULL), 0);
    dial_channel_free(STEAL(w.channel));
    assert_int_equal(o.count, 1);
    assert_int_equal(o.err, ERR_CANCELED);
    turn();
    assert_int_equal(w.closed, 0);
}

/* More than the socket holds: the rest waits until the agent reads. */
static void many_dials_at_once_are_all_asked(void **state)
{
    (void)state;
    static struct outcome outcomes[1000];
    memset(outcomes, 0, sizeof(outcomes));
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        assert_int_equal(dial_channel_gateway(w.channel, "demo", on_dialed, &outcomes[i], NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        turn();
        answer(question().dial_gateway.id, ERR_REFUSED, -1);
        assert_int_equal(outcomes[i].count, 1);
    }
}

static void a_profile_that_is_too_long_is_the_callers_mistake(void **state)
{
    (void)state;
    struct outcome o = {0};
    char name[CHANNEL_PROFILE_SIZE + 1];
    memset(name, 'p', sizeof(name));
    name[CHANNEL_PROFILE_SIZE] = '\0';
    assert_int_equal(dial_channel_gateway(w.channel, name, on_dialed, &o, NULL), ERR_TOOBIG);
    assert_int_equal(o.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_find_their_questions_in_any_order),
        TEST(a_socket_for_a_cancelled_dial_is_closed),
        TEST(an_answer_comes_once),
        TEST(the_agents_end_fails_what_waits),
        TEST(a_message_that_has_no_place_here_ends_the_channel),
        TEST(a_second_setup_ends_the_channel),
        TEST(resolvers_may_change_any_time_after_the_setup),
        TEST(freeing_fails_what_waits),
        TEST(many_dials_at_once_are_all_asked),
        TEST(a_profile_that_is_too_long_is_the_callers_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
