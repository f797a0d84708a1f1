/* Passwords: argon2id (RFC 9106), in its encoded form. Hashing takes 64 MiB and a noticeable part of a second: on the pool,
 * never in a loop. */
#ifndef STILE_GATEWAY_PASSWORD_H
#define STILE_GATEWAY_PASSWORD_H

#include "base/err.h"
#include "base/slice.h"
#include "gateway/state.h"

#define PASSWORD_MIN 8   /* bytes */
#define PASSWORD_MAX 512 /* bytes: more is no password but an attempt to make us work */

/* 0, or ERR_INVAL with a diag that says what a password must be. */
int password_check_rules(struct slice password, struct diag *d);

/* Blocks. ERR_NOMEM. */
int password_hash(struct slice password, char hash[STATE_HASH_SIZE]);

/* Blocks. 0, ERR_AUTH: it is another one; ERR_NOMEM; ERR_FORMAT: the hash is damaged. */
int password_verify(struct slice password, const char *hash);

/* A hash of the same cost that no password has: for users who don't exist. */
extern const char password_nobody[STATE_HASH_SIZE];

#endif
