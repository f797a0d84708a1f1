#include "engine/agent_reports.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "rpc/services.h"

#define REASON_SIZE       256
#define REPORT_TIMEOUT_MS 10000

/* One report, with all that its message points to. */
struct item {
    struct list node;
    Stile__Vnet__V1__AppKey key;
    char texts[3][128]; /* of the key */
    Stile__Vnet__V1__ConnectionReport message;
    Stile__Vnet__V1__Client client;
    char address[IP_ADDR_TEXT_SIZE];
    char fqdn[256];
    char reason[REASON_SIZE];
};

struct agent_reports {
    struct list items;
    size_t count;
    size_t dropped;
    struct timer timer;
    struct rpc_client *rpc;
    bool sending; /* the agent hasn't taken the last batch yet */
};

void agent_connection_client(const struct agent_connection *conn,
                             Stile__Vnet__V1__Client *ret_client, char address[IP_ADDR_TEXT_SIZE])
{
    Stile__Vnet__V1__Client m = STILE__VNET__V1__CLIENT__INIT;
    ip_addr_format(&conn->client.addr, address);
    m.uid = conn->owner.uid;
    m.socket_inode = conn->owner.inode;
    m.address = address;
    m.port = conn->client.port;
    *ret_client = m;
}

static void on_sent(void *arg, enum rpc_status status, const char *message,
                    const ProtobufCMessage *reply)
{
    struct agent_reports *r = arg;
    (void)reply;
    r->sending = false;
    if (r->count > 0)
        timer_start(&r->timer, 0);
    if (status != RPC_OK)
        log_debug("Failed to report connections: %s: %s", rpc_status_name(status), message);
}

/* One call with the oldest ones. */
static void send_batch(struct agent_reports *r)
{
    Stile__Vnet__V1__ConnectionReport *messages[AGENT_REPORTS_BATCH];
    struct list sent;
    list_init(&sent);
    size_t n = 0;
    while (n < AGENT_REPORTS_BATCH && !list_empty(&r->items)) {
        struct list *node = list_pop_front(&r->items);
        list_push_back(&sent, node);
        messages[n++] = &LIST_ENTRY(node, struct item, node)->message;
    }
    r->count -= n;
    Stile__Vnet__V1__ReportConnectionsRequest request =
        STILE__VNET__V1__REPORT_CONNECTIONS_REQUEST__INIT;
    request.n_connections = n;
    request.connections = messages;
    int err = rpc_client_call(r->rpc, &client_application_report_connections, &request.base,
                              REPORT_TIMEOUT_MS, on_sent, r, NULL);
    r->sending = err == 0;
    if (err < 0)
        log_debug("Failed to report %zu connections: %s", n, err_text(err));
    LIST_FOR_EACH (node, &sent)
        mem_free(LIST_ENTRY(node, struct item, node));
}

static void send_all(void *arg)
{
    struct agent_reports *r = arg;
    while (r->rpc != NULL && r->count > 0 && !r->sending)
        send_batch(r);
    if (r->dropped > 0)
        log_warn("%zu reports of connections were dropped: the agent is too slow", r->dropped);
    r->dropped = 0;
}

int agent_reports_new(struct loop *loop, struct agent_reports **ret)
{
    struct agent_reports *r = NEW(struct agent_reports);
    if (r == NULL)
        return ERR_NOMEM;
    list_init(&r->items);
    int err = timer_init(&r->timer, loop, send_all, r);
    if (err < 0) {
        mem_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

static void on_timer_closed(void *arg)
{
    mem_free(arg);
}

void agent_reports_free(struct agent_reports *r)
{
    if (r == NULL)
        return;
    r->sending = false;
    send_all(r);
    r->count = 0;
    struct list *node;
    while ((node = list_pop_front(&r->items)) != NULL)
        mem_free(LIST_ENTRY(node, struct item, node));
    timer_close(&r->timer, on_timer_closed);
}

void agent_reports_set_client(struct agent_reports *r, struct rpc_client *rpc)
{
    r->rpc = rpc;
}

static Stile__Vnet__V1__AppKey *copy_key(struct item *i, const Stile__Vnet__V1__AppKey *key)
{
    const char *from[] = {key->profile, key->leaf_cluster, key->name};
    for (size_t k = 0; k < ARRAY_LEN(from); k++)
        (void)str_format(i->texts[k], sizeof(i->texts[k]), "%s", from[k]);
    stile__vnet__v1__app_key__init(&i->key);
    i->key.profile = i->texts[0];
    i->key.leaf_cluster = i->texts[1];
    i->key.name = i->texts[2];
    return &i->key;
}

static void fill(struct item *i, const struct agent_report *report)
{
    Stile__Vnet__V1__ConnectionReport m = STILE__VNET__V1__CONNECTION_REPORT__INIT;
    agent_connection_client(&report->conn, &i->client, i->address);
    m.connection_id = report->conn.id;
    if (report->conn.info != NULL)
        m.app_key = copy_key(i, report->conn.info->app_key);
    m.fqdn = i->fqdn;
    m.port = report->conn.port;
    m.client = &i->client;
    m.verdict = report->verdict;
    m.reason = i->reason;
    m.bytes_up = report->bytes_up;
    m.bytes_down = report->bytes_down;
    m.started_us = report->started_us;
    m.ended_us = report->ended_us;
    i->message = m;
}

void agent_reports_add(struct agent_reports *r, const struct agent_report *report)
{
    struct item *i = r->count < AGENT_REPORTS_MAX ? NEW(struct item) : NULL;
    if (i == NULL) {
        r->dropped++;
        return;
    }
    (void)str_format(i->fqdn, sizeof(i->fqdn), "%s", report->conn.fqdn);
    (void)str_format(i->reason, sizeof(i->reason), "%s",
                     report->reason == NULL ? "" : report->reason);
    fill(i, report);
    list_push_back(&r->items, &i->node);
    r->count++;
    if (!r->sending && !timer_active(&r->timer))
        timer_start(&r->timer, 0);
}
