/* One question on its way at a time: callers that ask the same wait for the same answer. For one thread. */
#ifndef STILE_ENGINE_FLIGHT_H
#define STILE_ENGINE_FLIGHT_H

#include "base/list.h"
#include "base/slice.h"
#include "base/table.h"

#define FLIGHT_WAITERS_MAX 4096 /* for one answer */

struct flights {
    struct table table; /* key → struct flight */
};

struct flight {
    uint8_t *key; /* owned */
    size_t key_len;
    struct list waiters;
    size_t waiter_count;
    void *owner; /* the asker's own */
};

/* Who waits. done is cast back by the asker to what it was. */
struct waiter {
    struct list node;
    void (*done)(void);
    void *arg;
};

void flights_init(struct flights *f);
void flights_release(struct flights *f); /* forgets all waiters */

/* Adds a waiter. ret_first: nobody asked this yet, so the caller has to, and to call flight_drop if it can't. ERR_NOMEM, ERR_LIMIT. */
int flight_join(struct flights *f, struct slice key, void (*done)(void), void *arg,
                struct flight **ret_flight, bool *ret_first);

/* The answer is here: takes the flight out of the table, so that a callback may ask again, … */
void flight_land(struct flights *f, struct flight *flight);
/* … hands out its waiters one by one (the caller frees each with mem_free); NULL after the last … */
struct waiter *flight_next(struct flight *flight);
/* … and frees it. */
void flight_free(struct flight *flight);

#endif
