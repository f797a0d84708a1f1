/* Endpoints of Windows: what HNS holds is read, compared with what is wanted, and the difference is
 * asked for.
 *
 * HNS changes an endpoint by two requests, one that removes and one that adds; there is none that
 * replaces. Policies that go are removed first (an endpoint takes one proxy), so between the two
 * the endpoint has none of them for a moment. When the second fails, the first is taken back; where
 * that fails too, the error says which policies are missing. Other writers of ours wait for the
 * endpoint's lock meanwhile.
 */
#include "policy/endpoint.h"

#include "base/mem.h"
#include "base/str.h"
#include "policy/hns.h"
#include "policy/hns_endpoint.h"
#include "policy/hns_json.h"
#include "policy/hns_lock.h"
#include "policy/hns_policy.h"
#include "policy/hns_request.h"
#include "policy/l4_check.h"
#include "policy/l4_index.h"

struct endpoint {
    struct guid id;
    struct hns_endpoint_handle *handle;
};

/* What an endpoint holds at the moment. */
struct held {
    json_t *raw;                 /* owned: the policies as they were read */
    struct l4_policies policies; /* the same, understood: up to the first that isn't */
    struct diag why;             /* .err: there is one that isn't */
};

/* What shall become of it. Arrays are owned. */
struct plan {
    json_t *remove, *add; /* as HNS takes them */
    size_t unchanged;
};

static void held_release(struct held *h)
{
    json_decref(h->raw);
    l4_policies_release(&h->policies);
}

static void plan_release(struct plan *p)
{
    json_decref(p->remove);
    json_decref(p->add);
}

static int plan_init(struct plan *p, struct diag *d)
{
    *p = (struct plan){.remove = json_array(), .add = json_array()};
    return p->remove != NULL && p->add != NULL ? 0 : diag_no_memory(d);
}

/* A new reference goes into the array. */
static int append(json_t *array, json_t *value, struct diag *d)
{
    return value != NULL && json_array_append_new(array, value) == 0 ? 0 : diag_no_memory(d);
}

static int query(struct endpoint *e, struct hns_endpoint *ret, struct diag *d)
{
    CLEANUP(mem_freep) char *text = NULL;
    int r = hns_endpoint_query(e->handle, &text, d);
    return r < 0 ? r : hns_endpoint_parse(slice_str(text), ret, d);
}

/* Reads as many policies as it understands. */
static int understand(struct held *h, struct diag *d)
{
    size_t i = 0;
    const json_t *value = NULL;
    json_array_foreach(h->raw, i, value)
    {
        char what[32];
        struct l4_policy p;
        (void)str_format(what, sizeof(what), "policy %zu", i + 1);
        int r = hns_policy_read(value, what, &p, &h->why);
        if (r == ERR_NOMEM)
            return diag_no_memory(d);
        if (r < 0)
            return 0;
        r = l4_policies_add(&h->policies, &p);
        if (r < 0)
            return diag_set(d, r, 0, "Failed to keep policy %zu: %s", i + 1, err_text(r));
    }
    return 0;
}

static int read_held(struct endpoint *e, struct held *ret, struct diag *d)
{
    struct hns_endpoint state = {0};
    int r = query(e, &state, d);
    if (r < 0)
        return r;
    *ret = (struct held){.raw = STEAL(state.policies)};
    l4_policies_init(&ret->policies);
    hns_endpoint_release(&state);
    return understand(ret, d);
}

static int check_understood(const struct held *h, struct diag *d)
{
    if (h->why.err == 0)
        return 0;
    return diag_set(d, ERR_FORMAT, 0,
                    "HNS holds a policy that is not understood: %.300s. `stile policy clear` "
                    "removes it",
                    h->why.text);
}

/* Whose endpoint it is. */
static int check_owner(const struct hns_endpoint *state, bool allow_host, struct diag *d)
{
    struct hns_namespace space;
    if (!state->has_namespace)
        return allow_host ? 0
                          : diag_set(d, ERR_DENIED, 0,
                                     "Endpoint %s is in no container's network. Say --host if you "
                                     "mean it nevertheless",
                                     state->id.text);
    int r = hns_namespace_read(&state->space, &space, d);
    if (r == 0)
        r = hns_namespace_check(&space, allow_host, d);
    return r < 0 && d != NULL ? diag_prefix(d, "Endpoint %s: ", state->id.text) : r;
}

static int check_endpoint(struct endpoint *e, unsigned flags, struct diag *d)
{
    struct hns_endpoint state = {0};
    int r = query(e, &state, d);
    if (r < 0)
        return r;
    r = guid_eq(&state.id, &e->id)
            ? check_owner(&state, (flags & ENDPOINT_HOST) != 0, d)
            : diag_set(d, ERR_FORMAT, 0, "HNS was asked for endpoint %s and told of %s", e->id.text,
                       state.id.text);
    hns_endpoint_release(&state);
    return r;
}

int endpoint_system(char ret[ENDPOINT_SYSTEM_SIZE], struct diag *d)
{
    struct hns_version v;
    int r = hns_version(&v, d);
    return r < 0 ? r : str_format(ret, ENDPOINT_SYSTEM_SIZE, "HNS %u.%u", v.major, v.minor);
}

int endpoint_open(const char *name, unsigned flags, struct endpoint **ret, struct diag *d)
{
    CLEANUP(endpoint_closep) struct endpoint *e = NEW(struct endpoint);
    if (e == NULL)
        return diag_no_memory(d);
    if (guid_parse(name, &e->id, d) < 0)
        return d != NULL ? (d->err = ERR_INVAL) : ERR_INVAL;
    int r = hns_check(d);
    if (r == 0)
        r = hns_endpoint_open(&e->id, &e->handle, d);
    if (r == 0)
        r = check_endpoint(e, flags, d);
    if (r == 0)
        *ret = STEAL(e);
    return r;
}

void endpoint_close(struct endpoint *e)
{
    if (e == NULL)
        return;
    hns_endpoint_close(e->handle);
    mem_free(e);
}

void endpoint_closep(struct endpoint **e)
{
    endpoint_close(*e);
}

const char *endpoint_name(const struct endpoint *e)
{
    return e->id.text;
}

int endpoint_list(struct endpoint *e, struct l4_policies *ret, struct diag *d)
{
    struct held h = {0};
    int r = read_held(e, &h, d);
    if (r == 0)
        r = check_understood(&h, d);
    if (r == 0) {
        l4_policies_sort(&h.policies);
        r = l4_policies_copy(&h.policies, ret);
        if (r < 0)
            (void)diag_set(d, r, 0, "Failed to list the policies: %s", err_text(r));
    }
    held_release(&h);
    return r;
}

/* The place of the first like it among those not taken. */
static bool find_held(const struct held *h, const struct l4_policy *wanted, const bool *taken,
                      size_t *ret)
{
    for (size_t i = 0; i < h->policies.count; i++) {
        if (taken[i] || !l4_policy_eq(&h->policies.items[i], wanted))
            continue;
        *ret = i;
        return true;
    }
    return false;
}

/* One element more than there are: none is too few. */
static bool *new_marks(const struct held *h)
{
    return mem_array(json_array_size(h->raw) + 1, sizeof(bool));
}

/* What is wanted and not there is added; what is there and not wanted is removed if it may be. */
static int plan_difference(const struct held *h, const struct l4_policies *wanted, bool removes,
                           struct plan *p, struct diag *d)
{
    CLEANUP(mem_freep) bool *taken = new_marks(h);
    if (taken == NULL)
        return diag_no_memory(d);
    for (size_t i = 0; i < wanted->count; i++) {
        size_t at = 0;
        if (find_held(h, &wanted->items[i], taken, &at)) {
            taken[at] = true;
            p->unchanged++;
            continue;
        }
        int r = append(p->add, hns_policy_make(&wanted->items[i]), d);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; removes && i < json_array_size(h->raw); i++) {
        int r = taken[i] ? 0 : append(p->remove, json_incref(json_array_get(h->raw, i)), d);
        if (r < 0)
            return r;
    }
    return 0;
}

static int plan_remove(const struct held *h, const struct l4_policies *those, struct plan *p,
                       struct diag *d)
{
    CLEANUP(mem_freep) bool *taken = new_marks(h);
    if (taken == NULL)
        return diag_no_memory(d);
    for (size_t i = 0; i < those->count; i++) {
        size_t at = 0;
        if (!find_held(h, &those->items[i], taken, &at))
            return diag_set(d, ERR_NOTFOUND, 0,
                            "Policy %zu of those to be removed is not there; nothing was removed",
                            i + 1);
        taken[at] = true;
        int r = append(p->remove, json_incref(json_array_get(h->raw, at)), d);
        if (r < 0)
            return r;
    }
    p->unchanged = json_array_size(h->raw) - those->count;
    return 0;
}

/* Sends a request, or notes it. */
static int request(struct endpoint *e, enum hns_request type, json_t *policies,
                   struct endpoint_change *c, struct diag *d)
{
    CLEANUP(mem_freep) char *text = hns_request_write(type, policies);
    if (text == NULL)
        return diag_no_memory(d);
    int r = buf_put_str(&c->sent, text);
    if (r == 0)
        r = buf_put_u8(&c->sent, '\n');
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the request: %s", err_text(r));
    return c->dry_run ? 0 : hns_endpoint_modify(e->handle, text, d);
}

/* The policies that were removed come back. Always an error: that of the second request. */
static int take_back(struct endpoint *e, json_t *removed, struct diag *d)
{
    struct diag own = {0}, first = {0};
    CLEANUP(mem_freep) char *text = hns_request_write(HNS_ADD, removed);
    int r = text != NULL ? hns_endpoint_modify(e->handle, text, &own) : diag_no_memory(&own);
    if (d == NULL)
        return ERR_IO;
    first = *d;
    if (r == 0)
        return diag_set(d, first.err, first.os_code,
                        "%.380s. The policies that were there before are back", first.text);
    return diag_set(
        d, first.err, first.os_code,
        "%.180s. What had been removed for it could not be put back (%.120s): the endpoint is "
        "without these policies now (%zu of them). Apply again",
        first.text, own.text, json_array_size(removed));
}

static int check_exact(const json_t *policies, struct diag *d)
{
    int r = 0;
    for (size_t i = 0; i < json_array_size(policies) && r == 0; i++)
        r = hns_policy_check_exact(json_array_get(policies, i), d);
    return r;
}

static int carry_out(struct endpoint *e, const struct plan *p, struct endpoint_change *c,
                     struct diag *d)
{
    struct diag own = {0};
    size_t removed = json_array_size(p->remove), added = json_array_size(p->add);
    int r = check_exact(p->remove, &own);
    if (r == 0 && removed > 0)
        r = request(e, HNS_REMOVE, p->remove, c, &own);
    if (r == 0 && added > 0) {
        r = request(e, HNS_ADD, p->add, c, &own);
        if (r < 0 && removed > 0 && !c->dry_run)
            r = take_back(e, p->remove, &own);
    }
    if (r < 0)
        return d != NULL ? (*d = own).err : r;
    c->removed = removed;
    c->added = added;
    c->unchanged = p->unchanged;
    return 0;
}

/* As HNS would hold them: so they are compared with what it holds. What is given twice counts
 * once. */
static int make_plain(const struct l4_policies *l, struct l4_policies *ret, struct diag *d)
{
    struct l4_index known;
    size_t at = 0;
    l4_index_init(&known, ret);
    for (size_t i = 0; i < l->count; i++) {
        struct l4_policy p;
        int r = hns_policy_plain(&l->items[i], &p, d);
        l4_index_extend(&known, ret->count);
        if (r == 0 && !l4_index_find(&known, &p, &at) && (r = l4_policies_add(ret, &p)) < 0)
            (void)diag_set(d, r, 0, "Failed to keep policy %zu: %s", i + 1, err_text(r));
        if (r < 0)
            return r;
    }
    return 0;
}

/* A change of what is there: `make` says which. */
typedef int plan_fn(const struct held *h, const struct l4_policies *l, struct plan *p,
                    struct diag *d);

static int change(struct endpoint *e, plan_fn *make, const struct l4_policies *l,
                  struct endpoint_change *c, struct diag *d)
{
    struct held h = {0};
    struct plan p = {0};
    struct l4_policies plain;
    CLEANUP(hns_lock_releasep) struct hns_lock *lock = NULL;
    l4_policies_init(&plain);
    endpoint_change_begin(c);
    int r = make_plain(l, &plain, d);
    if (r == 0)
        r = hns_lock_take(&e->id, ENDPOINT_TIMEOUT_MS, &lock, d);
    if (r == 0)
        r = read_held(e, &h, d);
    if (r == 0)
        r = plan_init(&p, d);
    if (r == 0)
        r = make(&h, &plain, &p, d);
    if (r == 0)
        r = carry_out(e, &p, c, d);
    plan_release(&p);
    held_release(&h);
    l4_policies_release(&plain);
    return r;
}

/* What is there, and what is added, must go together. */
static int check_whole(const struct held *h, const struct l4_policies *more, struct diag *d)
{
    struct l4_policies all;
    CLEANUP(mem_freep) bool *none = new_marks(h);
    if (none == NULL)
        return diag_no_memory(d);
    l4_policies_init(&all);
    int r = l4_policies_copy(&h->policies, &all);
    for (size_t i = 0; r == 0 && i < more->count; i++) {
        size_t at = 0;
        if (!find_held(h, &more->items[i], none, &at))
            r = l4_policies_add(&all, &more->items[i]);
    }
    if (r < 0)
        (void)diag_set(d, r, 0, "Failed to look at all policies together: %s", err_text(r));
    else
        r = l4_check(&all, L4_WINDOWS, d);
    l4_policies_release(&all);
    return r;
}

static int plan_add(const struct held *h, const struct l4_policies *more, struct plan *p,
                    struct diag *d)
{
    int r = check_understood(h, d);
    if (r == 0)
        r = check_whole(h, more, d);
    return r < 0 ? r : plan_difference(h, more, false, p, d);
}

static int plan_apply(const struct held *h, const struct l4_policies *wanted, struct plan *p,
                      struct diag *d)
{
    return plan_difference(h, wanted, true, p, d);
}

int endpoint_add(struct endpoint *e, const struct l4_policies *more, struct endpoint_change *c,
                 struct diag *d)
{
    /* Alone they must make sense, too: then the texts number what the caller gave. */
    int r = l4_check(more, L4_WINDOWS, d);
    return r < 0 ? r : change(e, plan_add, more, c, d);
}

int endpoint_remove(struct endpoint *e, const struct l4_policies *those, struct endpoint_change *c,
                    struct diag *d)
{
    return change(e, plan_remove, those, c, d);
}

int endpoint_apply(struct endpoint *e, const struct l4_policies *wanted, struct endpoint_change *c,
                   struct diag *d)
{
    int r = l4_check(wanted, L4_WINDOWS, d);
    return r < 0 ? r : change(e, plan_apply, wanted, c, d);
}

/* HNS alone carries its policies: where nobody says what is wanted, what it holds is right as long
 * as it is understood. */
static int look(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    struct l4_policies l;
    l4_policies_init(&l);
    endpoint_change_begin(c);
    int r = endpoint_list(e, &l, d);
    if (r == 0)
        c->unchanged = l.count;
    if (r == 0 && l.count == 0)
        r = diag_set(d, ERR_NOTFOUND, 0,
                     "Endpoint %s has no policies: there is nothing to compare. Give those that it "
                     "should have (--file)",
                     e->id.text);
    l4_policies_release(&l);
    return r;
}

int endpoint_reconcile(struct endpoint *e, const struct l4_policies *wanted,
                       struct endpoint_change *c, struct diag *d)
{
    if (wanted == NULL)
        return look(e, c, d);
    int r = endpoint_apply(e, wanted, c, d);
    if (r == 0)
        c->drifted = c->added > 0 || c->removed > 0;
    return r;
}

int endpoint_clear(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    struct l4_policies none;
    l4_policies_init(&none);
    int r = change(e, plan_apply, &none, c, d);
    l4_policies_release(&none);
    return r;
}

int endpoint_wipe(const char *name, struct diag *d)
{
    (void)name;
    return diag_set(d, ERR_UNSUPPORTED, 0, "HNS can't be gone while an endpoint of its is there");
}

int endpoint_block(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    (void)e;
    endpoint_change_begin(c);
    return diag_set(d, ERR_UNSUPPORTED, 0,
                    "HNS has no way to block an endpoint; that is Linux's alone");
}

int endpoint_is_blocked(struct endpoint *e, bool *ret, struct diag *d)
{
    (void)e;
    (void)d;
    *ret = false;
    return 0;
}
