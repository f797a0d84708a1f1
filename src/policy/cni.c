#include "policy/cni.h"

#include <string.h>
#include <uv.h>

#include "base/str.h"
#include "policy/endpoint.h"
#include "policy/json_text.h"
#include "policy/shown.h"

#define LOOPBACK_MS      2000
#define LOOPBACK_STEP_MS 50

static int fail(struct cni_request *r, enum cni_code code, const char *msg, int err)
{
    r->code = code;
    r->msg = msg;
    return err;
}

/* ---- output ---- */

/* Takes the value. */
static int put_json(struct buf *out, json_t *value)
{
    int err = value != NULL ? json_text_write(value, JSON_INDENT(2), out) : ERR_NOMEM;
    json_decref(value);
    return err < 0 ? err : buf_put_u8(out, '\n');
}

/* What is told may have bytes of the environment in it. */
static int put_error(struct buf *out, const struct cni_request *r, struct diag *d)
{
    shown_line(d->text);
    return put_json(out, json_pack("{s:s, s:i, s:s, s:s}", "cniVersion", r->version, "code",
                                   (int)r->code, "msg", r->msg, "details", d->text));
}

static int put_versions(struct buf *out, const struct cni_request *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < cni_version_count; i++)
        (void)json_array_append_new(list, json_string(cni_versions[i]));
    return put_json(out,
                    json_pack("{s:s, s:o}", "cniVersion", r->version, "supportedVersions", list));
}

/* As it was; only that it says its version is seen to, as a result without one is taken for an old
 * one. */
static int put_result(struct buf *out, struct cni_request *r, struct diag *d)
{
    if (json_object_get(r->prev_result, "cniVersion") == NULL &&
        json_object_set_new(r->prev_result, "cniVersion", json_string(r->version)) < 0)
        return fail(r, CNI_CODE_IO, "Out of memory", diag_set(d, ERR_NOMEM, 0, "Out of memory"));
    int err = put_json(out, json_incref(r->prev_result));
    return err < 0 ? fail(r, CNI_CODE_IO, "The result can't be written",
                          diag_set(d, err, 0, "%s", err_text(err)))
                   : 0;
}

/* Another writer of the same endpoint, or a system that is too busy, may be done when the runtime
 * comes again. */
static int fail_change(struct cni_request *r, const char *msg, int err)
{
    bool passes = err == ERR_BUSY || err == ERR_TIMEOUT;
    return fail(r, passes ? CNI_CODE_AGAIN : CNI_CODE_POLICY, msg, err);
}

/* ---- the container ---- */

/* NULL: no rule matches. */
static const struct l4_policies *wanted_policies(const struct cni_request *r)
{
    const struct watch_subject subject = {r->labels, r->annotations, r->label_count,
                                          r->annotation_count};
    size_t rule;
    return watch_rules_match(r->rules, &subject, &rule) ? &r->rules->items[rule].policies : NULL;
}

static int open_endpoint(struct cni_request *r, struct endpoint **ret, struct diag *d)
{
    int err = endpoint_open(r->netns, 0, ret, d);
    if (err == ERR_DENIED)
        return fail(r, CNI_CODE_HOST, "CNI_NETNS is the network of the host itself",
                    diag_set(d, err, 0,
                             "%s is no container's: policies there would catch the traffic of the "
                             "whole host, which no plugin of a container may do",
                             r->netns));
    return err < 0 ? fail_change(r, "The container's network can't be opened", err) : 0;
}

/* Policies of UDP need the loopback interface up. Runtimes bring it up by another plugin, some at
 * the same time. */
static int apply(struct endpoint *e, const struct l4_policies *wanted, struct diag *d)
{
    for (unsigned waited_ms = 0;; waited_ms += LOOPBACK_STEP_MS) {
        struct endpoint_change change;
        endpoint_change_init(&change);
        int err = endpoint_apply(e, wanted, &change, d);
        endpoint_change_release(&change);
        if (err != ERR_UNREACHABLE || waited_ms >= LOOPBACK_MS)
            return err;
        uv_sleep(LOOPBACK_STEP_MS);
    }
}

static int add(struct cni_request *r, struct diag *d)
{
    const struct l4_policies *wanted = wanted_policies(r);
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    int err = wanted != NULL ? open_endpoint(r, &e, d) : 0;
    if (err < 0 || wanted == NULL)
        return err;
    err = apply(e, wanted, d);
    return err < 0 ? fail_change(r, "The policies can't be applied", err) : 0;
}

static int check_drift(struct cni_request *r, struct endpoint_change *change, struct diag *d)
{
    if (!change->drifted && change->added == 0 && change->removed == 0 &&
        buf_len(&change->sent) == 0)
        return 0;
    const char *notes = buf_cstr(&change->notes);
    size_t len = notes != NULL ? strlen(notes) : 0;
    while (len > 0 && notes[len - 1] == '\n')
        len--;
    int err = len > 0
                  ? diag_set(d, ERR_INVAL, 0, "%.*s", (int)len, notes)
                  : diag_set(d, ERR_INVAL, 0, "%zu of them missing, %zu there that should not be",
                             change->added, change->removed);
    for (char *at = d->text; (at = strchr(at, '\n')) != NULL;)
        *at = ';';
    return fail(r, CNI_CODE_DRIFT, "The policies are not as they should be", err);
}

static int check(struct cni_request *r, struct diag *d)
{
    const struct l4_policies *wanted = wanted_policies(r);
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    struct endpoint_change change;
    int err = wanted != NULL ? open_endpoint(r, &e, d) : 0;
    if (err < 0 || wanted == NULL)
        return err;
    endpoint_change_init(&change);
    change.dry_run = true;
    err = endpoint_reconcile(e, wanted, &change, d);
    err = err < 0 ? fail_change(r, "The policies can't be read", err) : check_drift(r, &change, d);
    endpoint_change_release(&change);
    return err;
}

/* Nothing of ours can be there. */
static bool is_nowhere(int err)
{
    return err == ERR_NOTFOUND || err == ERR_EXPIRED || err == ERR_INVAL || err == ERR_DENIED;
}

static int clear(struct endpoint *e, struct diag *d)
{
    struct endpoint_change change;
    endpoint_change_init(&change);
    int err = endpoint_clear(e, &change, d);
    endpoint_change_release(&change);
    return err;
}

/* May come twice, after ADD has failed, or for a namespace that was removed. Where nft is gone (an
 * uninstalled package, a node that is being emptied) what it left is taken away without it: a pod
 * that can't end would be worse, and rules that stay in a network that lives on, too. */
static int del(struct cni_request *r, struct diag *d)
{
    char found[ENDPOINT_SYSTEM_SIZE];
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    struct diag why;
    if (r->netns == NULL)
        return 0;
    int err = endpoint_open(r->netns, 0, &e, d);
    if (err == 0)
        err = clear(e, d);
    else if (endpoint_system(found, &why) < 0)
        err = endpoint_wipe(r->netns, d);
    if (e == NULL && is_nowhere(err))
        return 0;
    return err < 0 ? fail_change(r, "The policies can't be cleared", err) : 0;
}

static int status(struct cni_request *r, struct diag *d)
{
    char found[ENDPOINT_SYSTEM_SIZE];
    int err = endpoint_system(found, d);
    return err < 0 ? fail(r, CNI_CODE_UNAVAILABLE, "No container can be added now", err) : 0;
}

/* ---- the whole ---- */

static int run(struct cni_request *r, struct buf *out, struct diag *d)
{
    int err;
    switch (r->command) {
    case CNI_VERSION_QUERY:
        return put_versions(out, r);
    case CNI_ADD:
        err = add(r, d);
        return err == 0 ? put_result(out, r, d) : err;
    case CNI_CHECK:
        return check(r, d);
    case CNI_DEL:
        return del(r, d);
    case CNI_STATUS:
        return status(r, d);
    default: /* GC */
        return 0;
    }
}

int cni_run(const struct cni_env *env, struct slice conf, struct buf *out)
{
    struct diag d = {0};
    struct cni_request r;
    cni_request_init(&r);
    int err = cni_conf_read(env, conf, &r, &d);
    if (err < 0 && r.command == CNI_STATUS && r.code != CNI_CODE_VERSION)
        r.code = CNI_CODE_UNAVAILABLE;
    if (err == 0)
        err = run(&r, out, &d);
    if (err < 0) {
        buf_clear(out);
        (void)put_error(out, &r, &d);
    }
    cni_request_release(&r);
    return err < 0 ? 1 : 0;
}
