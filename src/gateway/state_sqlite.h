/* The store behind state.h: one SQLite file, used by one thread at a time. Everything here blocks.
 *
 * WAL, so that commands and the gateway don't wait for each other; a write that meets another waits up to 5 s.
 */
#ifndef STILE_GATEWAY_STATE_SQLITE_H
#define STILE_GATEWAY_STATE_SQLITE_H

#include "gateway/state.h"

struct state_db;

int state_db_open(const char *path, struct state_db **ret, struct diag *d);
void state_db_close(struct state_db *db); /* NULL is fine */

/* One transaction around several calls. A failed call inside leaves nothing of itself. */
int state_db_begin(struct state_db *db);
int state_db_commit(struct state_db *db);
void state_db_rollback(struct state_db *db);

/* The names and errors of state.h. */
int state_db_add_user(struct state_db *db, const struct state_user *user);
int state_db_remove_user(struct state_db *db, const char *name);
int state_db_set_password(struct state_db *db, const char *name, const char *hash);
int state_db_get_user(struct state_db *db, const char *name,
                      struct state_user *ret); /* into an empty one */
int state_db_list_users(struct state_db *db, struct state_user **ret_users, size_t *ret_count);
int state_db_begin_log_in(struct state_db *db, const char *addr, int64_t now_s,
                          struct state_user *user /* name in, the rest out */);
int state_db_end_log_in(struct state_db *db, const char *name, const char *addr);
int state_db_add_cert(struct state_db *db, const struct state_cert *cert);
int state_db_has_cert(struct state_db *db, const char *serial, const char *user);
int state_db_log_connection(struct state_db *db, const struct state_connection *c);

#endif
