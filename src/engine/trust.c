#include "engine/trust.h"

#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tls/certs.h"
#include "tls/context.h"

struct entry {
    struct list node;
    SSL_CTX *ctx;   /* of one kind of list */
    X509 *cert;     /* of the other */
    uint8_t *bytes; /* owned: what it was made of */
    size_t len;
};

static void list_start(struct trust_list *l, size_t max)
{
    list_init(&l->entries);
    l->count = 0;
    l->max = max;
}

void trust_init(struct trust *t)
{
    list_start(&t->contexts, TRUST_CONTEXTS_MAX);
    list_start(&t->certs, TRUST_CERTS_MAX);
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    SSL_CTX_free(e->ctx);
    X509_free(e->cert);
    mem_free(e->bytes);
    mem_free(e);
}

static void list_end(struct trust_list *l)
{
    struct list *node;
    while ((node = list_pop_front(&l->entries)) != NULL)
        entry_free(LIST_ENTRY(node, struct entry, node));
    l->count = 0;
}

void trust_release(struct trust *t)
{
    list_end(&t->contexts);
    list_end(&t->certs);
}

/* What was used last stands first. */
static struct entry *find(struct trust_list *l, struct slice bytes)
{
    LIST_FOR_EACH (node, &l->entries) {
        struct entry *e = LIST_ENTRY(node, struct entry, node);
        if (slice_eq(slice_of(e->bytes, e->len), bytes)) {
            list_remove(&e->node);
            list_push_front(&l->entries, &e->node);
            return e;
        }
    }
    return NULL;
}

static struct entry *entry_new(struct slice bytes)
{
    struct entry *e = NEW(struct entry);
    if (e == NULL)
        return NULL;
    e->bytes = mem_dup(bytes.data, bytes.len);
    e->len = bytes.len;
    if (e->bytes == NULL) {
        entry_free(e);
        return NULL;
    }
    return e;
}

static void enter(struct trust_list *l, struct entry *e)
{
    list_push_front(&l->entries, &e->node);
    if (++l->count <= l->max)
        return;
    struct entry *oldest = LIST_ENTRY(l->entries.prev, struct entry, node);
    list_remove(&oldest->node);
    entry_free(oldest);
    l->count--;
}

static int make_context(struct trust *t, struct slice ca_pem, struct entry **ret, struct diag *d)
{
    struct entry *e = entry_new(ca_pem);
    int r = e == NULL ? ERR_NOMEM : tls_client_context(ca_pem, &e->ctx, d);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    enter(&t->contexts, e);
    *ret = e;
    return 0;
}

int trust_context(struct trust *t, struct slice ca_pem, SSL_CTX **ret, struct diag *d)
{
    struct entry *e = find(&t->contexts, ca_pem);
    int r = e == NULL ? make_context(t, ca_pem, &e, d) : 0;
    if (r < 0)
        return r;
    SSL_CTX_up_ref(e->ctx);
    *ret = e->ctx;
    return 0;
}

static int make_cert(struct trust *t, struct slice der, struct entry **ret, struct diag *d)
{
    struct entry *e = entry_new(der);
    int r = e == NULL ? ERR_NOMEM : cert_from_der(der, &e->cert, d);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    (void)X509_check_purpose(e->cert, -1,
                             0); /* what it caches, it caches before threads share it */
    enter(&t->certs, e);
    *ret = e;
    return 0;
}

int trust_cert(struct trust *t, struct slice der, X509 **ret, struct diag *d)
{
    struct entry *e = find(&t->certs, der);
    int r = e == NULL ? make_cert(t, der, &e, d) : 0;
    if (r < 0)
        return r;
    X509_up_ref(e->cert);
    *ret = e->cert;
    return 0;
}
