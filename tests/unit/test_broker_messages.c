/* The broker's messages: what is sent arrives, and nothing that breaks a rule does. */
#include "testing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "broker/messages.h"
#include "platform/fdpass.h"

static const struct {
    enum broker_type type;
    size_t size;
    size_t fds;
} kinds[] = {
    {BROKER_HELLO, sizeof(struct broker_hello), 0},
    {BROKER_WELCOME, sizeof(struct broker_welcome), 0},
    {BROKER_REFUSED, sizeof(struct broker_refused), 0},
    {BROKER_START, sizeof(struct broker_start), 3},
    {BROKER_STARTED, sizeof(struct broker_started), 0},
    {BROKER_CONFIGURE, sizeof(struct broker_start), 0},
    {BROKER_CONFIGURED, sizeof(struct broker_started), 0},
    {BROKER_STOP, sizeof(struct broker_header), 0},
    {BROKER_STOPPED, sizeof(struct broker_header), 0},
    {BROKER_STATUS, sizeof(struct broker_header), 0},
    {BROKER_STATUS_REPLY, sizeof(struct broker_status_reply), 0},
    {BROKER_CLEANUP, sizeof(struct broker_header), 0},
    {BROKER_CLEANED, sizeof(struct broker_cleaned), 0},
    {BROKER_GET_LOG, sizeof(struct broker_header), 0},
    {BROKER_LOG, sizeof(struct broker_header), 1},
    {BROKER_EVENT, sizeof(struct broker_event), 0},
};

/* Good ones of every type. */
static void fill(union broker_message *m, enum broker_type type)
{
    broker_message_init(m, type);
    switch (type) {
    case BROKER_HELLO:
        broker_text_set(m->hello.version, sizeof(m->hello.version), "1.0");
        break;
    case BROKER_WELCOME:
        broker_text_set(m->welcome.version, sizeof(m->welcome.version), "1.0");
        broker_text_set(m->welcome.dns_backend, sizeof(m->welcome.dns_backend), "none");
        m->welcome.range_count = 1;
        m->welcome.ranges[0] = (struct broker_range){.addr = {100, 64, 0, 0}, .bits = 10};
        break;
    case BROKER_REFUSED:
        m->refused.err = ERR_DENIED;
        broker_text_set(m->refused.text, sizeof(m->refused.text), "No");
        break;
    case BROKER_START:
    case BROKER_CONFIGURE:
        m->start.network.mtu = 1280;
        m->start.network.ipv6_prefix[0] = 0xfd;
        m->start.network.range_count = 1;
        m->start.network.ranges[0] = (struct broker_range){.addr = {10, 0, 0, 0}, .bits = 8};
        m->start.network.zone_count = 1;
        broker_text_set(m->start.network.zones[0], BROKER_ZONE_SIZE, "corp.example");
        break;
    case BROKER_STARTED:
    case BROKER_CONFIGURED:
        broker_text_set(m->started.interface_name, BROKER_INTERFACE_SIZE, "stile0");
        broker_text_set(m->started.dns_backend, BROKER_BACKEND_SIZE, "file");
        m->started.resolvers.count = 1;
        broker_text_set(m->started.resolvers.addrs[0], BROKER_RESOLVER_SIZE, "10.0.0.1");
        break;
    case BROKER_STATUS_REPLY:
        broker_text_set(m->status_reply.version, sizeof(m->status_reply.version), "1.0");
        broker_text_set(m->status_reply.dns_backend, BROKER_BACKEND_SIZE, "file");
        m->status_reply.session_count = 1;
        broker_text_set(m->status_reply.sessions[0].interface_name, BROKER_INTERFACE_SIZE,
                        "stile0");
        break;
    case BROKER_CLEANED:
        m->cleaned.total = m->cleaned.count = 1;
        broker_text_set(m->cleaned.lines[0], sizeof(m->cleaned.lines[0]), "Removed it");
        break;
    case BROKER_EVENT:
        m->event.kind = BROKER_EVENT_NETWORK;
        break;
    default:
        break;
    }
}

static int check(const union broker_message *m, size_t i)
{
    return broker_message_check(slice_of(m, kinds[i].size), kinds[i].fds);
}

static void test_every_type_has_one_size_and_one_number_of_descriptors(void **state)
{
    (void)state;
    static union broker_message m;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        fill(&m, kinds[i].type);
        assert_int_equal(check(&m, i), 0);
        for (size_t size = 0; size <= sizeof(m); size += size < 64 ? 1 : 7)
            if (size != kinds[i].size)
                assert_int_equal(broker_message_check(slice_of(&m, size), kinds[i].fds),
                                 ERR_PROTOCOL);
        for (size_t fds = 0; fds < 5; fds++)
            if (fds != kinds[i].fds)
                assert_int_equal(broker_message_check(slice_of(&m, kinds[i].size), fds),
                                 ERR_PROTOCOL);
    }
}

static void test_protocol_type_and_unused_bytes_are_checked(void **state)
{
    (void)state;
    static union broker_message m;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        fill(&m, kinds[i].type);
        m.header.protocol++;
        assert_int_equal(check(&m, i), ERR_PROTOCOL);
        fill(&m, kinds[i].type);
        m.header.zero = 1;
        assert_int_equal(check(&m, i), ERR_PROTOCOL);
        fill(&m, kinds[i].type);
        m.header.type = 0;
        assert_int_equal(check(&m, i), ERR_PROTOCOL);
        m.header.type = BROKER_EVENT + 1;
        assert_int_equal(check(&m, i), ERR_PROTOCOL);
        m.header.type = UINT32_MAX;
        assert_int_equal(check(&m, i), ERR_PROTOCOL);
    }
}

#define BROKEN(kind, change)                                                                       \
    do {                                                                                           \
        fill(&m, (kind));                                                                          \
        assert_int_equal(broker_message_check(slice_of(&m, size_of(kind)), fds_of(kind)), 0);      \
        change;                                                                                    \
        assert_int_equal(broker_message_check(slice_of(&m, size_of(kind)), fds_of(kind)),          \
                         ERR_PROTOCOL);                                                            \
    } while (0)

static size_t size_of(enum broker_type type)
{
    return kinds[type - 1].size;
}

static size_t fds_of(enum broker_type type)
{
    return kinds[type - 1].fds;
}

static void test_texts_end_are_printable_and_hide_nothing(void **state)
{
    (void)state;
    static union broker_message m;
    BROKEN(BROKER_HELLO, memset(m.hello.version, 'a', sizeof(m.hello.version)));
    BROKEN(BROKER_HELLO, m.hello.version[0] = '\0');
    BROKEN(BROKER_HELLO, m.hello.version[1] = '\n');
    BROKEN(BROKER_HELLO, m.hello.version[20] = 'x');
    BROKEN(BROKER_REFUSED, m.refused.text[1] = 0x1b);
    BROKEN(BROKER_STARTED, m.started.notice[1] = 'x');
    BROKEN(BROKER_EVENT, m.event.text[0] = 0x7f);
}

static void test_networks_that_break_a_rule_are_refused(void **state)
{
    (void)state;
    static union broker_message m;
    struct broker_network *n = &m.start.network;
    BROKEN(BROKER_START, n->flags = 8);
    BROKEN(BROKER_START, n->flags = BROKER_NO_IPV4 | BROKER_NO_IPV6);
    BROKEN(BROKER_START, n->mtu = 1279);
    BROKEN(BROKER_START, n->mtu = 65536);
    BROKEN(BROKER_START, n->ipv6_prefix[0] = 0x20);
    BROKEN(BROKER_START, n->zero[1] = 1);
    BROKEN(BROKER_START, n->range_count = 0);
    BROKEN(BROKER_START, n->range_count = BROKER_RANGES_MAX + 1);
    BROKEN(BROKER_START, n->range_count = UINT32_MAX);
    BROKEN(BROKER_START, n->ranges[0].bits = 7);
    BROKEN(BROKER_START, n->ranges[0].bits = 31);
    BROKEN(BROKER_START, n->ranges[0].addr[3] = 1);
    BROKEN(BROKER_START, n->ranges[1].bits = 8);
    BROKEN(BROKER_START, n->uid_count = BROKER_UIDS_MAX + 1);
    BROKEN(BROKER_START, n->uids[0] = 1);
    BROKEN(BROKER_START, n->zone_count = 0);
    BROKEN(BROKER_START, n->zone_count = 2);
    BROKEN(BROKER_START, n->zone_count = BROKER_ZONES_MAX + 1);
    BROKEN(BROKER_START, n->zones[0][0] = 'C');
    BROKEN(BROKER_START, n->zones[0][0] = '.');
    BROKEN(BROKER_START, n->zones[0][11] = '.');
    BROKEN(BROKER_START, n->zones[0][3] = ' ');
    BROKEN(BROKER_CONFIGURE, memset(n->zones[0], 'a', BROKER_ZONE_SIZE));
}

static void test_answers_that_break_a_rule_are_refused(void **state)
{
    (void)state;
    static union broker_message m;
    BROKEN(BROKER_REFUSED, m.refused.err = 0);
    BROKEN(BROKER_REFUSED, m.refused.err = 5);
    BROKEN(BROKER_REFUSED, m.refused.err = -1000);
    BROKEN(BROKER_STARTED, m.started.flags = BROKER_DEBUG);
    BROKEN(BROKER_STARTED, m.started.resolvers.count = 2);
    BROKEN(BROKER_STARTED, m.started.resolvers.count = 9);
    BROKEN(BROKER_STATUS_REPLY, m.status_reply.session_count = BROKER_SESSIONS_MAX + 1);
    BROKEN(BROKER_STATUS_REPLY, m.status_reply.sessions[1].pid = 1);
    BROKEN(BROKER_CLEANED, m.cleaned.count = 2);
    BROKEN(BROKER_CLEANED, m.cleaned.count = BROKER_CLEANED_MAX + 1);
    BROKEN(BROKER_EVENT, m.event.kind = 0);
    BROKEN(BROKER_EVENT, m.event.kind = BROKER_EVENT_RESTORED + 1);
    BROKEN(BROKER_EVENT, m.header.id = 1);
    BROKEN(BROKER_EVENT, m.event.resolvers.count = 1);
}

static void test_text_is_cut_and_made_printable(void **state)
{
    (void)state;
    char text[8];
    memset(text, 'z', sizeof(text));
    broker_text_set(text, sizeof(text),
                    "a\nb\xc3\xa9"
                    "cdefgh");
    assert_string_equal(text, "a?b??cd");
    broker_text_set(text, sizeof(text), "a");
    assert_memory_equal(text, "a\0\0\0\0\0\0\0", sizeof(text));
}

static void test_message_arrives_with_its_descriptors(void **state)
{
    (void)state;
    static union broker_message m, in;
    int pair[2], fds[BROKER_START_FDS];
    size_t count = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    fill(&m, BROKER_START);
    const int sent[] = {pair[0], pair[0], pair[0]};
    assert_int_equal(broker_message_send(pair[0], &m, sent, 3), 0);
    assert_int_equal(broker_message_recv(pair[1], &in, fds, &count), 0);
    assert_int_equal(count, 3);
    assert_memory_equal(&in, &m, sizeof(m));
    fdpass_close(fds, count);
    assert_int_equal(broker_message_send(pair[0], &m, sent, 2), ERR_INVAL);
    assert_int_equal(broker_message_recv(pair[1], &in, fds, &count), ERR_AGAIN);
    close(pair[0]);
    assert_int_equal(broker_message_recv(pair[1], &in, fds, &count), ERR_CLOSED);
    assert_int_equal(broker_message_recv_bare(pair[1], &in), ERR_CLOSED);
    close(pair[1]);
}

static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void test_descriptors_of_a_stranger_never_arrive(void **state)
{
    (void)state;
    static union broker_message m, in;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    int before = next_fd();
    fill(&m, BROKER_HELLO);
    const int sent[] = {pair[0], pair[0]};
    assert_int_equal(fdpass_send(pair[0], slice_of(&m, sizeof(m.hello)), sent, 2), 0);
    assert_int_equal(broker_message_recv_bare(pair[1], &in), 0);
    assert_int_equal(in.header.type, BROKER_HELLO);
    assert_int_equal(next_fd(), before);
    fill(&m, BROKER_START);
    const int three[] = {pair[0], pair[0], pair[0]};
    assert_int_equal(broker_message_send(pair[0], &m, three, 3), 0);
    assert_int_equal(broker_message_recv_bare(pair[1], &in), ERR_PROTOCOL);
    assert_int_equal(next_fd(), before);
    fdpass_close(pair, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_one_size_and_one_number_of_descriptors),
        cmocka_unit_test(test_protocol_type_and_unused_bytes_are_checked),
        cmocka_unit_test(test_texts_end_are_printable_and_hide_nothing),
        cmocka_unit_test(test_networks_that_break_a_rule_are_refused),
        cmocka_unit_test(test_answers_that_break_a_rule_are_refused),
        cmocka_unit_test(test_text_is_cut_and_made_printable),
        cmocka_unit_test(test_message_arrives_with_its_descriptors),
        cmocka_unit_test(test_descriptors_of_a_stranger_never_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
