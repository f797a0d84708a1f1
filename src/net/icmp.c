#include "net/icmp.h"

#include <string.h>

#include "base/err.h"
#include "net/checksum.h"

#define ICMP_HEADER_SIZE 8
#define QUOTE_END_V4     576 /* RFC 1812 §4.3.2.3 */
#define QUOTE_END_V6     1280

enum {
    V4_ECHO_REPLY = 0,
    V4_UNREACHABLE = 3,
    V4_ECHO_REQUEST = 8,
    V6_UNREACHABLE = 1,
    V6_ECHO_REQUEST = 128,
    V6_ECHO_REPLY = 129
};

static uint8_t icmp_protocol(uint8_t version)
{
    return version == 4 ? IP_ICMP : IP_ICMP6;
}

static bool may_be_answered(const struct ip_packet *p)
{
    return !ip_addr_is_multicast(&p->src) && !ip_addr_is_unspecified(&p->src) &&
           !ip_addr_is_multicast(&p->dst) && !ip_addr_is_unspecified(&p->dst);
}

bool icmp_is_echo_request(const struct ip_packet *packet)
{
    return packet->protocol == icmp_protocol(packet->version) &&
           packet->l4.len >= ICMP_HEADER_SIZE &&
           packet->l4.data[0] == (packet->version == 4 ? V4_ECHO_REQUEST : V6_ECHO_REQUEST) &&
           packet->l4.data[1] == 0 && may_be_answered(packet);
}

/* Source and destination of the reply are the packet's, the other way round. */
static size_t write_ip(uint8_t *dst, const struct ip_packet *packet, size_t l4_len)
{
    return ip_write_header(dst, &packet->dst, &packet->src, icmp_protocol(packet->version), l4_len);
}

static void write_checksum(uint8_t *icmp, size_t len, const struct ip_packet *packet)
{
    struct checksum c = {0};
    if (packet->version == 6)
        checksum_add_pseudo(&c, &packet->dst, &packet->src, IP_ICMP6, len);
    memset(icmp + 2, 0, 2);
    checksum_add(&c, slice_of(icmp, len));
    checksum_put(&c, icmp + 2);
}

static size_t ip_size(uint8_t version)
{
    return version == 4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
}

int icmp_write_echo_reply(uint8_t *dst, size_t cap, const struct ip_packet *request,
                          size_t *ret_len)
{
    if (!icmp_is_echo_request(request))
        return ERR_INVAL;
    size_t ip_len = ip_size(request->version);
    if (request->l4.len > UINT16_MAX - IP4_HEADER_SIZE || ip_len + request->l4.len > cap)
        return ERR_TOOBIG;
    (void)write_ip(dst, request, request->l4.len);
    uint8_t *icmp = dst + ip_len;
    memcpy(icmp, request->l4.data, request->l4.len);
    icmp[0] = request->version == 4 ? V4_ECHO_REPLY : V6_ECHO_REPLY;
    write_checksum(icmp, request->l4.len, request);
    *ret_len = ip_len + request->l4.len;
    return 0;
}

static bool is_icmp_error(const struct ip_packet *p)
{
    if (p->protocol != icmp_protocol(p->version))
        return false;
    if (p->l4.len == 0)
        return true;
    uint8_t type = p->l4.data[0];
    if (p->version == 6)
        return type < 128;
    return type == V4_UNREACHABLE || type == 4 || type == 5 || type == 11 || type == 12;
}

static uint8_t unreachable_code(uint8_t version, enum icmp_unreachable why)
{
    switch (why) {
    case ICMP_PORT_UNREACHABLE:
        return version == 4 ? 3 : 4;
    case ICMP_HOST_UNREACHABLE:
        return version == 4 ? 1 : 3;
    default:
        return version == 4 ? 13 : 1;
    }
}

int icmp_write_unreachable(uint8_t *dst, size_t cap, const struct ip_packet *packet,
                           enum icmp_unreachable why, size_t *ret_len)
{
    if (is_icmp_error(packet) || !may_be_answered(packet))
        return ERR_DENIED;
    size_t ip_len = ip_size(packet->version);
    size_t head = ip_len + ICMP_HEADER_SIZE;
    size_t end = packet->version == 4 ? QUOTE_END_V4 : QUOTE_END_V6;
    struct slice quote = slice_first(packet->whole, end - head);
    if (head + quote.len > cap)
        return ERR_TOOBIG;
    (void)write_ip(dst, packet, ICMP_HEADER_SIZE + quote.len);
    uint8_t *icmp = dst + ip_len;
    memset(icmp, 0, ICMP_HEADER_SIZE);
    icmp[0] = packet->version == 4 ? V4_UNREACHABLE : V6_UNREACHABLE;
    icmp[1] = unreachable_code(packet->version, why);
    memcpy(icmp + ICMP_HEADER_SIZE, quote.data, quote.len);
    write_checksum(icmp, ICMP_HEADER_SIZE + quote.len, packet);
    *ret_len = head + quote.len;
    return 0;
}
