#include "engine/trust.h"

#include "base/mem.h"
#include "tls/context.h"

struct entry {
    struct list node;
    SSL_CTX *ctx;
    uint8_t *pem; /* owned */
    size_t len;
};

void trust_init(struct trust *t)
{
    list_init(&t->entries);
    t->count = 0;
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    SSL_CTX_free(e->ctx);
    mem_free(e->pem);
    mem_free(e);
}

void trust_release(struct trust *t)
{
    struct list *node;
    while ((node = list_pop_front(&t->entries)) != NULL)
        entry_free(LIST_ENTRY(node, struct entry, node));
    t->count = 0;
}

static struct entry *find(struct trust *t, struct slice pem)
{
    LIST_FOR_EACH (node, &t->entries) {
        struct entry *e = LIST_ENTRY(node, struct entry, node);
        if (slice_eq(slice_of(e->pem, e->len), pem))
            return e;
    }
    return NULL;
}

static int entry_new(struct slice pem, struct entry **ret, struct diag *d)
{
    struct entry *e = NEW(struct entry);
    if (e == NULL)
        return ERR_NOMEM;
    e->pem = mem_dup(pem.data, pem.len);
    e->len = pem.len;
    int r = e->pem == NULL ? ERR_NOMEM : tls_client_context(pem, &e->ctx, d);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

static void enter(struct trust *t, struct entry *e)
{
    list_push_front(&t->entries, &e->node);
    if (++t->count <= TRUST_CONTEXTS_MAX)
        return;
    struct entry *oldest = LIST_ENTRY(t->entries.prev, struct entry, node);
    list_remove(&oldest->node);
    entry_free(oldest);
    t->count--;
}

int trust_context(struct trust *t, struct slice ca_pem, SSL_CTX **ret, struct diag *d)
{
    struct entry *e = find(t, ca_pem);
    if (e == NULL) {
        int r = entry_new(ca_pem, &e, d);
        if (r < 0)
            return r;
        enter(t, e);
    }
    SSL_CTX_up_ref(e->ctx);
    *ret = e->ctx;
    return 0;
}
