/* What an engine may send the agent, as messages of any content: the signer, the memory of what was given, the log, the words
 * shown to people. The first byte chooses the message. */
#include <stdlib.h>
#include <string.h>

#include "agent/app_text.h"
#include "agent/certs.h"
#include "agent/connection_file.h"
#include "agent/lookups.h"
#include "agent/resolvers.h"
#include "agent/signer.h"
#include "agent/versions.h"
#include "base/clock.h"
#include "base/mem.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int no_answer(void *self, const char *fqdn, directory_resolve_fn *done, void *arg,
                     struct diag *d)
{
    (void)self;
    (void)fqdn;
    (void)done;
    (void)arg;
    return diag_set(d, ERR_NOTFOUND, 0, "nothing is known here");
}

static int no_certificate(void *self, const app_key *key, uint16_t port, struct slice spki,
                          directory_issue_fn *done, void *arg, struct diag *d)
{
    (void)self;
    (void)key;
    (void)port;
    (void)spki;
    (void)done;
    (void)arg;
    return diag_set(d, ERR_DENIED, 0, "nothing is issued here");
}

static const struct directory_ops ops = {.resolve = no_answer, .issue = no_certificate};
static const struct directory directory = {.ops = &ops};

static void on_certificate(void *arg, int err, X509 *cert, EVP_PKEY *key, const struct diag *d)
{
    (void)key;
    require(err < 0 && cert == NULL && d != NULL);
    ++*(int *)arg;
}

static void on_name(void *arg, int err, const app_info *info, const struct diag *d)
{
    require(err < 0 && info == NULL && d != NULL);
    ++*(int *)arg;
}

static void try_signature(struct slice bytes)
{
    static struct certs *certs;
    Stile__Vnet__V1__SignForAppRequest *q =
        stile__vnet__v1__sign_for_app_request__unpack(NULL, bytes.len, bytes.data);
    CLEANUP(buf_release) struct buf signature;
    struct diag d = {0};
    int answers = 0;
    buf_init(&signature, 4096);
    if (q == NULL || (certs == NULL && certs_new(directory, &certs) < 0))
        return;
    if (q->app_key != NULL)
        certs_get(certs, q->app_key, (uint16_t)q->target_port, on_certificate, &answers);
    require(answers == (q->app_key != NULL));
    require(signer_sign(certs, q, &signature, &d) < 0 && buf_len(&signature) == 0);
    stile__vnet__v1__sign_for_app_request__free_unpacked(q, NULL);
}

static void try_app(struct slice bytes)
{
    static struct lookups *lookups;
    char text[APP_TEXT_SIZE];
    app_info *info = stile__vnet__v1__app_info__unpack(NULL, bytes.len, bytes.data);
    int answers = 0;
    if (info == NULL || (lookups == NULL && lookups_new(directory, NULL, &lookups) < 0))
        return;
    require(!lookups_gave(lookups, info));
    if (info->app != NULL) {
        app_text_vnet_ports(info->app, text);
        require(strlen(text) < APP_TEXT_SIZE);
        lookups_resolve(lookups, info->app->public_name, on_name, &answers);
        require(answers == 1);
    }
    stile__vnet__v1__app_info__free_unpacked(info, NULL);
}

static void check_record(void *arg, const struct connection *c)
{
    char text[CLOCK_TEXT_SIZE];
    (void)arg;
    clock_format(c->started_us, text);
    json_decref(connection_to_json(c));
}

static void try_report(struct slice bytes)
{
    static struct loop loop;
    static struct connection_log *log;
    Stile__Vnet__V1__ReportConnectionsRequest *q =
        stile__vnet__v1__report_connections_request__unpack(NULL, bytes.len, bytes.data);
    if (q == NULL)
        return;
    if (log == NULL)
        require(loop_init(&loop) == 0 && connection_log_new(&loop, NULL, &log) == 0);
    for (size_t i = 0; i < q->n_connections; i++) {
        /* Searching all processes for each would be slow, and isn't what is tested. */
        if (q->connections[i]->client != NULL)
            q->connections[i]->client->socket_inode = 0;
        connection_log_report(log, q->connections[i]);
    }
    connection_log_each(log, check_record, NULL);
    stile__vnet__v1__report_connections_request__free_unpacked(q, NULL);
}

static void try_texts(struct slice bytes)
{
    struct resolvers r;
    CLEANUP(mem_freep) char *text = mem_strndup((const char *)bytes.data, bytes.len);
    struct diag d = {0};
    resolvers_parse(bytes, &r);
    require(r.count >= 1 && r.count <= RESOLVERS_MAX);
    if (text == NULL)
        return;
    (void)versions_check("engine", text, &d);
    require(versions_compare(text, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct slice) = {try_signature, try_app, try_report, try_texts};
    if (size == 0)
        return 0;
    tries[data[0] % ARRAY_LEN(tries)](slice_of(data + 1, size - 1));
    return 0;
}
