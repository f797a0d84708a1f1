#include "gateway/state.h"

#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/state_sqlite.h"

/* One thing asked for: filled in the loop, run on the pool, told in the loop. */
struct request {
    struct list node;
    int (*run)(struct state_db *db, struct request *r);
    bool writes;
    int err;
    struct state_user user;
    char serial[STATE_SERIAL_SIZE];
    char addr[STATE_ADDR_SIZE];
    int64_t now_s;
    union {
        struct state_cert cert;
        struct state_connection connection;
    } record;
    struct state_user *users; /* owned */
    size_t user_count;
    state_done_fn *done; /* one of the three, or none */
    state_user_fn *done_user;
    state_users_fn *done_users;
    void *arg;
};

struct state {
    struct loop *loop;
    uv_work_t work;
    struct state_db *db; /* of the pool job while one runs */
    struct list waiting; /* struct request */
    struct list running;
    bool busy;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- the queue ---- */

static void request_free(struct request *r)
{
    texts_release(&r->user.groups);
    for (size_t i = 0; i < r->user_count; i++)
        texts_release(&r->users[i].groups);
    mem_wipe(r->user.hash, sizeof(r->user.hash));
    mem_free(r->users);
    mem_free(r);
}

/* On the pool. */
static void run_all(uv_work_t *work)
{
    struct state *s = CONTAINER_OF(work, struct state, work);
    bool writes = false;
    LIST_FOR_EACH (node, &s->running)
        writes |= LIST_ENTRY(node, struct request, node)->writes;
    int begun = writes ? state_db_begin(s->db) : 0;
    LIST_FOR_EACH (node, &s->running) {
        struct request *r = LIST_ENTRY(node, struct request, node);
        r->err = begun < 0 ? begun : r->run(s->db, r);
    }
    int committed = writes && begun == 0 ? state_db_commit(s->db) : 0;
    if (committed == 0)
        return;
    LIST_FOR_EACH (node, &s->running) {
        struct request *r = LIST_ENTRY(node, struct request, node);
        if (r->writes && r->err == 0)
            r->err = committed;
    }
}

/* Only these make it slow or impossible for everyone, so the log names them; the rest is the caller's to tell. */
static void note_failure(int err)
{
    if (err == ERR_BUSY || err == ERR_IO || err == ERR_FORMAT || err == ERR_PERM)
        log_error(
            "The state could not be used: %s; check its file system and what else has it open",
            err_text(err));
}

static void tell(struct request *r)
{
    note_failure(r->err);
    bool has_user = r->err == 0 || r->err == ERR_LIMIT;
    if (r->done != NULL)
        r->done(r->arg, r->err);
    else if (r->done_user != NULL)
        r->done_user(r->arg, r->err, has_user ? &r->user : NULL);
    else if (r->done_users != NULL)
        r->done_users(r->arg, r->err, r->users, r->user_count);
    request_free(r);
}

static void finish_close(struct state *s)
{
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;
    state_db_close(s->db);
    mem_free(s);
    if (closed != NULL)
        closed(arg);
}

static void start(struct state *s);

static void on_done(uv_work_t *work, int status)
{
    struct state *s = CONTAINER_OF(work, struct state, work);
    (void)status; /* never cancelled */
    struct list *node;
    struct list told;
    list_init(&told);
    while ((node = list_pop_front(&s->running)) != NULL)
        list_push_back(&told, node);
    s->busy = false;
    start(s);
    while ((node = list_pop_front(&told)) != NULL)
        tell(LIST_ENTRY(node, struct request, node));
    if (s->closing && !s->busy)
        finish_close(s);
}

static void start(struct state *s)
{
    if (s->busy || list_empty(&s->waiting))
        return;
    struct list *node;
    while ((node = list_pop_front(&s->waiting)) != NULL)
        list_push_back(&s->running, node);
    s->busy = true;
    uv_queue_work(&s->loop->uv, &s->work, run_all, on_done);
}

static struct request *request_new(int (*run)(struct state_db *, struct request *), bool writes)
{
    struct request *r = NEW(struct request);
    if (r == NULL)
        return NULL;
    list_init(&r->node);
    r->run = run;
    r->writes = writes;
    return r;
}

/* Takes the request, also on failure. `filled` is what filling it in gave. */
static int submit(struct state *s, struct request *r, int filled)
{
    if (filled == 0 && s->closing)
        filled = ERR_CLOSED;
    if (filled < 0) {
        request_free(r);
        return filled;
    }
    list_push_back(&s->waiting, &r->node);
    start(s);
    return 0;
}

/* ---- open and close ---- */

int state_open(struct loop *loop, const char *path, struct state **ret, struct diag *d)
{
    struct state *s = NEW(struct state);
    if (s == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while opening the state %s", path);
    int r = state_db_open(path, &s->db, d);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    s->loop = loop;
    list_init(&s->waiting);
    list_init(&s->running);
    *ret = s;
    return 0;
}

static int run_nothing(struct state_db *db, struct request *r)
{
    (void)db;
    (void)r;
    return 0;
}

void state_close(struct state *s, void (*closed)(void *arg), void *arg)
{
    if (s == NULL)
        return;
    s->closed = closed;
    s->closed_arg = arg;
    /* An empty request, so that `closed` always comes from the loop. */
    struct request *last = request_new(run_nothing, false);
    if (last != NULL)
        (void)submit(s, last, 0);
    s->closing = true;
    if (!s->busy)
        finish_close(s);
}

/* ---- users ---- */

static int run_add_user(struct state_db *db, struct request *r)
{
    return state_db_add_user(db, &r->user);
}

int state_add_user(struct state *s, const char *name, const char *hash, const struct texts *groups,
                   state_done_fn *done, void *arg)
{
    struct request *r = request_new(run_add_user, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done = done;
    r->arg = arg;
    int err = str_copy(r->user.name, sizeof(r->user.name), name);
    if (err == 0)
        err = str_copy(r->user.hash, sizeof(r->user.hash), hash);
    if (err == 0)
        err = texts_copy(&r->user.groups, groups);
    return submit(s, r, err);
}

static int run_remove_user(struct state_db *db, struct request *r)
{
    return state_db_remove_user(db, r->user.name);
}

int state_remove_user(struct state *s, const char *name, state_done_fn *done, void *arg)
{
    struct request *r = request_new(run_remove_user, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done = done;
    r->arg = arg;
    return submit(s, r, str_copy(r->user.name, sizeof(r->user.name), name));
}

static int run_set_password(struct state_db *db, struct request *r)
{
    return state_db_set_password(db, r->user.name, r->user.hash);
}

int state_set_password(struct state *s, const char *name, const char *hash, state_done_fn *done,
                       void *arg)
{
    struct request *r = request_new(run_set_password, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done = done;
    r->arg = arg;
    int err = str_copy(r->user.name, sizeof(r->user.name), name);
    if (err == 0)
        err = str_copy(r->user.hash, sizeof(r->user.hash), hash);
    return submit(s, r, err);
}

static int run_list_users(struct state_db *db, struct request *r)
{
    return state_db_list_users(db, &r->users, &r->user_count);
}

int state_list_users(struct state *s, state_users_fn *done, void *arg)
{
    struct request *r = request_new(run_list_users, false);
    if (r == NULL)
        return ERR_NOMEM;
    r->done_users = done;
    r->arg = arg;
    return submit(s, r, 0);
}

/* ---- log-in ---- */

static int run_begin_log_in(struct state_db *db, struct request *r)
{
    return state_db_begin_log_in(db, r->addr, r->now_s, &r->user);
}

int state_begin_log_in(struct state *s, const char *name, const char *addr, int64_t now_s,
                       state_user_fn *done, void *arg)
{
    struct request *r = request_new(run_begin_log_in, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done_user = done;
    r->arg = arg;
    r->now_s = now_s;
    int err = str_copy(r->user.name, sizeof(r->user.name), name);
    if (err == 0)
        err = str_copy(r->addr, sizeof(r->addr), addr);
    return submit(s, r, err);
}

static int run_end_log_in(struct state_db *db, struct request *r)
{
    return state_db_end_log_in(db, r->user.name, r->addr);
}

int state_end_log_in(struct state *s, const char *name, const char *addr, state_done_fn *done,
                     void *arg)
{
    struct request *r = request_new(run_end_log_in, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done = done;
    r->arg = arg;
    int err = str_copy(r->user.name, sizeof(r->user.name), name);
    if (err == 0)
        err = str_copy(r->addr, sizeof(r->addr), addr);
    return submit(s, r, err);
}

/* ---- certificates and connections ---- */

static int run_add_cert(struct state_db *db, struct request *r)
{
    return state_db_add_cert(db, &r->record.cert);
}

int state_add_cert(struct state *s, const struct state_cert *cert, state_done_fn *done, void *arg)
{
    struct request *r = request_new(run_add_cert, true);
    if (r == NULL)
        return ERR_NOMEM;
    r->done = done;
    r->arg = arg;
    r->record.cert = *cert;
    return submit(s, r, 0);
}

static int run_authorise(struct state_db *db, struct request *r)
{
    char name[STATE_NAME_SIZE];
    int err = state_db_has_cert(db, r->serial, r->user.name);
    if (err == 0)
        err = str_copy(name, sizeof(name), r->user.name);
    return err < 0 ? err : state_db_get_user(db, name, &r->user);
}

int state_authorise(struct state *s, const char *name, const char *serial, state_user_fn *done,
                    void *arg)
{
    struct request *r = request_new(run_authorise, false);
    if (r == NULL)
        return ERR_NOMEM;
    r->done_user = done;
    r->arg = arg;
    int err = str_copy(r->user.name, sizeof(r->user.name), name);
    if (err == 0)
        err = str_copy(r->serial, sizeof(r->serial), serial);
    return submit(s, r, err);
}

static int run_log_connection(struct state_db *db, struct request *r)
{
    return state_db_log_connection(db, &r->record.connection);
}

void state_log_connection(struct state *s, const struct state_connection *c)
{
    struct request *r = request_new(run_log_connection, true);
    if (r == NULL)
        return;
    r->record.connection = *c;
    (void)submit(s, r, 0);
}
