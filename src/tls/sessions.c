#include "tls/sessions.h"

#include <uv.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "tls/context.h"

#define SESSIONS_PER_KEY 32

struct entry {
    struct list node;
    SSL_SESSION *session;
    int64_t fit_until; /* Unix seconds */
    size_t key_len;
    uint8_t key[];
};

/* Newest first. The cap is small (hundreds), so that walking the list costs less than the handshake it saves. */
struct session_cache {
    uv_mutex_t lock;
    struct list entries;
    size_t count;
    size_t max;
};

int session_cache_new(size_t max_sessions, struct session_cache **ret)
{
    struct session_cache *c = NEW(struct session_cache);
    if (c == NULL || uv_mutex_init(&c->lock) < 0) {
        mem_free(c);
        return ERR_NOMEM;
    }
    list_init(&c->entries);
    c->max = max_sessions;
    *ret = c;
    return 0;
}

/* SSL_SESSION_free wipes the secret. */
static void entry_free(struct session_cache *c, struct entry *e)
{
    list_remove(&e->node);
    c->count--;
    SSL_SESSION_free(e->session);
    mem_free(e);
}

static struct entry *entry_of(struct list *node)
{
    return LIST_ENTRY(node, struct entry, node);
}

static bool has_key(const struct entry *e, struct slice key)
{
    return slice_eq(slice_of(e->key, e->key_len), key);
}

void session_cache_clear(struct session_cache *c)
{
    uv_mutex_lock(&c->lock);
    LIST_FOR_EACH (node, &c->entries)
        entry_free(c, entry_of(node));
    uv_mutex_unlock(&c->lock);
}

void session_cache_free(struct session_cache *c)
{
    if (c == NULL)
        return;
    session_cache_clear(c);
    uv_mutex_destroy(&c->lock);
    mem_free(c);
}

/* The same session in pieces that the calling thread allocates now. */
static void rebuild(struct entry *e)
{
    unsigned char *bytes = NULL;
    int len = i2d_SSL_SESSION(e->session, &bytes);
    const unsigned char *at = bytes;
    SSL_SESSION *again = len > 0 ? d2i_SSL_SESSION(NULL, &at, len) : NULL;
    OPENSSL_clear_free(bytes, len > 0 ? (size_t)len : 0);
    if (again == NULL)
        return;
    SSL_SESSION_free(e->session);
    e->session = again;
}

void session_cache_gather(struct session_cache *c)
{
    uv_mutex_lock(&c->lock);
    LIST_FOR_EACH (node, &c->entries)
        rebuild(entry_of(node));
    uv_mutex_unlock(&c->lock);
}

/* Under the lock: those that are past their time go. */
static void drop_old(struct session_cache *c, int64_t now)
{
    LIST_FOR_EACH (node, &c->entries)
        if (entry_of(node)->fit_until <= now)
            entry_free(c, entry_of(node));
}

SSL_SESSION *session_cache_take(struct session_cache *c, struct slice key, int64_t now)
{
    SSL_SESSION *found = NULL;
    uv_mutex_lock(&c->lock);
    drop_old(c, now);
    LIST_FOR_EACH (node, &c->entries) {
        struct entry *e = entry_of(node);
        if (!has_key(e, key))
            continue;
        found = STEAL(e->session);
        entry_free(c, e);
        break;
    }
    uv_mutex_unlock(&c->lock);
    return found;
}

/* Under the lock: room for one more with this key, the oldest going first. */
static void make_room(struct session_cache *c, struct slice key)
{
    size_t same = 0;
    LIST_FOR_EACH (node, &c->entries)
        if (has_key(entry_of(node), key) && ++same >= SESSIONS_PER_KEY)
            entry_free(c, entry_of(node));
    while (c->count >= c->max && c->count > 0)
        entry_free(c, entry_of(c->entries.prev));
}

static int64_t lifetime(const SSL_SESSION *session)
{
    int64_t hint = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    return MIN(hint, TLS_TICKET_SECONDS);
}

void session_cache_put(struct session_cache *c, struct slice key, SSL_SESSION *session,
                       int64_t not_after, int64_t now)
{
    int64_t fit_until = MIN(now + lifetime(session), not_after);
    struct entry *e = fit_until > now && c->max > 0 ? mem_zalloc(sizeof(*e) + key.len) : NULL;
    if (e == NULL) {
        SSL_SESSION_free(session);
        return;
    }
    e->session = session;
    e->fit_until = fit_until;
    e->key_len = key.len;
    for (size_t i = 0; i < key.len; i++)
        e->key[i] = key.data[i];
    uv_mutex_lock(&c->lock);
    drop_old(c, now);
    make_room(c, key);
    list_push_front(&c->entries, &e->node);
    c->count++;
    uv_mutex_unlock(&c->lock);
}

void session_cache_drop(struct session_cache *c, struct slice key)
{
    uv_mutex_lock(&c->lock);
    LIST_FOR_EACH (node, &c->entries)
        if (has_key(entry_of(node), key))
            entry_free(c, entry_of(node));
    uv_mutex_unlock(&c->lock);
}

size_t session_cache_count(struct session_cache *c)
{
    uv_mutex_lock(&c->lock);
    size_t n = c->count;
    uv_mutex_unlock(&c->lock);
    return n;
}
