/* TLS sessions a client can resume. Tickets are credentials: they are kept for 10 minutes at most and never past the end
 * of the client certificate they were made with, used once, capped in number, and wiped with the cache.
 *
 * The key is everything that must be equal for a resumption to mean the same as a new handshake: profile, app, port, the
 * gateway's name and the client certificate's fingerprint. Thread-safe: workers share one.
 */
#ifndef STILE_TLS_SESSIONS_H
#define STILE_TLS_SESSIONS_H

#include <openssl/ssl.h>

#include "base/slice.h"

struct session_cache;

MUST_CHECK int session_cache_new(size_t max_sessions, struct session_cache **ret);
void session_cache_free(struct session_cache *c); /* wipes */
void session_cache_clear(struct session_cache *c);

/* Takes one out, NULL if there is none fit for use now (Unix seconds). The receiver frees it with SSL_SESSION_free. */
SSL_SESSION *session_cache_take(struct session_cache *c, struct slice key, int64_t now);
/* The session is taken in any case. not_after: the end of the client certificate, Unix seconds. Over the cap the oldest
 * goes. At most 32 per key. */
void session_cache_put(struct session_cache *c, struct slice key, SSL_SESSION *session,
                       int64_t not_after, int64_t now);
/* Forgets one identity's: its certificate was refused. */
void session_cache_drop(struct session_cache *c, struct slice key);
/* For quiet times: moves what is kept to where the calling thread allocates. A session is some hundred small pieces; made in the midst of
 * a burst, they lie scattered and hold as many pages. */
void session_cache_gather(struct session_cache *c);
size_t session_cache_count(struct session_cache *c);

#endif
