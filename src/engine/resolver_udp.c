/* Ports: connected UDP sockets to one upstream. */
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "engine/resolver_internal.h"
#include "loop/socket.h"

struct port {
    uv_udp_t udp;
    struct upstream *upstream;
    struct table questions; /* by id as sent */
    unsigned sent;
    bool retired; /* no new questions; closes after the last answer */
};

static struct slice id_key(const struct question *q)
{
    return slice_of(&q->id, sizeof(q->id));
}

static void on_closed(uv_handle_t *handle)
{
    struct port *p = CONTAINER_OF(handle, struct port, udp);

    table_release(&p->questions);
    resolver_unref(p->upstream->resolver);
    mem_free(p);
}

/* Gets no new questions; closes after the last answer. */
static void retire(struct port *p)
{
    p->retired = true;
    for (unsigned i = 0; i < PORTS_PER_UPSTREAM; i++) {
        if (p->upstream->ports[i] == p)
            p->upstream->ports[i] = NULL;
    }
}

void port_close(struct port *p)
{
    retire(p);
    if (!uv_is_closing((uv_handle_t *)&p->udp))
        uv_close((uv_handle_t *)&p->udp, on_closed);
}

void port_retire(struct port *p)
{
    retire(p);
    if (p->questions.count == 0)
        port_close(p);
}

void port_forget(struct question *q)
{
    struct port *p = STEAL(q->port);

    table_remove(&p->questions, id_key(q));
    if (p->retired && p->questions.count == 0)
        port_close(p);
}

/* The port is of no more use (its upstream refused, say): its questions try elsewhere. */
static void fail(struct port *p, int err)
{
    struct question *q;
    size_t i = 0;

    retire(p);
    while ((q = table_next(&p->questions, &i)) != NULL) {
        question_retry(q, err); /* changes the table */
        i = 0;
    }
    port_close(p);
}

static void get_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct loop *loop = CONTAINER_OF(handle, struct port, udp)->upstream->resolver->loop;

    (void)suggested;
    *buf = uv_buf_init((char *)loop->scratch, DNS_MESSAGE_MAX);
}

static void on_read(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                    unsigned flags)
{
    struct port *p = CONTAINER_OF(udp, struct port, udp);

    (void)from;
    if (n < 0) {
        fail(p, loop_err((int)n));
        return;
    }
    if (n < DNS_HEADER_SIZE || (flags & UV_UDP_PARTIAL) != 0)
        return;
    uint8_t *bytes = (uint8_t *)buf->base;
    uint16_t id = (uint16_t)(bytes[0] << 8 | bytes[1]);
    struct question *q = table_get(&p->questions, slice_of(&id, sizeof(id)));
    if (q != NULL)
        (void)question_answer(q, bytes, (size_t)n); /* forged ones are waited out */
}

static int port_new(struct upstream *u, uv_os_sock_t sock, struct port **ret)
{
    uint8_t secret[16];
    struct port *p = NEW(struct port);

    if (p == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&p->questions, secret);
    p->upstream = u;
    (void)uv_udp_init(&u->resolver->loop->uv, &p->udp);
    resolver_ref(u->resolver);
    int code = uv_udp_open(&p->udp, sock);
    if (code < 0) {
        port_close(p);
        return loop_err(code);
    }
    (void)uv_udp_recv_start(&p->udp, get_space, on_read); /* fails for closed handles only */
    *ret = p;
    return 0;
}

static int send_on(struct port *p, struct question *q)
{
    do {
        random_bytes(&q->id, sizeof(q->id));
    } while (table_get(&p->questions, id_key(q)) != NULL);
    int err = table_put(&p->questions, id_key(q), q);
    if (err < 0)
        return err;
    q->port = p;
    dns_set_id(q->message, q->id);

    uv_buf_t buf = uv_buf_init((char *)q->message, (unsigned)q->len);
    int code = uv_udp_try_send(&p->udp, &buf, 1, NULL);
    if (++p->sent >= PORT_QUESTIONS_MAX)
        retire(p);
    return code < 0 && code != UV_EAGAIN ? loop_err(code) : 0; /* a full buffer is like loss */
}

/* An open port by chance, so that its number can't be guessed from the last one's; NULL if none is open. */
static struct port *choose(const struct upstream *u, bool *ret_full)
{
    struct port *open[PORTS_PER_UPSTREAM] = {NULL};
    unsigned n = 0;

    for (unsigned i = 0; i < PORTS_PER_UPSTREAM; i++) {
        if (u->ports[i] != NULL)
            open[n++] = u->ports[i];
    }
    *ret_full = n == PORTS_PER_UPSTREAM;
    return n > 0 ? open[random_u64() % n] : NULL;
}

/* The new port in a free place; the opened socket is the port's in every case. */
static int add_port(struct upstream *u, uv_os_sock_t sock)
{
    struct port *p = NULL;
    int err = port_new(u, sock, &p);

    if (err < 0) {
        socket_close(sock);
        return err;
    }
    for (unsigned i = 0; i < PORTS_PER_UPSTREAM && !u->resolver->freed; i++) {
        if (u->ports[i] == NULL) {
            u->ports[i] = p;
            return 0;
        }
    }
    port_close(p);
    return ERR_CANCELED;
}

static void on_opened(void *arg, int err, uv_os_sock_t sock)
{
    struct upstream *u = arg;
    struct resolver *r = u->resolver;
    struct list waited;

    u->is_opening = false;
    if (err == 0)
        err = add_port(u, sock);
    list_init(&waited); /* a question that tries again may wait again */
    for (struct list *node; (node = list_pop_front(&u->opening)) != NULL;)
        list_push_back(&waited, node);
    for (struct list *node; (node = list_pop_front(&waited)) != NULL;) {
        struct question *q = LIST_ENTRY(node, struct question, opening);
        if (err < 0)
            question_retry(q, err);
        else
            port_send(u, q);
    }
    resolver_unref(r);
}

void port_send(struct upstream *u, struct question *q)
{
    struct resolver *r = u->resolver;
    bool full;
    struct port *p = choose(u, &full);

    if (p == NULL)
        list_push_back(&u->opening, &q->opening);
    if (!full && !u->is_opening) {
        u->is_opening = true;
        resolver_ref(r);
        r->ops->open(r->ops_arg, u->index, false, on_opened, u);
    }
    if (p == NULL)
        return;
    int err = send_on(p, q);
    if (err < 0)
        question_retry(q, err);
}
