#include "gateway/login.h"

#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/config.h"
#include "loop/work.h"

struct login {
    struct loop *loop;
    struct state *state;
    struct list waiting; /* struct attempt */
    unsigned running;
    size_t count; /* attempts of any kind */
    void (*idle)(void *arg);
    void *idle_arg;
};

struct attempt {
    struct list node;
    struct login *login;
    char user[STATE_NAME_SIZE];
    char addr[STATE_ADDR_SIZE];
    uint8_t password[PASSWORD_MAX];
    size_t password_len;
    char hash[STATE_HASH_SIZE];
    bool known; /* the user exists */
    int result; /* of the hash */
    login_done_fn *done;
    void *arg;
};

int login_new(struct loop *loop, struct state *state, struct login **ret)
{
    struct login *l = NEW(struct login);
    if (l == NULL)
        return ERR_NOMEM;
    l->loop = loop;
    l->state = state;
    list_init(&l->waiting);
    *ret = l;
    return 0;
}

void login_free(struct login *l)
{
    mem_free(l);
}

size_t login_count(const struct login *l)
{
    return l->count;
}

void login_on_idle(struct login *l, void (*idle)(void *arg), void *arg)
{
    l->idle = idle;
    l->idle_arg = arg;
}

static void finish(struct attempt *a, int err, int64_t retry_after_s)
{
    struct login *l = a->login;
    login_done_fn *done = a->done;
    void *arg = a->arg;
    mem_free_wiped(a, sizeof(*a));
    done(arg, err, retry_after_s);
    if (--l->count > 0 || l->idle == NULL)
        return;
    void (*idle)(void *) = l->idle;
    l->idle = NULL;
    idle(l->idle_arg);
}

/* ---- the hash ---- */

/* On the pool. */
static void run_hash(void *arg)
{
    struct attempt *a = arg;
    a->result = password_verify(slice_of(a->password, a->password_len), a->hash);
}

static void pump(struct login *l);

static void on_taken_back(void *arg, int err)
{
    (void)err; /* the log-in is good all the same; the try is forgotten after a while */
    finish(arg, 0, 0);
}

static void on_hashed(void *arg, int err)
{
    struct attempt *a = arg;
    struct login *l = a->login;
    l->running--;
    pump(l);
    if (err == 0)
        err = a->result;
    if (err == 0 && !a->known)
        err = ERR_AUTH;
    if (err == 0 && state_end_log_in(l->state, a->user, a->addr, on_taken_back, a) == 0)
        return;
    finish(a, err, 0);
}

static void pump(struct login *l)
{
    while (l->running < LOGIN_AT_ONCE && !list_empty(&l->waiting)) {
        struct attempt *a = LIST_ENTRY(list_pop_front(&l->waiting), struct attempt, node);
        if (work_start(l->loop, run_hash, on_hashed, a, NULL) == 0)
            l->running++;
        else
            finish(a, ERR_NOMEM, 0);
    }
}

/* ---- the count of tries ---- */

static void on_user(void *arg, int err, const struct state_user *user)
{
    struct attempt *a = arg;
    if (err < 0 && err != ERR_NOTFOUND) {
        finish(a, err, user != NULL ? user->retry_after_s : 0);
        return;
    }
    a->known = err == 0;
    memcpy(a->hash, a->known ? user->hash : password_nobody, STATE_HASH_SIZE);
    list_push_back(&a->login->waiting, &a->node);
    pump(a->login);
}

int login_start(struct login *l, const char *user, struct slice password, const char *addr,
                login_done_fn *done, void *arg)
{
    if (!config_is_principal(slice_str(user)) || password.len > PASSWORD_MAX)
        return ERR_AUTH; /* nobody is called that, nobody has that */
    if (l->count >= LOGIN_WAITING)
        return ERR_LIMIT;
    struct attempt *a = NEW(struct attempt);
    if (a == NULL)
        return ERR_NOMEM;
    list_init(&a->node);
    a->login = l;
    a->done = done;
    a->arg = arg;
    a->password_len = password.len;
    if (password.len > 0)
        memcpy(a->password, password.data, password.len);
    int r = str_copy(a->user, sizeof(a->user), user);
    if (r == 0)
        r = str_copy(a->addr, sizeof(a->addr), addr);
    if (r == 0)
        r = state_begin_log_in(l->state, user, addr, clock_wall_s(), on_user, a);
    if (r < 0) {
        mem_free_wiped(a, sizeof(*a));
        return r;
    }
    l->count++;
    return 0;
}
