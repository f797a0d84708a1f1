/* endpoint.h over plain memory: what is changed is counted, and each call can be made to fail. For the tests of what stands on it. The
 * functions replace the real ones at link time. */
#ifndef STILE_TESTS_FAKE_ENDPOINTS_H
#define STILE_TESTS_FAKE_ENDPOINTS_H

#include "base/mem.h"
#include "base/str.h"
#include "policy/endpoint.h"
#include "testing.h"

#define FAKE_ENDPOINTS_MAX 8

struct endpoint {
    char name[ENDPOINT_NAME_SIZE];
    struct l4_policies policies;
    bool blocked;
    bool drifted;                           /* what carries them isn't as it should be */
    int fail_open, fail_change, fail_block; /* ERR_*, 0: not */
    unsigned no_loopback;                   /* changes that fail for the want of it */
    unsigned opened, closed, written, blocks;
};

static struct endpoint fake_endpoints[FAKE_ENDPOINTS_MAX];
static int fake_system_err;

static inline size_t fake_index(const char *name)
{
    size_t i = 0;
    while (i < FAKE_ENDPOINTS_MAX && !str_eq(fake_endpoints[i].name, name))
        i++;
    return i;
}

static inline struct endpoint *fake_endpoint(const char *name)
{
    size_t i = fake_index(name);
    assert_true(i < FAKE_ENDPOINTS_MAX);
    return &fake_endpoints[i];
}

static inline struct endpoint *fake_endpoint_add(const char *name)
{
    struct endpoint *e = fake_endpoint("");
    assert_int_equal(str_copy(e->name, sizeof(e->name), name), 0);
    return e;
}

static inline void fake_endpoints_reset(void)
{
    for (size_t i = 0; i < FAKE_ENDPOINTS_MAX; i++) {
        l4_policies_release(&fake_endpoints[i].policies);
        fake_endpoints[i] = (struct endpoint){0};
    }
    fake_system_err = 0;
}

int endpoint_system(char ret[ENDPOINT_SYSTEM_SIZE], struct diag *d)
{
    if (fake_system_err != 0)
        return diag_set(d, fake_system_err, 0, "no such program");
    return str_copy(ret, ENDPOINT_SYSTEM_SIZE, "fake 1.0");
}

int endpoint_open(const char *name, unsigned flags, struct endpoint **ret, struct diag *d)
{
    (void)flags;
    if (name[0] == '\0' || fake_index(name) == FAKE_ENDPOINTS_MAX)
        return diag_set(d, ERR_NOTFOUND, 0, "There is no %s", name);
    struct endpoint *e = fake_endpoint(name);
    if (fake_system_err != 0)
        return diag_set(d, fake_system_err, 0, "no such program");
    if (e->fail_open != 0)
        return diag_set(d, e->fail_open, 0, "%s can't be opened", name);
    e->opened++;
    *ret = e;
    return 0;
}

void endpoint_close(struct endpoint *e)
{
    if (e != NULL)
        e->closed++;
}

void endpoint_closep(struct endpoint **e)
{
    endpoint_close(*e);
}

static int fake_change(struct endpoint *e, const struct l4_policies *wanted,
                       struct endpoint_change *c, struct diag *d)
{
    bool same = l4_policies_eq(&e->policies, wanted);
    if (e->no_loopback > 0) {
        e->no_loopback--;
        return diag_set(d, ERR_UNREACHABLE, 0, "the loopback interface is down");
    }
    if (e->fail_change != 0)
        return diag_set(d, e->fail_change, 0, "%s can't be changed", e->name);
    c->added = same ? 0 : wanted->count;
    c->removed = same ? 0 : e->policies.count;
    c->unchanged = same ? wanted->count : 0;
    c->drifted = e->drifted;
    if (e->drifted)
        assert_int_equal(buf_put_str(&c->notes, "a rule is missing\nanother too\n"), 0);
    if (same && !e->drifted && !e->blocked)
        return 0;
    assert_int_equal(buf_put_str(&c->sent, "{}"), 0);
    if (c->dry_run)
        return 0;
    l4_policies_release(&e->policies);
    assert_int_equal(l4_policies_copy(wanted, &e->policies), 0);
    e->drifted = e->blocked = false;
    e->written++;
    return 0;
}

int endpoint_apply(struct endpoint *e, const struct l4_policies *wanted, struct endpoint_change *c,
                   struct diag *d)
{
    return fake_change(e, wanted, c, d);
}

int endpoint_reconcile(struct endpoint *e, const struct l4_policies *wanted,
                       struct endpoint_change *c, struct diag *d)
{
    return fake_change(e, wanted, c, d);
}

int endpoint_clear(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    struct l4_policies none;
    l4_policies_init(&none);
    return fake_change(e, &none, c, d);
}

int endpoint_wipe(const char *name, struct diag *d)
{
    if (name[0] == '\0' || fake_index(name) == FAKE_ENDPOINTS_MAX)
        return diag_set(d, ERR_NOTFOUND, 0, "There is no %s", name);
    struct endpoint *e = fake_endpoint(name);
    if (e->fail_change != 0)
        return diag_set(d, e->fail_change, 0, "%s can't be changed", name);
    l4_policies_release(&e->policies);
    return 0;
}

int endpoint_block(struct endpoint *e, struct endpoint_change *c UNUSED, struct diag *d)
{
    if (e->fail_block != 0)
        return diag_set(d, e->fail_block, 0, "%s can't be blocked", e->name);
    e->blocked = true;
    e->blocks++;
    return 0;
}

#endif
