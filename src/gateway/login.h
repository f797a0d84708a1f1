/* Log-ins: who is slowed down, and whose password is right.
 *
 * Every try is counted before the password is looked at (state.h has the limits). Passwords are hashed on the pool, a few
 * at a time; a user that doesn't exist costs the same time as one that does, so that names can't be told by the clock.
 */
#ifndef STILE_GATEWAY_LOGIN_H
#define STILE_GATEWAY_LOGIN_H

#include "gateway/password.h"
#include "gateway/state.h"
#include "loop/loop.h"

#define LOGIN_AT_ONCE 2   /* hashes at the same time, 64 MiB each */
#define LOGIN_WAITING 256 /* more log-ins than this are refused */

struct login;

/* 0; ERR_AUTH: wrong user or password; ERR_LIMIT: too many tries, wait for retry_after_s; ERR_NOMEM, ERR_IO…: the state. */
typedef void login_done_fn(void *arg, int err, int64_t retry_after_s);

int login_new(struct loop *loop, struct state *state, struct login **ret);
/* No log-in may be under way. NULL is fine. */
void login_free(struct login *l);
size_t login_count(const struct login *l); /* under way */
/* Called (once) when none is under way any more; for a graceful stop. */
void login_on_idle(struct login *l, void (*idle)(void *arg), void *arg);

/* done is called once, later, unless this fails: ERR_AUTH, ERR_LIMIT (too many at once), ERR_NOMEM. addr: of the client, without its
 * port. The password is copied, and wiped after use. */
int login_start(struct login *l, const char *user, struct slice password, const char *addr,
                login_done_fn *done, void *arg);

#endif
