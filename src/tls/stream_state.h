/* The TLS stream's inside, shared by stream.c (its life) and stream_new.c (its making). For tls/ alone. */
#ifndef STILE_TLS_STREAM_STATE_H
#define STILE_TLS_STREAM_STATE_H

#include "loop/timer.h"
#include "tls/remote_wait.h"
#include "tls/stream.h"
#include "tls/stream_bio.h"

#define TLS_PEER_SIZE 256

/* HANDSHAKE → OPEN → FAILED; each → CLOSED, in which memory waits for the timer's end. */
enum tls_state { HANDSHAKE, OPEN, FAILED, CLOSED };

struct tls_stream {
    struct stream base;
    struct stream *lower; /* owned */
    struct loop *loop;
    SSL *ssl;
    struct stream_bio bio;
    enum tls_state state;
    bool server;
    bool signing; /* a remote signature is awaited */
    bool reading;
    bool lower_ended;
    bool read_ended; /* close_notify was read */
    bool told_end;
    bool end_wanted;
    unsigned corks;
    int write_error; /* of the lower stream, while its last words are awaited */
    unsigned timeout_ms;
    struct defer turn; /* progress that no event of the lower stream brings */
    struct timer timer;
    struct remote_wait wait;
    tls_ready_fn *on_ready;
    void *ready_arg;
    char peer[TLS_PEER_SIZE];
    char alpn[32];
    struct session_cache *sessions;
    struct slice session_key; /* owned copy */
};

/* Wires up a stream whose ssl is ready, and starts the handshake in the next turn. */
void tls_stream_begin(struct tls_stream *s);
/* Frees what tls_stream_begin hasn't seen. */
void tls_stream_destroy(void *arg);
/* OpenSSL's new-session callback of our client contexts: 1 if the session was taken. */
int tls_stream_new_session(SSL *ssl, SSL_SESSION *session);

#endif
