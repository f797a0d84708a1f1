/* The public library: what policy.h promises, over endpoint.h and lookup.h. */
#include <stile/policy.h>

#include <assert.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/l4_check.h"
#include "policy/l4_json.h"
#include "policy/l4_options.h"
#include "policy/lookup.h"
#include "policy/shown.h"

struct stile_policies {
    struct l4_policies list;
};

/* ---- Errors ---- */

static const struct {
    int err, code;
} codes[] = {
    {ERR_NOMEM, STILE_POLICY_ENOMEM},
    {ERR_INVAL, STILE_POLICY_EINVAL},
    {ERR_FORMAT, STILE_POLICY_EFORMAT},
    {ERR_TOOBIG, STILE_POLICY_ETOOBIG},
    {ERR_LIMIT, STILE_POLICY_ELIMIT},
    {ERR_NOTFOUND, STILE_POLICY_ENOTFOUND},
    {ERR_DENIED, STILE_POLICY_EDENIED},
    {ERR_EXPIRED, STILE_POLICY_EEXPIRED},
    {ERR_BUSY, STILE_POLICY_EBUSY},
    {ERR_AGAIN, STILE_POLICY_EBUSY},
    {ERR_TIMEOUT, STILE_POLICY_ETIMEOUT},
    {ERR_CLOSED, STILE_POLICY_EUNREACHABLE},
    {ERR_REFUSED, STILE_POLICY_EUNREACHABLE},
    {ERR_UNREACHABLE, STILE_POLICY_EUNREACHABLE},
    {ERR_PROTOCOL, STILE_POLICY_EUNREACHABLE},
    {ERR_TRUNCATED, STILE_POLICY_EUNREACHABLE},
    {ERR_VERSION, STILE_POLICY_EVERSION},
    {ERR_UNSUPPORTED, STILE_POLICY_EUNSUPPORTED},
    {ERR_PERM, STILE_POLICY_EPERM},
    {ERR_AUTH, STILE_POLICY_EPERM},
    {ERR_IO, STILE_POLICY_EIO},
    {ERR_EXISTS, STILE_POLICY_EEXISTS},
    {ERR_BLOCKED, STILE_POLICY_EBLOCKED},
};

static const char *const code_names[] = {
    [-STILE_POLICY_OK] = "STILE_POLICY_OK",
    [-STILE_POLICY_EINTERNAL] = "STILE_POLICY_EINTERNAL",
    [-STILE_POLICY_ENOMEM] = "STILE_POLICY_ENOMEM",
    [-STILE_POLICY_EINVAL] = "STILE_POLICY_EINVAL",
    [-STILE_POLICY_EFORMAT] = "STILE_POLICY_EFORMAT",
    [-STILE_POLICY_ETOOBIG] = "STILE_POLICY_ETOOBIG",
    [-STILE_POLICY_ELIMIT] = "STILE_POLICY_ELIMIT",
    [-STILE_POLICY_ENOTFOUND] = "STILE_POLICY_ENOTFOUND",
    [-STILE_POLICY_EDENIED] = "STILE_POLICY_EDENIED",
    [-STILE_POLICY_EEXPIRED] = "STILE_POLICY_EEXPIRED",
    [-STILE_POLICY_EBUSY] = "STILE_POLICY_EBUSY",
    [-STILE_POLICY_ETIMEOUT] = "STILE_POLICY_ETIMEOUT",
    [-STILE_POLICY_EUNREACHABLE] = "STILE_POLICY_EUNREACHABLE",
    [-STILE_POLICY_EVERSION] = "STILE_POLICY_EVERSION",
    [-STILE_POLICY_EUNSUPPORTED] = "STILE_POLICY_EUNSUPPORTED",
    [-STILE_POLICY_EPERM] = "STILE_POLICY_EPERM",
    [-STILE_POLICY_EIO] = "STILE_POLICY_EIO",
    [-STILE_POLICY_EEXISTS] = "STILE_POLICY_EEXISTS",
    [-STILE_POLICY_EBLOCKED] = "STILE_POLICY_EBLOCKED",
};

static_assert(sizeof(((struct stile_policy_error *)NULL)->text) >=
                  sizeof(((struct diag *)NULL)->text),
              "a text fits");

static int code_of(int err)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].err == err)
            return codes[i].code;
    }
    return err == 0 ? STILE_POLICY_OK : STILE_POLICY_EINTERNAL;
}

/* From our error and its text to the caller's; 0 stays 0 and leaves *error alone. */
static int tell(int err, const struct diag *d, struct stile_policy_error *error)
{
    if (err >= 0)
        return 0;
    int code = code_of(err);
    if (error != NULL) {
        *error = (struct stile_policy_error){.code = code};
        (void)str_format(error->text, sizeof(error->text), "%s",
                         d->text[0] != '\0' ? d->text : err_text(err));
        shown_line(error->text);
    }
    return code;
}

static int refuse(const char *text, struct stile_policy_error *error)
{
    struct diag d = {0};

    return tell(diag_set(&d, ERR_INVAL, 0, "%s", text), &d, error);
}

static int refuse_null(struct stile_policy_error *error)
{
    return refuse("an argument is NULL", error);
}

const char *stile_policy_code_name(int code)
{
    return code <= 0 && code > -(int)ARRAY_LEN(code_names) ? code_names[-code] : "unknown code";
}

const char *stile_policy_version(void)
{
    return STILE_VERSION;
}

void stile_policy_free(char *text)
{
    mem_free(text);
}

/* ---- Policies ---- */

int stile_policies_new(struct stile_policies **ret, struct stile_policy_error *error)
{
    struct stile_policies *p;

    if (ret == NULL)
        return refuse_null(error);
    p = NEW(struct stile_policies);
    if (p == NULL)
        return tell(ERR_NOMEM, &(struct diag){0}, error);
    l4_policies_init(&p->list);
    *ret = p;
    return 0;
}

void stile_policies_free(struct stile_policies *p)
{
    if (p == NULL)
        return;
    l4_policies_release(&p->list);
    mem_free(p);
}

size_t stile_policies_count(const struct stile_policies *p)
{
    return p != NULL ? p->list.count : 0;
}

/* Takes what is in `list`. */
static void replace(struct stile_policies *p, struct l4_policies *list)
{
    l4_policies_release(&p->list);
    p->list = *list;
    l4_policies_init(list);
}

int stile_policies_read_json(struct stile_policies *p, const char *text, size_t len,
                             struct stile_policy_error *error)
{
    struct l4_policies list;
    struct diag d = {0};

    if (p == NULL || text == NULL)
        return refuse_null(error);
    int r = l4_json_read(slice_of(text, len), &list, &d);
    if (r == 0)
        replace(p, &list);
    return tell(r, &d, error);
}

/* The buffer's text becomes the caller's. */
static int give_text(struct buf *b, int r, char **ret, struct stile_policy_error *error)
{
    char *text = r == 0 ? buf_steal_cstr(b) : NULL;

    if (r == 0 && text == NULL)
        r = ERR_NOMEM;
    if (r == 0)
        *ret = text;
    return tell(r, &(struct diag){0}, error);
}

int stile_policies_write_json(const struct stile_policies *p, char **ret,
                              struct stile_policy_error *error)
{
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, SIZE_MAX);
    if (p == NULL || ret == NULL)
        return refuse_null(error);
    return give_text(&b, l4_json_write(&p->list, &b), ret, error);
}

int stile_policies_describe(const struct stile_policies *p, size_t index, char **ret,
                            struct stile_policy_error *error)
{
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, SIZE_MAX);
    if (p == NULL || ret == NULL)
        return refuse_null(error);
    if (index >= p->list.count)
        return refuse("there is no policy with this number", error);
    return give_text(&b, l4_policy_format(&p->list.items[index], &b), ret, error);
}

static int add_policy(struct stile_policies *p, const struct l4_setting *settings, size_t count,
                      struct diag *d)
{
    struct l4_policy policy;
    int r = l4_options_read(settings, count, &policy, d);

    if (r == 0)
        r = l4_policies_add(&p->list, &policy);
    if (r == ERR_LIMIT && d->text[0] == '\0')
        return diag_set(d, r, 0, "there are %d policies already, more are not taken",
                        L4_POLICIES_MAX);
    return r;
}

int stile_policies_add(struct stile_policies *p, const struct stile_policy_setting *settings,
                       size_t count, struct stile_policy_error *error)
{
    CLEANUP(mem_freep) struct l4_setting *own = NULL;
    struct diag d = {0};

    if (p == NULL || (settings == NULL && count > 0))
        return refuse_null(error);
    own = mem_array(count, sizeof(*own));
    if (own == NULL)
        return tell(ERR_NOMEM, &d, error);
    for (size_t i = 0; i < count; i++)
        own[i] = (struct l4_setting){settings[i].name, settings[i].value};
    return tell(add_policy(p, own, count, &d), &d, error);
}

int stile_policies_validate(const struct stile_policies *p, int system,
                            struct stile_policy_error *error)
{
    struct diag d = {0};
    enum l4_system here = l4_system_here();

    if (p == NULL)
        return refuse_null(error);
    if (system == STILE_POLICY_LINUX)
        here = L4_LINUX;
    else if (system == STILE_POLICY_WINDOWS)
        here = L4_WINDOWS;
    else if (system != STILE_POLICY_HERE)
        return refuse("there is no such system", error);
    return tell(l4_check(&p->list, here, &d), &d, error);
}

/* ---- Endpoints ---- */

void stile_endpoint_names_release(struct stile_endpoint_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->names[i]);
    mem_free(names->names);
    *names = (struct stile_endpoint_names){0};
}

static int copy_names(const struct lookup_result *found, struct stile_endpoint_names *ret)
{
    struct stile_endpoint_names names = {.names = mem_array(found->count, sizeof(char *))};

    if (names.names == NULL)
        return ERR_NOMEM;
    for (; names.count < found->count; names.count++) {
        names.names[names.count] = mem_strdup(found->names[names.count]);
        if (names.names[names.count] == NULL) {
            stile_endpoint_names_release(&names);
            return ERR_NOMEM;
        }
    }
    *ret = names;
    return 0;
}

int stile_endpoint_find(const char *runtime, const char *container,
                        struct stile_endpoint_names *ret, struct stile_policy_error *error)
{
    struct lookup_result found = {0};
    struct diag d = {0};

    if (container == NULL || ret == NULL)
        return refuse_null(error);
    int r = lookup_container(runtime, container, &found, &d);
    if (r == 0)
        r = copy_names(&found, ret);
    return tell(r, &d, error);
}

/* The endpoint itself is what callers hold: they know nothing but its name. */
static struct endpoint *inner(struct stile_endpoint *e)
{
    return (struct endpoint *)(void *)e;
}

int stile_endpoint_open(const char *name, uint32_t flags, struct stile_endpoint **ret,
                        struct stile_policy_error *error)
{
    struct endpoint *e = NULL;
    struct diag d = {0};

    if (name == NULL || ret == NULL)
        return refuse_null(error);
    if ((flags & ~(uint32_t)STILE_ENDPOINT_HOST) != 0)
        return refuse("there is no such flag", error);
    int r = endpoint_open(name, (flags & STILE_ENDPOINT_HOST) != 0 ? ENDPOINT_HOST : 0, &e, &d);
    if (r == 0)
        *ret = (struct stile_endpoint *)(void *)e;
    return tell(r, &d, error);
}

void stile_endpoint_close(struct stile_endpoint *e)
{
    endpoint_close(inner(e));
}

int stile_endpoint_list(struct stile_endpoint *e, struct stile_policies *into,
                        struct stile_policy_error *error)
{
    struct l4_policies list;
    struct diag d = {0};

    if (e == NULL || into == NULL)
        return refuse_null(error);
    l4_policies_init(&list);
    int r = endpoint_list(inner(e), &list, &d);
    if (r == 0)
        replace(into, &list);
    l4_policies_release(&list);
    return tell(r, &d, error);
}

void stile_policy_result_release(struct stile_policy_result *r)
{
    if (r == NULL)
        return;
    mem_free(r->sent);
    mem_free(r->notes);
    *r = (struct stile_policy_result){0};
}

/* The change is made by now: that there is no memory for its texts doesn't undo it. */
static void give_result(struct endpoint_change *c, struct stile_policy_result *ret)
{
    *ret = (struct stile_policy_result){.added = c->added,
                                        .removed = c->removed,
                                        .unchanged = c->unchanged,
                                        .drifted = c->drifted,
                                        .sent = buf_steal_cstr(&c->sent),
                                        .notes = buf_steal_cstr(&c->notes)};
}

typedef int change_fn(struct endpoint *e, const struct l4_policies *policies,
                      struct endpoint_change *c, struct diag *d);

static int change(struct stile_endpoint *e, change_fn *fn, const struct stile_policies *policies,
                  uint32_t flags, struct stile_policy_result *ret, struct stile_policy_error *error)
{
    CLEANUP(endpoint_change_release) struct endpoint_change c;
    struct diag d = {0};

    endpoint_change_init(&c);
    if (e == NULL)
        return refuse_null(error);
    if ((flags & ~(uint32_t)STILE_POLICY_DRY_RUN) != 0)
        return refuse("there is no such flag", error);
    c.dry_run = (flags & STILE_POLICY_DRY_RUN) != 0;
    int r = fn(inner(e), policies != NULL ? &policies->list : NULL, &c, &d);
    if (r == 0 && ret != NULL)
        give_result(&c, ret);
    return tell(r, &d, error);
}

int stile_endpoint_add(struct stile_endpoint *e, const struct stile_policies *more, uint32_t flags,
                       struct stile_policy_result *ret, struct stile_policy_error *error)
{
    return more == NULL ? refuse_null(error) : change(e, endpoint_add, more, flags, ret, error);
}

int stile_endpoint_remove(struct stile_endpoint *e, const struct stile_policies *those,
                          uint32_t flags, struct stile_policy_result *ret,
                          struct stile_policy_error *error)
{
    return those == NULL ? refuse_null(error)
                         : change(e, endpoint_remove, those, flags, ret, error);
}

int stile_endpoint_apply(struct stile_endpoint *e, const struct stile_policies *wanted,
                         uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error)
{
    return wanted == NULL ? refuse_null(error)
                          : change(e, endpoint_apply, wanted, flags, ret, error);
}

int stile_endpoint_reconcile(struct stile_endpoint *e, const struct stile_policies *wanted,
                             uint32_t flags, struct stile_policy_result *ret,
                             struct stile_policy_error *error)
{
    return change(e, endpoint_reconcile, wanted, flags, ret, error);
}

static int clear(struct endpoint *e, const struct l4_policies *none, struct endpoint_change *c,
                 struct diag *d)
{
    (void)none;
    return endpoint_clear(e, c, d);
}

int stile_endpoint_clear(struct stile_endpoint *e, uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error)
{
    return change(e, clear, NULL, flags, ret, error);
}

static int block(struct endpoint *e, const struct l4_policies *none, struct endpoint_change *c,
                 struct diag *d)
{
    (void)none;
    return endpoint_block(e, c, d);
}

int stile_endpoint_block(struct stile_endpoint *e, uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error)
{
    return change(e, block, NULL, flags, ret, error);
}

int stile_endpoint_is_blocked(struct stile_endpoint *e, int *ret, struct stile_policy_error *error)
{
    struct diag d = {0};
    bool blocked = false;

    if (e == NULL || ret == NULL)
        return refuse_null(error);
    int r = endpoint_is_blocked(inner(e), &blocked, &d);
    if (r == 0)
        *ret = blocked;
    return tell(r, &d, error);
}
