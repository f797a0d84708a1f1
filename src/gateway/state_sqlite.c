#include "gateway/state_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/file.h"

#define SCHEMA_VERSION 1
#define BUSY_MS        5000
#define PRUNE_EVERY    1000 /* logged connections between two looks at how many there are */
#define CERTS_KEPT_S   (7 * 86400)

static const char schema[] =
    "CREATE TABLE users (name TEXT PRIMARY KEY, hash TEXT NOT NULL, created_s INTEGER NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE TABLE members (user TEXT NOT NULL REFERENCES users(name) ON DELETE CASCADE, grp TEXT "
    "NOT NULL,"
    "  PRIMARY KEY (user, grp)) WITHOUT ROWID;"
    "CREATE TABLE tries (key TEXT PRIMARY KEY, count INTEGER NOT NULL, first_s INTEGER NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE TABLE certs (serial TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users(name) ON "
    "DELETE CASCADE,"
    "  app TEXT NOT NULL, port INTEGER NOT NULL, addr TEXT NOT NULL, issued_s INTEGER NOT NULL,"
    "  expires_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX certs_user ON certs (user);"
    "CREATE INDEX certs_expires ON certs (expires_s);"
    "CREATE TABLE connections (id INTEGER PRIMARY KEY, user TEXT NOT NULL, app TEXT NOT NULL, port "
    "INTEGER NOT NULL,"
    "  addr TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, start_us INTEGER NOT NULL,"
    "  end_us INTEGER NOT NULL, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL);"
    "PRAGMA user_version = 1;";

enum query {
    Q_BEGIN,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_SAVE,
    Q_RELEASE,
    Q_UNDO,
    Q_ADD_USER,
    Q_ADD_MEMBER,
    Q_REMOVE_USER,
    Q_SET_HASH,
    Q_DROP_CERTS,
    Q_GET_USER,
    Q_GET_GROUPS,
    Q_LIST_USERS,
    Q_GET_TRIES,
    Q_ADD_TRY,
    Q_TAKE_TRY,
    Q_FORGET_TRIES,
    Q_PRUNE_TRIES,
    Q_ADD_CERT,
    Q_PRUNE_CERTS,
    Q_HAS_CERT,
    Q_ADD_CONNECTION,
    Q_PRUNE_CONNECTIONS,
    Q_COUNT
};

static const char *const queries[Q_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_SAVE] = "SAVEPOINT one",
    [Q_RELEASE] = "RELEASE one",
    [Q_UNDO] = "ROLLBACK TO one",
    [Q_ADD_USER] = "INSERT INTO users VALUES (?1, ?2, ?3)",
    [Q_ADD_MEMBER] = "INSERT OR IGNORE INTO members VALUES (?1, ?2)",
    [Q_REMOVE_USER] = "DELETE FROM users WHERE name = ?1",
    [Q_SET_HASH] = "UPDATE users SET hash = ?2 WHERE name = ?1",
    [Q_DROP_CERTS] = "DELETE FROM certs WHERE user = ?1",
    [Q_GET_USER] = "SELECT hash, created_s FROM users WHERE name = ?1",
    [Q_GET_GROUPS] = "SELECT grp FROM members WHERE user = ?1 ORDER BY grp",
    [Q_LIST_USERS] = "SELECT name FROM users ORDER BY name",
    [Q_GET_TRIES] = "SELECT count, first_s FROM tries WHERE key = ?1 AND first_s > ?2",
    [Q_ADD_TRY] =
        "INSERT INTO tries VALUES (?1, 1, ?2) ON CONFLICT (key) DO UPDATE SET count = count + 1",
    [Q_TAKE_TRY] = "UPDATE tries SET count = count - 1 WHERE key = ?1 AND count > 0",
    [Q_FORGET_TRIES] = "DELETE FROM tries WHERE key = ?1",
    [Q_PRUNE_TRIES] = "DELETE FROM tries WHERE first_s <= ?1",
    [Q_ADD_CERT] = "INSERT INTO certs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [Q_PRUNE_CERTS] = "DELETE FROM certs WHERE expires_s < ?1",
    [Q_HAS_CERT] = "SELECT 1 FROM certs WHERE serial = ?1 AND user = ?2",
    [Q_ADD_CONNECTION] = "INSERT INTO connections (user, app, port, addr, verdict, reason, "
                         "start_us, end_us, bytes_up,"
                         " bytes_down) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [Q_PRUNE_CONNECTIONS] =
        "DELETE FROM connections WHERE id <= (SELECT max(id) FROM connections) - ?1",
};

struct state_db {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[Q_COUNT]; /* prepared at first use */
    unsigned logged;                   /* connections since the last pruning */
};

/* ---- statements ---- */

static int err_from_sqlite(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return ERR_FORMAT;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ERR_PERM;
    default:
        return ERR_IO;
    }
}

/* NULL when memory runs out or the schema isn't ours. */
static sqlite3_stmt *statement(struct state_db *db, enum query q)
{
    if (db->statements[q] == NULL &&
        sqlite3_prepare_v3(db->sqlite, queries[q], -1, SQLITE_PREPARE_PERSISTENT,
                           &db->statements[q], NULL) != SQLITE_OK)
        return NULL;
    return db->statements[q];
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    if (s != NULL)
        sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void bind_int(sqlite3_stmt *s, int at, int64_t v)
{
    if (s != NULL)
        sqlite3_bind_int64(s, at, v);
}

/* For a statement that gives no rows. Bound texts may go afterwards. */
static int finish(struct state_db *db, sqlite3_stmt *s)
{
    if (s == NULL)
        return err_from_sqlite(sqlite3_errcode(db->sqlite));
    int code = sqlite3_step(s);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return err_from_sqlite(code);
}

static int run(struct state_db *db, enum query q)
{
    return finish(db, statement(db, q));
}

static int run_key(struct state_db *db, enum query q, const char *key)
{
    sqlite3_stmt *s = statement(db, q);
    bind_text(s, 1, key);
    return finish(db, s);
}

static int run_int(struct state_db *db, enum query q, int64_t v)
{
    sqlite3_stmt *s = statement(db, q);
    bind_int(s, 1, v);
    return finish(db, s);
}

/* One row: 1, none: 0. Whoever gets 1 calls done_row. */
static int first_row(struct state_db *db, sqlite3_stmt *s)
{
    int code = s != NULL ? sqlite3_step(s) : sqlite3_errcode(db->sqlite);
    if (code == SQLITE_ROW)
        return 1;
    int r = err_from_sqlite(code);
    if (s != NULL)
        sqlite3_reset(s);
    return r;
}

static void done_row(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

static const char *column(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return text != NULL ? (const char *)text : "";
}

/* ---- opening ---- */

/* SQLite would create it for everyone to read. */
static int create_file(const char *path, struct diag *d)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno,
                        "Failed to open the state %s: %s; make its directory, or run as its owner",
                        path, strerror(errno));
    close(fd);
    return file_check_private(path, d);
}

static int explain(struct state_db *db, int r, const char *path, struct diag *d)
{
    int code = sqlite3_extended_errcode(db->sqlite);
    if (r == ERR_BUSY)
        return diag_set(
            d, r, code,
            "The state %s is locked by another program (a backup?); end it and try again", path);
    if (r == ERR_FORMAT)
        return diag_set(
            d, r, code,
            "The state %s is damaged or no state of stile; restore a backup, or move it "
            "away and add the users again",
            path);
    return diag_set(d, r, code, "Failed to open the state %s: %s", path,
                    sqlite3_errmsg(db->sqlite));
}

static int exec(struct state_db *db, const char *sql)
{
    return err_from_sqlite(sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

static int schema_version(struct state_db *db, int *ret_version)
{
    sqlite3_stmt *s = NULL;
    int r = err_from_sqlite(sqlite3_prepare_v2(db->sqlite, "PRAGMA user_version", -1, &s, NULL));
    if (r == 0)
        r = first_row(db, s);
    if (r == 1)
        *ret_version = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return r < 0 ? r : 0;
}

static int make_schema(struct state_db *db, const char *path, struct diag *d)
{
    int version = 0;
    int r = run(db, Q_BEGIN);
    if (r == 0)
        r = schema_version(db, &version);
    if (r == 0 && version == 0)
        r = exec(db, schema);
    if (r == 0)
        r = run(db, Q_COMMIT);
    if (r < 0)
        return explain(db, r, path, d);
    if (version > SCHEMA_VERSION)
        return diag_set(d, ERR_VERSION, 0,
                        "The state %s was written by a newer stile (schema %d); update this one",
                        path, version);
    return 0;
}

int state_db_open(const char *path, struct state_db **ret, struct diag *d)
{
    int r = create_file(path, d);
    if (r < 0)
        return r;
    struct state_db *db = NEW(struct state_db);
    if (db == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while opening the state %s", path);
    r = err_from_sqlite(
        sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    if (r == 0)
        sqlite3_busy_timeout(db->sqlite, BUSY_MS);
    if (r == 0)
        r = exec(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
                 "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;");
    r = r < 0 ? explain(db, r, path, d) : make_schema(db, path, d);
    if (r < 0) {
        state_db_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void state_db_close(struct state_db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < Q_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sqlite);
    mem_free(db);
}

/* ---- transactions ---- */

int state_db_begin(struct state_db *db)
{
    return run(db, Q_BEGIN);
}

int state_db_commit(struct state_db *db)
{
    int r = run(db, Q_COMMIT);
    if (r < 0)
        state_db_rollback(db);
    return r;
}

void state_db_rollback(struct state_db *db)
{
    if (sqlite3_get_autocommit(db->sqlite) == 0)
        (void)run(db, Q_ROLLBACK);
}

/* Ends a savepoint: with an error nothing of the call is left. */
static int settle(struct state_db *db, int r)
{
    if (r < 0)
        (void)run(db, Q_UNDO);
    int released = run(db, Q_RELEASE);
    return r < 0 ? r : released;
}

/* ---- users ---- */

static int add_groups(struct state_db *db, const struct state_user *user)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < user->groups.count; i++) {
        sqlite3_stmt *s = statement(db, Q_ADD_MEMBER);
        bind_text(s, 1, user->name);
        bind_text(s, 2, user->groups.items[i]);
        r = finish(db, s);
    }
    return r;
}

int state_db_add_user(struct state_db *db, const struct state_user *user)
{
    int r = run(db, Q_SAVE);
    if (r < 0)
        return r;
    sqlite3_stmt *s = statement(db, Q_ADD_USER);
    bind_text(s, 1, user->name);
    bind_text(s, 2, user->hash);
    bind_int(s, 3, clock_wall_s());
    r = finish(db, s);
    if (r == 0)
        r = add_groups(db, user);
    return settle(db, r);
}

int state_db_remove_user(struct state_db *db, const char *name)
{
    int r = run_key(db, Q_REMOVE_USER, name);
    return r == 0 && sqlite3_changes(db->sqlite) == 0 ? ERR_NOTFOUND : r;
}

int state_db_set_password(struct state_db *db, const char *name, const char *hash)
{
    int r = run(db, Q_SAVE);
    if (r < 0)
        return r;
    sqlite3_stmt *s = statement(db, Q_SET_HASH);
    bind_text(s, 1, name);
    bind_text(s, 2, hash);
    r = finish(db, s);
    if (r == 0 && sqlite3_changes(db->sqlite) == 0)
        r = ERR_NOTFOUND;
    if (r == 0)
        r = run_key(db, Q_DROP_CERTS, name);
    return settle(db, r);
}

static int get_groups(struct state_db *db, const char *name, struct texts *ret)
{
    sqlite3_stmt *s = statement(db, Q_GET_GROUPS);
    bind_text(s, 1, name);
    int r = first_row(db, s);
    while (r == 1) {
        r = texts_add(ret, column(s, 0));
        if (r == 0)
            r = first_row(db, s);
    }
    if (s != NULL)
        done_row(s);
    return r;
}

int state_db_get_user(struct state_db *db, const char *name, struct state_user *ret)
{
    struct state_user user = {0};
    sqlite3_stmt *s = statement(db, Q_GET_USER);
    bind_text(s, 1, name);
    int r = first_row(db, s);
    if (r <= 0)
        return r < 0 ? r : ERR_NOTFOUND;
    user.created_s = sqlite3_column_int64(s, 1);
    r = str_copy(user.hash, sizeof(user.hash), column(s, 0));
    done_row(s);
    if (r == 0)
        r = str_copy(user.name, sizeof(user.name), name);
    if (r == 0)
        r = get_groups(db, name, &user.groups);
    if (r < 0) {
        texts_release(&user.groups);
        return r;
    }
    *ret = user;
    return 0;
}

static int list_names(struct state_db *db, struct texts *ret)
{
    sqlite3_stmt *s = statement(db, Q_LIST_USERS);
    int r = first_row(db, s);
    while (r == 1) {
        r = texts_add(ret, column(s, 0));
        if (r == 0)
            r = first_row(db, s);
    }
    if (s != NULL)
        done_row(s);
    return r;
}

int state_db_list_users(struct state_db *db, struct state_user **ret_users, size_t *ret_count)
{
    CLEANUP(texts_release) struct texts names = {0};
    int r = list_names(db, &names);
    if (r < 0)
        return r;
    struct state_user *users = mem_array(names.count, sizeof(*users));
    if (users == NULL)
        return ERR_NOMEM;
    size_t count = 0;
    for (size_t i = 0; i < names.count && r == 0; i++) {
        r = state_db_get_user(db, names.items[i], &users[count]);
        count += r == 0;
        r = r == ERR_NOTFOUND ? 0 : r; /* removed meanwhile */
    }
    if (r < 0) {
        for (size_t i = 0; i < count; i++)
            texts_release(&users[i].groups);
        mem_free(users);
        return r;
    }
    *ret_users = users;
    *ret_count = count;
    return 0;
}

/* ---- log-in tries ---- */

#define TRIES_KEY_SIZE (STATE_NAME_SIZE + STATE_ADDR_SIZE)

/* How long this key has to wait: 0, not at all. */
static int64_t tries_wait(struct state_db *db, const char *key, int64_t max, int64_t now_s)
{
    sqlite3_stmt *s = statement(db, Q_GET_TRIES);
    bind_text(s, 1, key);
    bind_int(s, 2, now_s - STATE_TRIES_WINDOW_S);
    if (first_row(db, s) != 1)
        return 0;
    int64_t count = sqlite3_column_int64(s, 0);
    int64_t until = sqlite3_column_int64(s, 1) + STATE_TRIES_WINDOW_S;
    done_row(s);
    return count >= max && until > now_s ? until - now_s : 0;
}

static int add_try(struct state_db *db, const char *key, int64_t now_s)
{
    sqlite3_stmt *s = statement(db, Q_ADD_TRY);
    bind_text(s, 1, key);
    bind_int(s, 2, now_s);
    return finish(db, s);
}

static int tries_keys(const char *name, const char *addr, char user_key[TRIES_KEY_SIZE],
                      char addr_key[TRIES_KEY_SIZE])
{
    int r = str_format(user_key, TRIES_KEY_SIZE, "user:%s", name);
    return r < 0 ? r : str_format(addr_key, TRIES_KEY_SIZE, "addr:%s", addr);
}

int state_db_begin_log_in(struct state_db *db, const char *addr, int64_t now_s,
                          struct state_user *user)
{
    char user_key[TRIES_KEY_SIZE];
    char addr_key[TRIES_KEY_SIZE];
    char name[STATE_NAME_SIZE];
    int r = tries_keys(user->name, addr, user_key, addr_key);
    if (r == 0)
        r = str_copy(name, sizeof(name), user->name);
    if (r == 0)
        r = run_int(db, Q_PRUNE_TRIES, now_s - STATE_TRIES_WINDOW_S);
    if (r < 0)
        return r;
    int64_t user_wait = tries_wait(db, user_key, STATE_TRIES_USER, now_s);
    int64_t addr_wait = tries_wait(db, addr_key, STATE_TRIES_ADDR, now_s);
    user->retry_after_s = MAX(user_wait, addr_wait);
    if (user->retry_after_s > 0)
        return ERR_LIMIT;
    r = add_try(db, user_key, now_s);
    if (r == 0)
        r = add_try(db, addr_key, now_s);
    return r < 0 ? r : state_db_get_user(db, name, user);
}

int state_db_end_log_in(struct state_db *db, const char *name, const char *addr)
{
    char user_key[TRIES_KEY_SIZE];
    char addr_key[TRIES_KEY_SIZE];
    int r = tries_keys(name, addr, user_key, addr_key);
    if (r == 0)
        r = run_key(db, Q_FORGET_TRIES, user_key);
    return r < 0 ? r : run_key(db, Q_TAKE_TRY, addr_key);
}

/* ---- certificates and connections ---- */

int state_db_add_cert(struct state_db *db, const struct state_cert *cert)
{
    int r = run_int(db, Q_PRUNE_CERTS, cert->issued_s - CERTS_KEPT_S);
    if (r < 0)
        return r;
    sqlite3_stmt *s = statement(db, Q_ADD_CERT);
    bind_text(s, 1, cert->serial);
    bind_text(s, 2, cert->user);
    bind_text(s, 3, cert->app);
    bind_int(s, 4, cert->port);
    bind_text(s, 5, cert->addr);
    bind_int(s, 6, cert->issued_s);
    bind_int(s, 7, cert->expires_s);
    return finish(db, s);
}

int state_db_has_cert(struct state_db *db, const char *serial, const char *user)
{
    sqlite3_stmt *s = statement(db, Q_HAS_CERT);
    bind_text(s, 1, serial);
    bind_text(s, 2, user);
    int r = first_row(db, s);
    if (r == 1)
        done_row(s);
    return r == 1 ? 0 : (r < 0 ? r : ERR_NOTFOUND);
}

int state_db_log_connection(struct state_db *db, const struct state_connection *c)
{
    sqlite3_stmt *s = statement(db, Q_ADD_CONNECTION);
    bind_text(s, 1, c->user);
    bind_text(s, 2, c->app);
    bind_int(s, 3, c->port);
    bind_text(s, 4, c->addr);
    bind_text(s, 5, c->verdict);
    bind_text(s, 6, c->reason);
    bind_int(s, 7, c->start_us);
    bind_int(s, 8, c->end_us);
    bind_int(s, 9, (int64_t)MIN(c->bytes_up, (uint64_t)INT64_MAX));
    bind_int(s, 10, (int64_t)MIN(c->bytes_down, (uint64_t)INT64_MAX));
    int r = finish(db, s);
    if (r < 0 || ++db->logged < PRUNE_EVERY)
        return r;
    db->logged = 0;
    return run_int(db, Q_PRUNE_CONNECTIONS, STATE_CONNECTIONS_KEPT);
}
