#include "gateway/access.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/access_reply.h"
#include "rpc/services.h"

#define SPKI_MAX 2048 /* bytes: an RSA key of 8192 bits has about 1100 */
#define DER_MAX  16384

/* One call, from its request to its answer. */
struct call {
    struct rpc_call *rpc;
    struct access *access;
    struct directory *directory; /* counted */
    struct claims claims;        /* the caller's; not for LogIn */
    char addr[STATE_ADDR_SIZE];
    char user[STATE_NAME_SIZE];
    char name[CONFIG_HOST_SIZE]; /* ResolveApp: the name; IssueAppCert: the app */
    uint32_t port;
    struct buf spki;
    struct buf der;
    struct state_cert cert;
    void (*answer)(struct call *c, const struct state_user *user);
};

static struct call *call_new(struct rpc_call *rpc, const struct access_client *client)
{
    struct call *c = NEW(struct call);
    if (c == NULL) {
        rpc_call_fail(rpc, RPC_RESOURCE_EXHAUSTED, "The gateway has run out of memory");
        return NULL;
    }
    c->rpc = rpc;
    c->access = client->access;
    c->directory = directory_ref(client->access->directory);
    memcpy(c->addr, client->addr, sizeof(c->addr));
    buf_init(&c->spki, SPKI_MAX);
    buf_init(&c->der, DER_MAX);
    return c;
}

/* After the answer. */
static void call_free(struct call *c)
{
    directory_unref(c->directory);
    buf_release(&c->spki);
    buf_release(&c->der);
    mem_free(c);
}

static const struct gateway_config *config_of(const struct call *c)
{
    return directory_config(c->directory);
}

static void fail_internally(struct call *c, int err)
{
    if (err == ERR_CLOSED || err == ERR_CANCELED)
        rpc_call_fail(c->rpc, RPC_UNAVAILABLE, "The gateway is stopping; try again");
    else if (err == ERR_NOMEM)
        rpc_call_fail(c->rpc, RPC_RESOURCE_EXHAUSTED, "The gateway has run out of memory");
    else
        rpc_call_fail(c->rpc, RPC_INTERNAL, "The gateway can't use its state; see its log");
    call_free(c);
}

/* ---- who is calling ---- */

static void on_authorised(void *arg, int err, const struct state_user *user)
{
    struct call *c = arg;
    if (err == 0) {
        c->answer(c, user);
    } else if (err == ERR_NOTFOUND) {
        rpc_call_fail(c->rpc, RPC_UNAUTHENTICATED,
                      "The user or this log-in was removed; log in again");
        call_free(c);
    } else {
        fail_internally(c, err);
    }
}

/* Answers with c->answer once the caller is known to be a user with a log-in that still stands. */
static void authorise(struct call *c, const struct access_client *client,
                      void (*answer)(struct call *, const struct state_user *))
{
    const char *reason = client->reason;
    int err = client->err;
    if (err == 0 && client->claims.use != CLAIMS_LOG_IN) {
        err = ERR_AUTH;
        reason = "An app certificate can't be used here; the log-in's can";
    }
    if (err == 0 && clock_wall_s() > client->claims.not_after_s) {
        err = ERR_EXPIRED;
        reason = "The log-in has expired; log in again";
    }
    if (err < 0) {
        rpc_call_fail(c->rpc, RPC_UNAUTHENTICATED, "%s", reason);
        call_free(c);
        return;
    }
    c->claims = client->claims;
    c->answer = answer;
    memcpy(c->user, c->claims.user, sizeof(c->user));
    int r = state_authorise(c->access->state, c->user, c->claims.serial, on_authorised, c);
    if (r < 0)
        fail_internally(c, r);
}

/* ---- certificates ---- */

static int copy_spki(struct call *c, const ProtobufCBinaryData *key)
{
    return key->len == 0 ? ERR_INVAL : buf_put(&c->spki, slice_of(key->data, key->len));
}

static void refuse_key(struct call *c)
{
    rpc_call_fail(c->rpc, RPC_INVALID_ARGUMENT,
                  "The public key is none that can be certified (SubjectPublicKeyInfo of ECDSA "
                  "P-256, Ed25519 "
                  "or RSA of 2048 bits or more)");
    call_free(c);
}

static void on_cert_kept(void *arg, int err)
{
    struct call *c = arg;
    if (err == ERR_EXISTS)
        err = ERR_NOTFOUND; /* the user was removed meanwhile: the row refers to no one */
    if (err == ERR_NOTFOUND) {
        rpc_call_fail(c->rpc, RPC_UNAUTHENTICATED, "The user was removed");
        call_free(c);
        return;
    }
    if (err < 0) {
        fail_internally(c, err);
        return;
    }
    const struct log_field fields[] = {
        {"user", c->cert.user, 0},
        {"client", c->addr, 0},
        {"app", c->cert.app, 0},
        {"port", NULL, c->cert.port},
    };
    bool log_in = c->cert.app[0] == '\0';
    if (log_in) {
        log_event(LOG_INFO, "log-in", fields, 2);
        access_reply_log_in(c->rpc, c->access->ca, config_of(c), buf_slice(&c->der),
                            c->cert.expires_s);
    } else {
        if (log_enabled(LOG_DEBUG))
            log_event(LOG_DEBUG, "certificate issued", fields, ARRAY_LEN(fields));
        access_reply_issue(c->rpc, buf_slice(&c->der), c->cert.expires_s);
    }
    call_free(c);
}

/* For c->user and, if it isn't NULL, app and port. Nothing is valid that the state doesn't know. */
static void issue(struct call *c, const struct config_app *app, int64_t expires_s)
{
    struct diag d = {0};
    struct state_cert *cert = &c->cert;
    cert->issued_s = clock_wall_s();
    cert->expires_s = expires_s;
    memcpy(cert->user, c->user, sizeof(cert->user));
    memcpy(cert->addr, c->addr, sizeof(cert->addr));
    if (app != NULL) {
        memcpy(cert->app, app->name, sizeof(cert->app));
        cert->port = (uint16_t)c->port;
    }
    int r = ca_issue(c->access->ca, config_of(c)->cluster, buf_slice(&c->spki), cert, &c->der, &d);
    if (r == ERR_FORMAT || r == ERR_UNSUPPORTED || r == ERR_INVAL) {
        refuse_key(c);
        return;
    }
    if (r == 0)
        r = state_add_cert(c->access->state, cert, on_cert_kept, c);
    if (r < 0) {
        if (d.text[0] != '\0')
            log_error("Failed to issue a certificate for %s: %s", c->user, d.text);
        fail_internally(c, r);
    }
}

/* ---- LogIn ---- */

static void log_refusal(const struct call *c, const char *reason)
{
    const struct log_field fields[] = {
        {"user", c->user, 0}, {"client", c->addr, 0}, {"reason", reason, 0}};
    log_event(LOG_WARN, "log-in refused", fields, ARRAY_LEN(fields));
}

static void answer_log_in(struct call *c, int err, int64_t retry_after_s)
{
    if (err == 0) {
        issue(c, NULL, clock_wall_s() + config_of(c)->log_in_s);
    } else if (err == ERR_AUTH) {
        log_refusal(c, "wrong user or password");
        rpc_call_fail(c->rpc, RPC_UNAUTHENTICATED, "Wrong user or password");
        call_free(c);
    } else if (err == ERR_LIMIT && retry_after_s > 0) {
        log_refusal(c, "too many tries");
        rpc_call_fail(c->rpc, RPC_RESOURCE_EXHAUSTED,
                      "Too many failed log-ins; try again in %d minutes",
                      (int)(retry_after_s + 59) / 60);
        call_free(c);
    } else if (err == ERR_LIMIT) {
        log_refusal(c, "too many log-ins at once");
        rpc_call_fail(c->rpc, RPC_RESOURCE_EXHAUSTED,
                      "Too many log-ins at once; try again in a moment");
        call_free(c);
    } else {
        fail_internally(c, err);
    }
}

static void on_logged_in(void *arg, int err, int64_t retry_after_s)
{
    answer_log_in(arg, err, retry_after_s);
}

static void handle_log_in(struct rpc_call *rpc, const ProtobufCMessage *message, void *service_arg)
{
    const struct access_client *client = service_arg;
    const Stile__Access__V1__LogInRequest *request =
        (const Stile__Access__V1__LogInRequest *)message;
    struct call *c = call_new(rpc, client);
    if (c == NULL)
        return;
    /* A name too long is nobody's. */
    if (str_copy(c->user, sizeof(c->user), request->user) < 0)
        c->user[0] = '\0';
    if (copy_spki(c, &request->public_key) < 0) {
        refuse_key(c);
        return;
    }
    int r = login_start(c->access->login, c->user, slice_str(request->password), client->host,
                        on_logged_in, c);
    if (r < 0)
        answer_log_in(c, r, 0);
}

/* ---- ListApps, ResolveApp ---- */

static void answer_list(struct call *c, const struct state_user *user)
{
    access_reply_list(c->rpc, config_of(c), user);
    call_free(c);
}

static void handle_list_apps(struct rpc_call *rpc, const ProtobufCMessage *message,
                             void *service_arg)
{
    (void)message;
    struct call *c = call_new(rpc, service_arg);
    if (c != NULL)
        authorise(c, service_arg, answer_list);
}

static void answer_resolve(struct call *c, const struct state_user *user)
{
    const struct config_app *app = directory_resolve(c->directory, c->name);
    if (app != NULL && directory_may_use(app, user->name, &user->groups))
        access_reply_resolve(c->rpc, app);
    else
        rpc_call_fail(c->rpc, RPC_NOT_FOUND, "No app of this name");
    call_free(c);
}

static void handle_resolve_app(struct rpc_call *rpc, const ProtobufCMessage *message,
                               void *service_arg)
{
    const Stile__Access__V1__ResolveAppRequest *request =
        (const Stile__Access__V1__ResolveAppRequest *)message;
    struct call *c = call_new(rpc, service_arg);
    if (c == NULL)
        return;
    if (str_copy(c->name, sizeof(c->name), request->fqdn) < 0)
        c->name[0] = '\0'; /* too long: nothing is called that */
    authorise(c, service_arg, answer_resolve);
}

/* ---- IssueAppCert ---- */

static void answer_issue(struct call *c, const struct state_user *user)
{
    char ports[128];
    const struct config_app *app = directory_find(c->directory, c->name);
    if (app == NULL || app->web || !directory_may_use(app, user->name, &user->groups)) {
        rpc_call_fail(c->rpc, RPC_PERMISSION_DENIED, "User %s may not use app %s", c->user,
                      config_is_label(slice_str(c->name)) ? c->name : "of this name");
        call_free(c);
    } else if (c->port > UINT16_MAX || !directory_has_port(app, (uint16_t)c->port)) {
        directory_ports_text(app, ports, sizeof(ports));
        rpc_call_fail(c->rpc, RPC_PERMISSION_DENIED, "App %s has no port %u; it has %s", app->name,
                      c->port, ports);
        call_free(c);
    } else {
        issue(c, app, MIN(clock_wall_s() + config_of(c)->app_cert_s, c->claims.not_after_s));
    }
}

static void handle_issue_app_cert(struct rpc_call *rpc, const ProtobufCMessage *message,
                                  void *service_arg)
{
    const Stile__Access__V1__IssueAppCertRequest *request =
        (const Stile__Access__V1__IssueAppCertRequest *)message;
    struct call *c = call_new(rpc, service_arg);
    if (c == NULL)
        return;
    c->port = request->port;
    if (str_copy(c->name, sizeof(c->name), request->app) < 0)
        c->name[0] = '\0';
    if (copy_spki(c, &request->public_key) < 0)
        refuse_key(c);
    else
        authorise(c, service_arg, answer_issue);
}

const struct rpc_handler access_handlers[] = {
    {&access_log_in, handle_log_in},
    {&access_list_apps, handle_list_apps},
    {&access_resolve_app, handle_resolve_app},
    {&access_issue_app_cert, handle_issue_app_cert},
};
const size_t access_handler_count = ARRAY_LEN(access_handlers);
