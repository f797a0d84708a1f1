#include "agent/lookups.h"

#include <string.h>

#include "agent/given.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"

/* One name. It is in the table as long as it lives; while it is pinned it isn't dropped. */
struct lookup {
    struct lookups *owner;
    char fqdn[PROFILE_HOST_SIZE];
    app_info *info;   /* the last good answer, or NULL */
    struct diag diag; /* the last failure; err 0: none since the last good answer */
    uint64_t until_ns;
    bool asking;
    unsigned pins;  /* questions on their way and answers being given */
    bool forgotten; /* cleared while asking: the answer serves those that wait and nobody after */
    struct list waiters;
};

struct waiter {
    struct list node;
    directory_resolve_fn *done;
    void *arg;
};

struct lookups {
    struct directory directory;
    struct lookups_ages ages;
    struct table table;
    struct given given;
};

int lookups_new(struct directory directory, const struct lookups_ages *ages, struct lookups **ret)
{
    static const struct lookups_ages usual = {
        .found = LOOKUP_FOUND_MS, .not_found = LOOKUP_NOT_FOUND_MS, .failed = LOOKUP_FAILED_MS};
    uint8_t secret[16];
    struct lookups *l = NEW(struct lookups);
    if (l == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&l->table, secret);
    l->directory = directory;
    l->ages = ages != NULL ? *ages : usual;
    int r = given_init(&l->given);
    if (r < 0) {
        mem_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void lookup_free(struct lookup *k)
{
    if (k->info != NULL)
        stile__vnet__v1__app_info__free_unpacked(k->info, NULL);
    mem_free(k);
}

static void drop(struct lookups *l, struct lookup *k)
{
    table_remove(&l->table, slice_str(k->fqdn));
    lookup_free(k);
}

/* All that nobody waits for; over the cap any one of them. */
static void drop_idle(struct lookups *l, bool only_one)
{
    for (bool again = true; again;) {
        struct lookup *k = NULL;
        again = false;
        for (size_t i = 0; (k = table_next(&l->table, &i)) != NULL;) {
            if (k->pins > 0)
                continue;
            drop(l, k);
            again = !only_one;
            break;
        }
    }
}

void lookups_free(struct lookups *l)
{
    if (l == NULL)
        return;
    drop_idle(l, false);
    table_release(&l->table);
    given_release(&l->given);
    mem_free(l);
}

void lookups_clear(struct lookups *l)
{
    struct lookup *k = NULL;
    drop_idle(l, false);
    for (size_t i = 0; (k = table_next(&l->table, &i)) != NULL;)
        k->forgotten = true;
}

static app_info *copy_info(const app_info *info)
{
    size_t size = stile__vnet__v1__app_info__get_packed_size(info);
    CLEANUP(mem_freep) uint8_t *packed = mem_alloc(size);
    if (packed == NULL)
        return NULL;
    stile__vnet__v1__app_info__pack(info, packed);
    return stile__vnet__v1__app_info__unpack(NULL, size, packed);
}

/* Failures that say nothing about the name: what was known of it still holds. */
static bool is_passing(int err)
{
    return err != ERR_NOTFOUND && err != ERR_DENIED && err != ERR_PROTOCOL;
}

static void answer(struct lookup *k, directory_resolve_fn *done, void *arg)
{
    bool good = k->info != NULL && (k->diag.err == 0 || is_passing(k->diag.err));
    if (good && given_add(&k->owner->given, &k->info->base) == 0)
        done(arg, 0, k->info, NULL);
    else
        done(arg, k->diag.err != 0 ? k->diag.err : ERR_NOMEM, NULL, &k->diag);
}

static void settle(struct lookup *k)
{
    struct list batch;
    list_init(&batch);
    for (struct list *n = list_pop_front(&k->waiters); n != NULL; n = list_pop_front(&k->waiters))
        list_push_back(&batch, n);
    const struct lookups_ages *ages = &k->owner->ages;
    uint64_t ms = k->diag.err == 0              ? ages->found
                  : k->diag.err == ERR_NOTFOUND ? ages->not_found
                                                : ages->failed;
    k->until_ns = clock_mono_ns() + ms * NS_PER_MS;
    k->asking = false;
    for (struct list *n = list_pop_front(&batch); n != NULL; n = list_pop_front(&batch)) {
        struct waiter *w = LIST_ENTRY(n, struct waiter, node);
        answer(k, w->done, w->arg);
        mem_free(w);
    }
    k->pins--;
    if (k->forgotten && k->pins == 0)
        drop(k->owner, k);
}

static void on_answer(void *arg, int err, const app_info *info, const struct diag *d)
{
    struct lookup *k = arg;
    if (err < 0) {
        k->diag = *d;
        k->diag.err = err;
    } else {
        app_info *copy = copy_info(info);
        k->diag = (struct diag){0};
        if (copy == NULL)
            diag_set(&k->diag, ERR_NOMEM, 0, "Out of memory");
        if (k->info != NULL)
            stile__vnet__v1__app_info__free_unpacked(k->info, NULL);
        k->info = copy;
    }
    settle(k);
}

static struct lookup *lookup_new(struct lookups *l, const char *fqdn)
{
    if (l->table.count >= LOOKUPS_MAX)
        drop_idle(l, true);
    if (l->table.count >= LOOKUPS_MAX)
        return NULL;
    struct lookup *k = NEW(struct lookup);
    if (k == NULL)
        return NULL;
    k->owner = l;
    list_init(&k->waiters);
    if (str_copy(k->fqdn, sizeof(k->fqdn), fqdn) < 0 ||
        table_put(&l->table, slice_str(k->fqdn), k) < 0) {
        mem_free(k);
        return NULL;
    }
    return k;
}

static int add_waiter(struct lookup *k, directory_resolve_fn *done, void *arg)
{
    struct waiter *w = NEW(struct waiter);
    if (w == NULL)
        return ERR_NOMEM;
    w->done = done;
    w->arg = arg;
    list_push_back(&k->waiters, &w->node);
    return 0;
}

static void ask(struct lookup *k)
{
    struct directory *dir = &k->owner->directory;
    struct diag d = {0};
    k->asking = true;
    k->pins++;
    int r = dir->ops->resolve(dir->self, k->fqdn, on_answer, k, &d);
    if (r < 0) {
        k->diag = d;
        k->diag.err = r;
        settle(k);
    }
}

static int normalise(char text[PROFILE_HOST_SIZE], const char *fqdn)
{
    int r = str_copy(text, PROFILE_HOST_SIZE, fqdn);
    size_t len = strlen(text);
    if (r < 0 || len == 0 || !str_is_printable(slice_str(text)))
        return ERR_INVAL;
    if (text[len - 1] == '.')
        text[len - 1] = '\0';
    str_lower(text);
    return 0;
}

void lookups_resolve(struct lookups *l, const char *fqdn, directory_resolve_fn *done, void *arg)
{
    char name[PROFILE_HOST_SIZE];
    struct diag d = {0};
    if (normalise(name, fqdn) < 0) {
        diag_set(&d, ERR_NOTFOUND, 0, "That is not a name");
        done(arg, d.err, NULL, &d);
        return;
    }
    struct lookup *k = table_get(&l->table, slice_str(name));
    if (k != NULL && !k->asking && !k->forgotten && clock_mono_ns() < k->until_ns) {
        answer(k, done, arg);
        return;
    }
    if (k == NULL)
        k = lookup_new(l, name);
    if (k == NULL || add_waiter(k, done, arg) < 0) {
        diag_set(&d, ERR_LIMIT, 0, "Too many names are being looked up");
        done(arg, d.err, NULL, &d);
        return;
    }
    if (!k->asking)
        ask(k);
}

bool lookups_gave(const struct lookups *l, const app_info *info)
{
    return given_has(&l->given, &info->base);
}
