/* What a runtime runs, as its lists tell it and as the listener was told. For runtime.c alone.
 * Memory only. */
#ifndef STILE_POLICY_RUNTIME_ITEMS_H
#define STILE_POLICY_RUNTIME_ITEMS_H

#include "base/list.h"
#include "base/table.h"
#include "policy/runtime.h"
#include "policy/runtime_look.h"

/* A container or sandbox that runs, or of whose end the listener wasn't told yet. */
struct runtime_item {
    struct list node;
    struct runtime *runtime; /* that looks at it */
    struct look *look;       /* under way; NULL: none */
    char id[RUNTIME_ID_SIZE], sandbox_id[RUNTIME_ID_SIZE];
    bool sandbox;
    bool known;     /* the listener was told of it once, and not of its end */
    bool told;      /* on this connection */
    bool problem;   /* that it can't be asked about was told on this connection */
    unsigned seen;  /* in this listing it ran */
    unsigned tried; /* in this listing it was looked at */
};

struct runtime_items {
    struct table by_id;
    struct list all;
    unsigned listing; /* the number of the one under way, or of the last */
};

void runtime_items_init(struct runtime_items *l);
void runtime_items_release(struct runtime_items *l);

/* A new listing begins. */
void runtime_items_begin(struct runtime_items *l);
/* It says that this one runs. Ids that can't be are left out. ERR_NOMEM. */
int runtime_items_saw(struct runtime_items *l, const char *id, const char *sandbox_id,
                      bool sandbox);
/* The next that runs and wasn't told nor looked at in this listing: sandboxes first, a container
 * not while its sandbox is looked at. NULL: none. */
struct runtime_item *runtime_items_next(const struct runtime_items *l);
/* After all others of its kind. */
void runtime_items_put_last(struct runtime_items *l, struct runtime_item *item);
/* One that the listing hasn't. NULL: none. */
struct runtime_item *runtime_items_next_gone(const struct runtime_items *l);
struct runtime_item *runtime_items_find(const struct runtime_items *l, const char *id);
void runtime_items_remove(struct runtime_items *l, struct runtime_item *item);
/* How many can't be asked about. */
size_t runtime_items_problems(const struct runtime_items *l);
/* A new connection: all are told again. */
void runtime_items_forget_told(struct runtime_items *l);

#endif
