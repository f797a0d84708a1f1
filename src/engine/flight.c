#include "engine/flight.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"

void flights_init(struct flights *f)
{
    uint8_t secret[16];
    random_bytes(secret, sizeof(secret));
    table_init(&f->table, secret);
}

static struct slice key_of(const struct flight *flight)
{
    return slice_of(flight->key, flight->key_len);
}

void flights_release(struct flights *f)
{
    struct flight *flight;
    for (size_t i = 0; (flight = table_next(&f->table, &i)) != NULL;)
        flight_free(flight);
    table_release(&f->table);
}

static int flight_new(struct flights *f, struct slice key, struct flight **ret)
{
    struct flight *flight = NEW(struct flight);
    if (flight == NULL)
        return ERR_NOMEM;
    list_init(&flight->waiters);
    flight->key = mem_dup(key.data, key.len);
    flight->key_len = key.len;
    int r = flight->key == NULL ? ERR_NOMEM : table_put(&f->table, key_of(flight), flight);
    if (r < 0) {
        flight_free(flight);
        return r;
    }
    *ret = flight;
    return 0;
}

int flight_join(struct flights *f, struct slice key, void (*done)(void), void *arg,
                struct flight **ret_flight, bool *ret_first)
{
    struct waiter *waiter = NEW(struct waiter);
    if (waiter == NULL)
        return ERR_NOMEM;
    struct flight *flight = table_get(&f->table, key);
    bool first = flight == NULL;
    int r = first ? flight_new(f, key, &flight) : 0;
    if (r == 0 && flight->waiter_count >= FLIGHT_WAITERS_MAX)
        r = ERR_LIMIT;
    if (r < 0) {
        mem_free(waiter);
        return r;
    }
    waiter->done = done;
    waiter->arg = arg;
    list_push_back(&flight->waiters, &waiter->node);
    flight->waiter_count++;
    *ret_flight = flight;
    *ret_first = first;
    return 0;
}

void flight_land(struct flights *f, struct flight *flight)
{
    table_remove(&f->table, key_of(flight));
}

struct waiter *flight_next(struct flight *flight)
{
    struct list *node = list_pop_front(&flight->waiters);
    return node == NULL ? NULL : LIST_ENTRY(node, struct waiter, node);
}

void flight_free(struct flight *flight)
{
    struct waiter *waiter;
    while ((waiter = flight_next(flight)) != NULL)
        mem_free(waiter);
    mem_free(flight->key);
    mem_free(flight);
}
