#include "net/tcp_table.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/table.h"

#define SIZE_MIN 64

void tcp_key_make(struct tcp_key *ret_key, const struct ip_addr *client, uint16_t client_port,
                  const struct ip_addr *server, uint16_t server_port)
{
    const uint8_t ports[4] = {(uint8_t)(client_port >> 8), (uint8_t)client_port,
                              (uint8_t)(server_port >> 8), (uint8_t)server_port};
    size_t n = ip_addr_len(client);
    memcpy(ret_key->bytes, client->bytes, n);
    memcpy(ret_key->bytes + n, server->bytes, n);
    memcpy(ret_key->bytes + 2 * n, ports, sizeof ports);
    ret_key->len = (uint8_t)(2 * n + sizeof ports);
}

static bool key_eq(const struct tcp_key *a, const struct tcp_key *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static uint64_t hash_of(const struct tcp_table *t, const struct tcp_key *key)
{
    return siphash13(t->secret, slice_of(key->bytes, key->len));
}

static struct tcp_entry **bucket_of(const struct tcp_table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->size - 1)];
}

int tcp_table_init(struct tcp_table *t, const uint64_t secret[2])
{
    *t = (struct tcp_table){.size = SIZE_MIN, .secret = {secret[0], secret[1]}};
    t->buckets = mem_array(t->size, sizeof *t->buckets);
    return t->buckets == NULL ? ERR_NOMEM : 0;
}

void tcp_table_release(struct tcp_table *t)
{
    mem_free(t->buckets);
    *t = (struct tcp_table){0};
}

struct tcp_entry *tcp_table_peek(const struct tcp_table *t, const struct tcp_key *key)
{
    uint64_t hash = hash_of(t, key);
    for (struct tcp_entry *e = *bucket_of(t, hash); e != NULL; e = e->next) {
        if (e->hash == hash && key_eq(&e->key, key))
            return e;
    }
    return NULL;
}

struct tcp_entry *tcp_table_find(struct tcp_table *t, const struct tcp_key *key)
{
    if (t->last != NULL && key_eq(&t->last->key, key))
        return t->last;
    t->last = tcp_table_peek(t, key);
    return t->last;
}

static void link_entry(struct tcp_table *t, struct tcp_entry *entry)
{
    struct tcp_entry **bucket = bucket_of(t, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

static void grow(struct tcp_table *t)
{
    struct tcp_entry **fresh = mem_array(t->size * 2, sizeof *fresh);
    if (fresh == NULL)
        return;
    struct tcp_entry **old = t->buckets;
    size_t old_size = t->size;
    t->buckets = fresh;
    t->size *= 2;
    for (size_t i = 0; i < old_size; i++) {
        while (old[i] != NULL) {
            struct tcp_entry *e = old[i];
            old[i] = e->next;
            link_entry(t, e);
        }
    }
    mem_free(old);
}

void tcp_table_put(struct tcp_table *t, struct tcp_entry *entry)
{
    if (t->count >= t->size)
        grow(t);
    entry->hash = hash_of(t, &entry->key);
    link_entry(t, entry);
    t->count++;
}

void tcp_table_remove(struct tcp_table *t, struct tcp_entry *entry)
{
    struct tcp_entry **at = bucket_of(t, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    t->count--;
    if (t->last == entry)
        t->last = NULL;
}

struct tcp_entry *tcp_table_any(const struct tcp_table *t)
{
    for (size_t i = 0; t->count > 0 && i < t->size; i++) {
        if (t->buckets[i] != NULL)
            return t->buckets[i];
    }
    return NULL;
}
