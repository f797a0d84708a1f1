/* The 4-tuples a host knows: look-up by keyed hash, so that no peer can choose ports that collide. Entries are members of
 * their owners (flows, ghosts) and link themselves: putting one in can't fail. Growing is amortised; when there is no
 * memory for it, chains get longer.
 */
#ifndef STILE_NET_TCP_TABLE_H
#define STILE_NET_TCP_TABLE_H

#include "net/ip.h"

/* Client's address, server's address, client's port, server's port, without padding: 12 or 36 bytes. */
struct tcp_key {
    uint8_t len;
    uint8_t bytes[36];
};

enum tcp_entry_kind { TCP_ENTRY_FLOW, TCP_ENTRY_TIME_WAIT, TCP_ENTRY_REFUSED };

struct tcp_entry {
    struct tcp_entry *next; /* in its bucket */
    uint64_t hash;
    enum tcp_entry_kind kind;
    struct tcp_key key;
};

struct tcp_table {
    struct tcp_entry **buckets; /* owned */
    size_t size;                /* a power of two */
    size_t count;
    uint64_t secret[2];
    struct tcp_entry *last; /* what was found last: bursts are of one flow */
};

void tcp_key_make(struct tcp_key *ret_key, const struct ip_addr *client, uint16_t client_port,
                  const struct ip_addr *server, uint16_t server_port);

MUST_CHECK int tcp_table_init(struct tcp_table *t, const uint64_t secret[2]); /* ERR_NOMEM */
void tcp_table_release(struct tcp_table *t);

struct tcp_entry *tcp_table_find(struct tcp_table *t,
                                 const struct tcp_key *key); /* NULL if absent */
struct tcp_entry *tcp_table_peek(const struct tcp_table *t,
                                 const struct tcp_key *key); /* leaves `last` alone */
/* The entry's key is set and not in yet. */
void tcp_table_put(struct tcp_table *t, struct tcp_entry *entry);
void tcp_table_remove(struct tcp_table *t, struct tcp_entry *entry);
/* Any entry, NULL when empty. For tearing down. */
struct tcp_entry *tcp_table_any(const struct tcp_table *t);

#endif
