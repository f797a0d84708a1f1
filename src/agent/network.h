/* The addresses of a session: ranges of the clusters, an IPv6 prefix of its own, the resolvers it may use. */
#ifndef STILE_AGENT_NETWORK_H
#define STILE_AGENT_NETWORK_H

#include "agent/directory.h"
#include "agent/resolvers.h"
#include "net/prefix.h"
#include "platform/channel.h"

#define NETWORK_DEFAULT_RANGE "100.64.0.0/10"

/* Whether a range can be one of virtual addresses: IPv4, of a size that makes sense, nothing that has a meaning of its own. */
#define NETWORK_BITS_MIN 8
#define NETWORK_BITS_MAX 30
bool network_is_virtual(const struct prefix *p);

/* Each range once; those that overlap an earlier one, or can't be virtual (loopback, link-local, multicast, too large or small), are
 * left out with a warning. None left: the default one. The prefix is random (RFC 4193). Resolvers inside the ranges, which
 * would be asking ourselves, are left out. */
void network_choose(const struct name_list *ranges, const struct resolvers *resolvers,
                    uint32_t flags, struct channel_setup *ret);

/* "fd60:67ec:4325::/48", "100.64.0.0/10" */
#define NETWORK_TEXT_SIZE 64
void network_prefix_text(const struct channel_setup *s, char text[NETWORK_TEXT_SIZE]);
void network_range_text(const struct channel_setup *s, size_t index, char text[NETWORK_TEXT_SIZE]);

#endif
