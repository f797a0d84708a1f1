/* What the watch remembers of containers and of the sandboxes that they share. For watch.c and
 * watch_care.c alone. */
#ifndef STILE_POLICY_WATCH_CONTAINER_H
#define STILE_POLICY_WATCH_CONTAINER_H

#include "base/list.h"
#include "policy/watch_pass.h"
#include "policy/watch_rules.h"

#define NO_RULE SIZE_MAX

struct watch_care;

struct watch_container {
    struct list node; /* in sandbox->containers */
    struct watch_sandbox *sandbox;
    char id[RUNTIME_ID_SIZE];
    char *name, *network_path, *network_problem; /* owned */
    struct runtime_label *labels;                /* owned, texts included */
    struct runtime_label *annotations;           /* the same */
    size_t label_count, annotation_count;
    bool host_network;
    bool stale; /* the connection was lost, and it hasn't been told anew */
};

struct watch_sandbox {
    struct list node;       /* in the watch */
    struct list containers; /* none: it goes as soon as no pass or question is under way */
    struct watch_care *care;
    char id[RUNTIME_ID_SIZE];
    size_t rule;             /* index, or NO_RULE */
    struct watch_pass *pass; /* NULL: none */
    bool again;              /* another pass once this one is done */
    bool asking;             /* the runtime, for one of its containers anew */
    bool told_host;          /* that it has the host's network */
    bool blocked;            /* by us, and not opened since */
    unsigned failures;       /* in a row */
    uint64_t retry_at;       /* clock_mono_ns; 0: not */
};

/* ERR_TOOBIG: a longer id than any runtime makes. ERR_NOMEM. */
int watch_container_new(const struct runtime_container *told, struct watch_container **ret);
/* Takes over what is told now; unchanged on failure. */
int watch_container_update(struct watch_container *c, const struct runtime_container *told);
void watch_container_free(struct watch_container *c);

int watch_sandbox_new(struct watch_care *care, const char *id, struct watch_sandbox **ret);
void watch_sandbox_free(struct watch_sandbox *s); /* its containers are gone by then */
/* "namespace/pod": the sandbox's own name, else that of its first container. */
const char *watch_sandbox_name(const struct watch_sandbox *s);
/* The one by whose network the sandbox is entered: a path lasts longer than a pid. NULL: no network
 * is known. */
const struct watch_container *watch_sandbox_entry(const struct watch_sandbox *s);
bool watch_sandbox_is_host(const struct watch_sandbox *s);
/* The first rule that any of its containers matches; NO_RULE. */
size_t watch_sandbox_match(const struct watch_sandbox *s, const struct watch_rules *rules);

#endif
