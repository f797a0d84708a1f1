/* Any bytes as an IP packet: parsed without reading outside, every part inside the whole, and what we answer is itself a
 * good packet. The first byte chooses between addresses as text and packets. */
#include <stdlib.h>
#include <string.h>

#include "net/checksum.h"
#include "net/icmp.h"
#include "net/tcp_segment.h"
#include "net/udp.h"

static void check(bool good)
{
    if (!good)
        abort();
}

static bool is_inside(struct slice part, struct slice whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_answer(const uint8_t *bytes, size_t len)
{
    struct ip_packet p;
    check(ip_parse(slice_of(bytes, len), &p) == 0);
    check(p.whole.len == len && checksum_l4_is_good(&p));
}

static void try_answers(const struct ip_packet *p)
{
    static uint8_t answer[70000];
    size_t len;
    if (icmp_write_echo_reply(answer, sizeof answer, p, &len) == 0)
        check_answer(answer, len);
    if (icmp_write_unreachable(answer, sizeof answer, p, ICMP_PORT_UNREACHABLE, &len) == 0) {
        check(len <= ICMP_ERROR_MAX);
        check_answer(answer, len);
    }
}

static void try_transport(const struct ip_packet *p)
{
    static uint8_t copy[70000];
    struct udp_datagram d;
    struct tcp_segment s;
    struct tcp_offer offer;
    struct tcp_block blocks[TCP_SACK_MAX];
    size_t len;
    if (udp_parse(p, &d) == 0) {
        check(is_inside(d.payload, p->l4));
        if (udp_write(copy, sizeof copy, &d, &len) == 0)
            check_answer(copy, len);
    }
    if (tcp_segment_parse(p->l4, &s) == 0) {
        check(is_inside(s.payload, p->l4) && is_inside(s.options, p->l4));
        tcp_options_parse_syn(s.options, &offer);
        check(tcp_options_parse_sack(s.options, blocks) <= TCP_SACK_MAX);
    }
    (void)checksum_l4_is_good(p);
}

/* What is read as an address is written and read back as the same. */
static void try_text(struct slice bytes)
{
    char text[100] = {0};
    char again[IP_ENDPOINT_TEXT_SIZE];
    struct ip_addr a;
    struct ip_addr b;
    struct ip_endpoint e;
    struct ip_endpoint f;
    memcpy(text, bytes.data, MIN(bytes.len, sizeof text - 1));
    if (ip_addr_parse(text, &a) == 0) {
        ip_addr_format(&a, again);
        check(ip_addr_parse(again, &b) == 0 && ip_addr_eq(&a, &b));
    }
    if (ip_endpoint_parse(text, &e) == 0) {
        ip_endpoint_format(&e, again);
        check(ip_endpoint_parse(again, &f) == 0 && ip_endpoint_eq(&e, &f));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_packet p;
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] == 't') {
        if (bytes.len > 0)
            try_text(bytes);
    } else if (ip_parse(bytes, &p) == 0) {
        check(is_inside(p.whole, bytes) && is_inside(p.l4, p.whole));
        try_answers(&p);
        try_transport(&p);
    }
    return 0;
}
