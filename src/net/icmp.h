/* The few ICMP messages a virtual address sends: echo replies and "unreachable" (RFC 792, RFC
 * 4443). */
#ifndef STILE_NET_ICMP_H
#define STILE_NET_ICMP_H

#include "net/ip.h"

enum icmp_unreachable { ICMP_PORT_UNREACHABLE, ICMP_HOST_UNREACHABLE, ICMP_PROHIBITED };

/* The longest "unreachable": it quotes the packet, up to 576 bytes in all for IPv4 and 1280 for
 * IPv6. */
#define ICMP_ERROR_MAX 1280

/* True for a well-formed echo request (the only question we answer). */
bool icmp_is_echo_request(const struct ip_packet *packet);

/* Writes the whole reply packet, as long as the request. ERR_INVAL if it isn't a request,
 * ERR_TOOBIG over cap. */
MUST_CHECK int icmp_write_echo_reply(uint8_t *dst, size_t cap, const struct ip_packet *request,
                                     size_t *ret_len);

/* Writes the whole packet that tells the sender its packet found nobody, from that packet's
 * destination. ERR_DENIED if none may be sent: RFC 1122 §3.2.2 and RFC 4443 §2.4(e) (an answer to
 * an ICMP error, to or from a multicast or unspecified address). */
MUST_CHECK int icmp_write_unreachable(uint8_t *dst, size_t cap, const struct ip_packet *packet,
                                      enum icmp_unreachable why, size_t *ret_len);

#endif
