#include "broker/messages.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"
#include "platform/fdpass.h"

static_assert(sizeof(struct broker_header) == 16, "no padding");
static_assert(sizeof(struct broker_hello) == 48, "no padding");
static_assert(sizeof(struct broker_welcome) == 132, "no padding");
static_assert(sizeof(struct broker_refused) == 536, "no padding");
static_assert(sizeof(struct broker_start) == 16524, "no padding");
static_assert(sizeof(struct broker_started) == 1088, "no padding");
static_assert(sizeof(struct broker_session) == 40, "no padding");
static_assert(sizeof(struct broker_status_reply) == 1240, "no padding");
static_assert(sizeof(struct broker_cleaned) == 16416, "no padding");
static_assert(sizeof(struct broker_event) == 1056, "no padding");

static bool zeros(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++)
        any |= p[i];
    return any == 0;
}

/* Ended, printable, and nothing hidden behind its end. */
static bool text_ok(const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    return len < size && str_is_printable(slice_of(text, len)) && zeros(text + len, size - len);
}

static bool some_text_ok(const char *text, size_t size)
{
    return text[0] != '\0' && text_ok(text, size);
}

/* `count` texts of `size` bytes, and the rest of `max` unused. */
static bool texts_ok(const char *texts, size_t size, size_t count, size_t max)
{
    if (count > max)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!some_text_ok(texts + i * size, size))
            return false;
    return zeros(texts + count * size, (max - count) * size);
}

static bool ranges_ok(const struct broker_range *ranges, uint32_t count)
{
    if (count > BROKER_RANGES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *a = ranges[i].addr;
        uint32_t bits = ranges[i].bits;
        uint32_t addr = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
        if (bits < 8 || bits > 30 || (addr & (UINT32_MAX >> bits)) != 0)
            return false;
    }
    return zeros(ranges + count, (BROKER_RANGES_MAX - count) * sizeof(*ranges));
}

static bool resolvers_ok(const struct broker_resolvers *r)
{
    return r->zero == 0 &&
           texts_ok(r->addrs[0], BROKER_RESOLVER_SIZE, r->count, BROKER_RESOLVERS_MAX);
}

static bool header_ok(const union broker_message *m)
{
    (void)m;
    return true;
}

static bool hello_ok(const union broker_message *m)
{
    return some_text_ok(m->hello.version, BROKER_VERSION_SIZE);
}

static bool welcome_ok(const union broker_message *m)
{
    const struct broker_welcome *w = &m->welcome;
    return some_text_ok(w->version, sizeof(w->version)) &&
           some_text_ok(w->dns_backend, sizeof(w->dns_backend)) &&
           ranges_ok(w->ranges, w->range_count);
}

static bool refused_ok(const union broker_message *m)
{
    const struct broker_refused *r = &m->refused;
    return r->err < 0 && r->err >= ERR_LAST && r->zero == 0 &&
           some_text_ok(r->text, sizeof(r->text));
}

/* Every label has its letters; what a name may be is for the policy to say. */
static bool zone_ok(const char *zone)
{
    size_t len = strlen(zone);
    for (size_t i = 0; i < len; i++)
        if ((zone[i] >= 'A' && zone[i] <= 'Z') || zone[i] == ' ')
            return false;
    return zone[0] != '.' && zone[len - 1] != '.';
}

static bool start_ok(const union broker_message *m)
{
    const struct broker_network *n = &m->start.network;
    const uint32_t none = BROKER_NO_IPV4 | BROKER_NO_IPV6;
    if ((n->flags & ~(none | BROKER_DEBUG)) != 0 || (n->flags & none) == none)
        return false;
    if (n->mtu < 1280 || n->mtu > 65535 || n->ipv6_prefix[0] != 0xfd ||
        !zeros(n->zero, sizeof(n->zero)))
        return false;
    if (!ranges_ok(n->ranges, n->range_count) ||
        (n->range_count == 0 && (n->flags & BROKER_NO_IPV4) == 0))
        return false;
    if (n->uid_count > BROKER_UIDS_MAX ||
        !zeros(n->uids + n->uid_count, (BROKER_UIDS_MAX - n->uid_count) * sizeof(*n->uids)))
        return false;
    if (!texts_ok(n->zones[0], BROKER_ZONE_SIZE, n->zone_count, BROKER_ZONES_MAX))
        return false;
    for (uint32_t i = 0; i < n->zone_count; i++)
        if (!zone_ok(n->zones[i]))
            return false;
    return true;
}

static bool started_ok(const union broker_message *m)
{
    const struct broker_started *s = &m->started;
    return some_text_ok(s->interface_name, sizeof(s->interface_name)) &&
           some_text_ok(s->dns_backend, sizeof(s->dns_backend)) &&
           (s->flags & ~(BROKER_NO_IPV4 | BROKER_NO_IPV6)) == 0 && s->zero == 0 &&
           resolvers_ok(&s->resolvers) && text_ok(s->notice, sizeof(s->notice));
}

static bool status_reply_ok(const union broker_message *m)
{
    const struct broker_status_reply *s = &m->status_reply;
    if (!some_text_ok(s->version, sizeof(s->version)) ||
        !some_text_ok(s->dns_backend, sizeof(s->dns_backend)) ||
        !text_ok(s->last_recovery, sizeof(s->last_recovery)) ||
        s->session_count > BROKER_SESSIONS_MAX)
        return false;
    for (uint32_t i = 0; i < s->session_count; i++)
        if (!some_text_ok(s->sessions[i].interface_name, BROKER_INTERFACE_SIZE) ||
            s->sessions[i].zero != 0)
            return false;
    return zeros(s->sessions + s->session_count,
                 (BROKER_SESSIONS_MAX - s->session_count) * sizeof(s->sessions[0]));
}

static bool cleaned_ok(const union broker_message *m)
{
    const struct broker_cleaned *c = &m->cleaned;
    return c->zero == 0 && c->total >= c->count &&
           texts_ok(c->lines[0], sizeof(c->lines[0]), c->count, BROKER_CLEANED_MAX);
}

static bool event_ok(const union broker_message *m)
{
    const struct broker_event *e = &m->event;
    if (e->header.id != 0 || e->zero != 0 || e->kind < BROKER_EVENT_REPAIRED ||
        e->kind > BROKER_EVENT_RESTORED || !text_ok(e->text, sizeof(e->text)))
        return false;
    return e->kind == BROKER_EVENT_RESOLVERS ? resolvers_ok(&e->resolvers)
                                             : zeros(&e->resolvers, sizeof(e->resolvers));
}

static const struct kind {
    size_t size;
    size_t fd_count;
    bool (*ok)(const union broker_message *m);
} kinds[] = {
    [BROKER_HELLO] = {sizeof(struct broker_hello), 0, hello_ok},
    [BROKER_WELCOME] = {sizeof(struct broker_welcome), 0, welcome_ok},
    [BROKER_REFUSED] = {sizeof(struct broker_refused), 0, refused_ok},
    [BROKER_START] = {sizeof(struct broker_start), BROKER_START_FDS, start_ok},
    [BROKER_STARTED] = {sizeof(struct broker_started), 0, started_ok},
    [BROKER_CONFIGURE] = {sizeof(struct broker_start), 0, start_ok},
    [BROKER_CONFIGURED] = {sizeof(struct broker_started), 0, started_ok},
    [BROKER_STOP] = {sizeof(struct broker_header), 0, header_ok},
    [BROKER_STOPPED] = {sizeof(struct broker_header), 0, header_ok},
    [BROKER_STATUS] = {sizeof(struct broker_header), 0, header_ok},
    [BROKER_STATUS_REPLY] = {sizeof(struct broker_status_reply), 0, status_reply_ok},
    [BROKER_CLEANUP] = {sizeof(struct broker_header), 0, header_ok},
    [BROKER_CLEANED] = {sizeof(struct broker_cleaned), 0, cleaned_ok},
    [BROKER_GET_LOG] = {sizeof(struct broker_header), 0, header_ok},
    [BROKER_LOG] = {sizeof(struct broker_header), 1, header_ok},
    [BROKER_EVENT] = {sizeof(struct broker_event), 0, event_ok},
};

static const struct kind *kind_of(const struct broker_header *h)
{
    if (h->protocol != BROKER_PROTOCOL || h->zero != 0 || h->type >= ARRAY_LEN(kinds) ||
        kinds[h->type].size == 0)
        return NULL;
    return &kinds[h->type];
}

void broker_message_init(union broker_message *m, enum broker_type type)
{
    memset(m, 0, sizeof(*m));
    m->header.protocol = BROKER_PROTOCOL;
    m->header.type = type;
}

void broker_text_set(char *dst, size_t size, const char *text)
{
    memset(dst, 0, size);
    for (size_t i = 0; i + 1 < size && text[i] != '\0'; i++)
        dst[i] = (unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~' ? '?' : text[i];
}

int broker_message_check(struct slice bytes, size_t fd_count)
{
    union broker_message m;
    memset(&m, 0, sizeof(m));
    if (bytes.len < sizeof(m.header) || bytes.len > sizeof(m))
        return ERR_PROTOCOL;
    memcpy(&m, bytes.data, bytes.len);
    const struct kind *kind = kind_of(&m.header);
    if (kind == NULL || kind->size != bytes.len || kind->fd_count != fd_count || !kind->ok(&m))
        return ERR_PROTOCOL;
    return 0;
}

int broker_message_send(int sock, const union broker_message *m, const int *fds, size_t fd_count)
{
    const struct kind *kind = kind_of(&m->header);
    if (kind == NULL)
        return ERR_INVAL;
    struct slice bytes = slice_of(m, kind->size);
    if (broker_message_check(bytes, fd_count) < 0)
        return ERR_INVAL;
    return fdpass_send(sock, bytes, fds, fd_count);
}

/* Without room for them, the kernel drops descriptors by itself. */
int broker_message_recv_bare(int sock, union broker_message *ret_m)
{
    union broker_message m;
    memset(&m, 0, sizeof(m));
    ssize_t n;
    do
        n = recv(sock, &m, sizeof(m), MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_from_errno(errno);
    if (n == 0)
        return ERR_CLOSED;
    if ((size_t)n > sizeof(m) || broker_message_check(slice_of(&m, (size_t)n), 0) < 0)
        return ERR_PROTOCOL;
    *ret_m = m;
    return 0;
}

int broker_message_take(int sock, union broker_message *ret_m, struct broker_fds *ret_fds)
{
    union broker_message m;
    size_t len = 0;
    memset(&m, 0, sizeof(m));
    int r = fdpass_take(sock, &m, sizeof(m), &len, ret_fds->fds, &ret_fds->count);
    if (r == 0)
        r = broker_message_check(slice_of(&m, len), ret_fds->count);
    if (r < 0)
        return r == ERR_TOOBIG ? ERR_PROTOCOL : r;
    *ret_m = m;
    return 0;
}

int broker_message_recv(int sock, union broker_message *ret_m, int fds[BROKER_START_FDS],
                        size_t *ret_fd_count)
{
    union broker_message m;
    size_t len = 0;
    size_t fd_count = 0;
    memset(&m, 0, sizeof(m));
    int r = fdpass_recv(sock, &m, sizeof(m), &len, fds, BROKER_START_FDS, &fd_count);
    if (r < 0)
        return r == ERR_TOOBIG ? ERR_PROTOCOL : r;
    r = broker_message_check(slice_of(&m, len), fd_count);
    if (r < 0) {
        fdpass_close(fds, fd_count);
        return r;
    }
    *ret_m = m;
    *ret_fd_count = fd_count;
    return 0;
}
