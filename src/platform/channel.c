#include "platform/channel.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "platform/fdpass.h"

static_assert(sizeof(struct channel_dial_gateway) == 76, "no padding");
static_assert(sizeof(struct channel_dial_resolver) == 20, "no padding");
static_assert(sizeof(struct channel_dialed) == 136, "no padding");
static_assert(sizeof(struct channel_setup) == 604, "no padding");
static_assert(sizeof(struct channel_device) == 72, "no padding");
static_assert(sizeof(struct channel_resolvers) == 524, "no padding");

static bool text_ok(const char *text, size_t size)
{
    size_t len = strnlen(text, size);
    return len < size && str_is_printable(slice_of(text, len));
}

static bool dial_gateway_ok(const union channel_message *m)
{
    return text_ok(m->dial_gateway.profile, CHANNEL_PROFILE_SIZE) &&
           m->dial_gateway.profile[0] != '\0';
}

static bool dial_resolver_ok(const union channel_message *m)
{
    return m->dial_resolver.index < CHANNEL_RESOLVERS_MAX &&
           m->dial_resolver.transport <= CHANNEL_TCP;
}

static bool dialed_ok(const union channel_message *m)
{
    return m->dialed.err <= 0 && m->dialed.err >= ERR_LAST &&
           text_ok(m->dialed.reason, CHANNEL_REASON_SIZE);
}

static bool resolver_texts_ok(uint32_t count,
                              const char texts[CHANNEL_RESOLVERS_MAX][CHANNEL_RESOLVER_SIZE])
{
    if (count > CHANNEL_RESOLVERS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!text_ok(texts[i], CHANNEL_RESOLVER_SIZE))
            return false;
    return true;
}

static bool resolvers_ok(const union channel_message *m)
{
    return resolver_texts_ok(m->resolvers.resolver_count, m->resolvers.resolvers);
}

static bool setup_ok(const union channel_message *m)
{
    const struct channel_setup *s = &m->setup;
    if ((s->flags & ~(CHANNEL_SETUP_NO_IPV4 | CHANNEL_SETUP_NO_IPV6)) != 0)
        return false;
    if (s->range_count < 1 || s->range_count > CHANNEL_RANGES_MAX)
        return false;
    for (uint32_t i = 0; i < s->range_count; i++)
        if (s->ranges[i].bits < 8 || s->ranges[i].bits > 30)
            return false;
    return resolver_texts_ok(s->resolver_count, s->resolvers);
}

static bool device_ok(const union channel_message *m)
{
    const struct channel_device *d = &m->device;
    return d->queue_count >= 1 && d->queue_count <= CHANNEL_QUEUES_MAX && d->mtu >= 1280 &&
           d->mtu <= 65535 && d->uid_count >= 1 && d->uid_count <= CHANNEL_UIDS_MAX &&
           (d->flags & ~(CHANNEL_DEVICE_VNET_HDR | CHANNEL_DEVICE_TSO | CHANNEL_DEVICE_USO)) == 0 &&
           text_ok(d->interface_name, sizeof(d->interface_name));
}

static const struct kind {
    size_t size;
    bool (*ok)(const union channel_message *m);
} kinds[] = {
    [CHANNEL_DIAL_GATEWAY] = {sizeof(struct channel_dial_gateway), dial_gateway_ok},
    [CHANNEL_DIAL_RESOLVER] = {sizeof(struct channel_dial_resolver), dial_resolver_ok},
    [CHANNEL_DIALED] = {sizeof(struct channel_dialed), dialed_ok},
    [CHANNEL_SETUP] = {sizeof(struct channel_setup), setup_ok},
    [CHANNEL_DEVICE] = {sizeof(struct channel_device), device_ok},
    [CHANNEL_RESOLVERS] = {sizeof(struct channel_resolvers), resolvers_ok},
};

static const struct kind *kind_of(const struct channel_header *h)
{
    if (h->version != CHANNEL_VERSION || h->type >= ARRAY_LEN(kinds) || kinds[h->type].size == 0)
        return NULL;
    return &kinds[h->type];
}

static size_t fds_expected(const union channel_message *m)
{
    if (m->header.type == CHANNEL_DIALED)
        return m->dialed.err == 0 ? 1 : 0;
    return m->header.type == CHANNEL_DEVICE ? 1 + (size_t)m->device.queue_count : 0;
}

void channel_init(union channel_message *m, enum channel_type type)
{
    memset(m, 0, sizeof(*m));
    m->header.version = CHANNEL_VERSION;
    m->header.type = type;
}

int channel_check(struct slice bytes, size_t fd_count)
{
    union channel_message m;
    memset(&m, 0, sizeof(m));
    if (bytes.len < sizeof(m.header) || bytes.len > sizeof(m))
        return ERR_PROTOCOL;
    memcpy(&m, bytes.data, bytes.len);
    const struct kind *kind = kind_of(&m.header);
    if (kind == NULL || kind->size != bytes.len || !kind->ok(&m) || fds_expected(&m) != fd_count)
        return ERR_PROTOCOL;
    return 0;
}

int channel_send(int sock, const union channel_message *m, const int *fds, size_t fd_count)
{
    const struct kind *kind = kind_of(&m->header);
    if (kind == NULL)
        return ERR_INVAL;
    struct slice bytes = slice_of(m, kind->size);
    if (channel_check(bytes, fd_count) < 0)
        return ERR_INVAL;
    return fdpass_send(sock, bytes, fds, fd_count);
}

int channel_recv(int sock, union channel_message *ret_m, int fds[CHANNEL_FDS_MAX],
                 size_t *ret_fd_count)
{
    union channel_message m;
    size_t len = 0;
    size_t fd_count = 0;
    memset(&m, 0, sizeof(m));
    int r = fdpass_recv(sock, &m, sizeof(m), &len, fds, CHANNEL_FDS_MAX, &fd_count);
    if (r < 0)
        return r == ERR_TOOBIG ? ERR_PROTOCOL : r;
    r = channel_check(slice_of(&m, len), fd_count);
    if (r < 0) {
        fdpass_close(fds, fd_count);
        return r;
    }
    *ret_m = m;
    *ret_fd_count = fd_count;
    return 0;
}
