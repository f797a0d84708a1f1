/* IP packets as a program's kernel would send them, made by hand, and a link that a test holds the other end of. */
#ifndef STILE_TESTS_UNIT_PACKETS_H
#define STILE_TESTS_UNIT_PACKETS_H

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/link.h"
#include "net/checksum.h"
#include "net/ip.h"
#include "net/tcp.h"
#include "net/udp.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
    uint8_t bytes[2048];
    size_t len;
};

struct segment {
    struct ip_endpoint src, dst;
    uint32_t seq, ack;
    uint8_t flags;
    struct slice payload;
};

static inline struct ip_endpoint endpoint(const char *text)
{
    struct ip_endpoint e;
    assert_int_equal(ip_endpoint_parse(text, &e), 0);
    return e;
}

static inline struct packet tcp_packet_of(const struct segment *s)
{
    struct packet p = {.len = 0};
    uint8_t head[TCP_HEADER_SIZE];
    struct wr w = wr_init(head, sizeof(head));
    wr_u16(&w, s->src.port);
    wr_u16(&w, s->dst.port);
    wr_u32(&w, s->seq);
    wr_u32(&w, s->ack);
    wr_u8(&w, 5 << 4);
    wr_u8(&w, s->flags);
    wr_u16(&w, 65535);
    wr_u32(&w, 0);
    size_t l4_len = sizeof(head) + s->payload.len;
    p.len = ip_write_header(p.bytes, &s->src.addr, &s->dst.addr, IP_TCP, l4_len);
    struct checksum c = {0};
    checksum_add_pseudo(&c, &s->src.addr, &s->dst.addr, IP_TCP, l4_len);
    checksum_add(&c, slice_of(head, sizeof(head)));
    checksum_add(&c, s->payload);
    checksum_put(&c, head + 16);
    memcpy(p.bytes + p.len, head, sizeof(head));
    if (s->payload.len > 0)
        memcpy(p.bytes + p.len + sizeof(head), s->payload.data, s->payload.len);
    p.len += l4_len;
    return p;
}

static inline struct segment segment_of(const struct packet *p)
{
    struct ip_packet ip;
    assert_int_equal(ip_parse(slice_of(p->bytes, p->len), &ip), 0);
    assert_int_equal(ip.protocol, IP_TCP);
    assert_true(checksum_l4_is_good(&ip));
    struct rd r = rd_init(ip.l4);
    struct segment s = {.src = {.addr = ip.src}, .dst = {.addr = ip.dst}};
    s.src.port = rd_u16(&r);
    s.dst.port = rd_u16(&r);
    s.seq = rd_u32(&r);
    s.ack = rd_u32(&r);
    size_t head = (size_t)(rd_u8(&r) >> 4) * 4;
    s.flags = rd_u8(&r);
    s.payload = slice_from(ip.l4, head);
    return s;
}

/* A link whose device is a socket pair of messages. */
struct test_link {
    struct link link;
    int outside;                  /* the test's end, non-blocking */
    struct link_meta meta;        /* of every packet read */
    const struct packet *endless; /* if set: read again and again */
};

static inline int test_link_read(struct link *l, uint8_t *buffer, struct link_meta *ret_meta,
                                 struct slice *ret_packet)
{
    struct test_link *t = CONTAINER_OF(l, struct test_link, link);
    ssize_t n = t->endless != NULL ? (ssize_t)t->endless->len
                                   : recv(l->fd, buffer, LINK_BUFFER_SIZE, MSG_DONTWAIT);
    if (t->endless != NULL)
        memcpy(buffer, t->endless->bytes, t->endless->len);
    if (n <= 0)
        return ERR_AGAIN;
    *ret_meta = t->meta;
    *ret_packet = slice_of(buffer, (size_t)n);
    return 0;
}

static inline int test_link_write(struct link *l, const struct link_frame *f)
{
    struct packet p = {.len = 0};
    for (size_t i = 0; i < f->part_count; i++) {
        assert_true(p.len + f->parts[i].len <= sizeof(p.bytes));
        if (f->parts[i].len > 0)
            memcpy(p.bytes + p.len, f->parts[i].data, f->parts[i].len);
        p.len += f->parts[i].len;
    }
    return send(l->fd, p.bytes, p.len, MSG_DONTWAIT) < 0 ? ERR_AGAIN : 0;
}

static inline void test_link_free(struct link *l)
{
    struct test_link *t = CONTAINER_OF(l, struct test_link, link);
    close(l->fd);
    close(t->outside);
    mem_free(t);
}

static inline struct test_link *test_link_new(void)
{
    static const struct link_ops ops = {
        .read = test_link_read, .write = test_link_write, .free = test_link_free};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    struct test_link *t = NEW(struct test_link);
    assert_non_null(t);
    t->link = (struct link){.ops = &ops, .fd = pair[0], .mtu = 1500};
    t->outside = pair[1];
    return t;
}

static inline void link_put(struct test_link *t, const struct packet *p)
{
    assert_int_equal(send(t->outside, p->bytes, p->len, 0), p->len);
}

static inline bool link_get(struct test_link *t, struct packet *ret)
{
    ssize_t n = recv(t->outside, ret->bytes, sizeof(ret->bytes), MSG_DONTWAIT);
    ret->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

#endif
