#include "netcfg/bus.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "netcfg/sd_bus.h"

struct bus {
    const struct sd_bus_library *lib;
    sd_bus *connection;
    bool hung; /* a call timed out */
};

struct bus_message {
    const struct sd_bus_library *lib;
    sd_bus_message *sd;
    const char *service; /* of a request; borrowed */
    const char *member;
    bool bad;
};

static const struct bus_object daemon_object = {"org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                "org.freedesktop.DBus"};

/* Waits until the bus has let us in. libsystemd's own calls would wait for that for 90 s. */
static int await_ready(struct bus *b, struct diag *d)
{
    uint64_t deadline = clock_mono_ns() + BUS_TIMEOUT_MS * NS_PER_MS;

    for (;;) {
        int r = b->lib->sd_bus_process(b->connection, NULL);
        if (r < 0)
            return diag_set(d, err_from_errno(-r), -r, "Failed to connect to the system bus");
        if (b->lib->sd_bus_is_ready(b->connection) > 0)
            return 0;
        uint64_t now = clock_mono_ns();
        if (now >= deadline)
            return diag_set(d, ERR_TIMEOUT, 0,
                            "Failed to connect to the system bus: it doesn't answer");
        int events = b->lib->sd_bus_get_events(b->connection);
        struct pollfd p = {b->lib->sd_bus_get_fd(b->connection), (short)MAX(events, 0), 0};
        if (r == 0)
            poll(&p, 1, (int)((deadline - now) / NS_PER_MS) + 1);
    }
}

int bus_open(struct bus **ret, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *b = NEW(struct bus);

    if (b == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to connect to the system bus: out of memory");
    int r = sd_bus_library(&b->lib, d);
    if (r < 0)
        return r;
    r = b->lib->sd_bus_open_system(&b->connection);
    if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
        return diag_set(d, ERR_NOTFOUND, -r, "There is no system bus (D-Bus) on this host");
    if (r < 0)
        return diag_set(d, err_from_errno(-r), -r, "Failed to connect to the system bus");
    r = await_ready(b, d);
    if (r < 0)
        return r;
    *ret = STEAL(b);
    return 0;
}

void bus_close(struct bus *b)
{
    if (b == NULL)
        return;
    if (b->connection != NULL)
        b->lib->sd_bus_close_unref(b->connection);
    mem_free(b);
}

void bus_closep(struct bus **b)
{
    bus_close(*b);
}

sd_bus *bus_connection(struct bus *b)
{
    return b->connection;
}

static struct bus_message *message_new(const struct sd_bus_library *lib)
{
    struct bus_message *m = NEW(struct bus_message);

    if (m != NULL)
        m->lib = lib;
    return m;
}

struct bus_message *bus_request(struct bus *b, const struct bus_object *o, const char *member)
{
    struct bus_message *m = message_new(b->lib);

    if (m == NULL)
        return NULL;
    m->service = o->service;
    m->member = member;
    if (b->lib->sd_bus_message_new_method_call(b->connection, &m->sd, o->service, o->path,
                                               o->interface, member) < 0 ||
        b->lib->sd_bus_message_set_auto_start(m->sd, 0) < 0) {
        bus_message_free(m);
        return NULL;
    }
    return m;
}

void bus_message_free(struct bus_message *m)
{
    if (m == NULL)
        return;
    m->lib->sd_bus_message_unref(m->sd);
    mem_free(m);
}

void bus_message_freep(struct bus_message **m)
{
    bus_message_free(*m);
}

static void put_list(struct bus_message *m, const char *types, va_list arguments)
{
    if (m->lib->sd_bus_message_appendv(m->sd, types, arguments) < 0)
        m->bad = true;
}

void bus_put(struct bus_message *m, const char *types, ...)
{
    va_list arguments;

    if (m == NULL)
        return;
    va_start(arguments, types);
    put_list(m, types, arguments);
    va_end(arguments);
}

void bus_put_bytes(struct bus_message *m, struct slice bytes)
{
    if (m != NULL && m->lib->sd_bus_message_append_array(m->sd, 'y', bytes.data, bytes.len) < 0)
        m->bad = true;
}

void bus_begin(struct bus_message *m, char type, const char *contents)
{
    if (m != NULL && m->lib->sd_bus_message_open_container(m->sd, type, contents) < 0)
        m->bad = true;
}

void bus_end(struct bus_message *m)
{
    if (m != NULL && m->lib->sd_bus_message_close_container(m->sd) < 0)
        m->bad = true;
}

void bus_copy(struct bus_message *to, struct bus_message *from)
{
    if (to != NULL && to->lib->sd_bus_message_copy(to->sd, from->sd, 0) < 0)
        to->bad = true;
}

/* What the names that services answer with mean to us. */
static const struct {
    const char *suffix;
    int err;
} error_names[] = {
    {".DBus.Error.ServiceUnknown", ERR_NOTFOUND},
    {".DBus.Error.NameHasNoOwner", ERR_NOTFOUND},
    {".DBus.Error.UnknownObject", ERR_NOTFOUND},
    {".resolve1.NoSuchLink", ERR_NOTFOUND},
    {".NetworkManager.UnknownDevice", ERR_NOTFOUND},
    {".NetworkManager.Device.NotActive", ERR_NOTFOUND},
    {".NetworkManager.Device.VersionIdMismatch", ERR_AGAIN},
    {".DBus.Error.UnknownMethod", ERR_UNSUPPORTED},
    {".DBus.Error.UnknownInterface", ERR_UNSUPPORTED},
    {".DBus.Error.UnknownProperty", ERR_UNSUPPORTED},
    {".DBus.Error.NotSupported", ERR_UNSUPPORTED},
    {".resolve1.LinkBusy", ERR_BUSY},
    {".DBus.Error.AccessDenied", ERR_PERM},
    {".DBus.Error.InteractiveAuthorizationRequired", ERR_PERM},
    {".DBus.Error.NoReply", ERR_CLOSED},
    {".DBus.Error.Disconnected", ERR_CLOSED},
    {".DBus.Error.Timeout", ERR_TIMEOUT},
    {".DBus.Error.TimedOut", ERR_TIMEOUT},
};

static int error_code(const sd_bus_error *e, int os_code)
{
    if (os_code == ETIMEDOUT)
        return ERR_TIMEOUT;
    for (size_t i = 0; e->name != NULL && i < ARRAY_LEN(error_names); i++)
        if (str_ends(e->name, error_names[i].suffix))
            return error_names[i].err;
    return e->name != NULL ? ERR_IO : err_from_errno(os_code);
}

/* What a service says may hold anything: for people it is cut to its printable part. */
static int call_failed(struct bus *b, const struct bus_message *m, const sd_bus_error *e, int r,
                       struct diag *d)
{
    int err = error_code(e, -r);
    const char *said = e->message != NULL ? e->message : e->name;

    if (err == ERR_TIMEOUT)
        b->hung = true;
    if (said == NULL || !str_is_printable(slice_str(said)))
        said = err_text(err);
    return diag_set(d, err, -r, "Failed to ask %s for %s: %s", m->service, m->member, said);
}

int bus_send(struct bus *b, struct bus_message *m, struct bus_message **ret_reply, struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *request = m;
    CLEANUP(bus_message_freep) struct bus_message *reply = message_new(b->lib);
    sd_bus_error e = {0};

    if (request == NULL || reply == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to use the system bus: out of memory");
    if (request->bad)
        return diag_set(d, ERR_INVAL, 0, "Failed to ask %s for %s: the question can't be put",
                        m->service, m->member);
    if (b->hung)
        return diag_set(d, ERR_TIMEOUT, 0, "Failed to ask %s for %s: it doesn't answer", m->service,
                        m->member);
    int r = b->lib->sd_bus_call(b->connection, request->sd, BUS_TIMEOUT_MS * UINT64_C(1000), &e,
                                &reply->sd);
    if (r < 0) {
        r = call_failed(b, request, &e, r, d);
        b->lib->sd_bus_error_free(&e);
        return r;
    }
    if (ret_reply != NULL)
        *ret_reply = STEAL(reply);
    return 0;
}

int bus_call(struct bus *b, const struct bus_object *o, const char *member,
             struct bus_message **ret_reply, struct diag *d, const char *types, ...)
{
    struct bus_message *m = bus_request(b, o, member);
    va_list arguments;

    va_start(arguments, types);
    if (m != NULL && types[0] != '\0')
        put_list(m, types, arguments);
    va_end(arguments);
    return bus_send(b, m, ret_reply, d);
}

int bus_property(struct bus *b, const struct bus_object *o, const char *name, const char *contents,
                 struct bus_message **ret_reply, struct diag *d)
{
    struct bus_object properties = {o->service, o->path, "org.freedesktop.DBus.Properties"};
    CLEANUP(bus_message_freep) struct bus_message *reply = NULL;

    int r = bus_call(b, &properties, "Get", &reply, d, "ss", o->interface, name);
    if (r < 0)
        return r;
    if (!bus_enter(reply, 'v', contents))
        return diag_set(d, ERR_PROTOCOL, 0, "%s has a property %s of another type than expected",
                        o->service, name);
    *ret_reply = STEAL(reply);
    return 0;
}

int bus_property_string(struct bus *b, const struct bus_object *o, const char *name, char *ret,
                        size_t size, struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *reply = NULL;
    const char *text = "";

    int r = bus_property(b, o, name, "s", &reply, d);
    if (r < 0)
        return r;
    if (!bus_get(reply, "s", &text) || str_copy(ret, size, text) < 0)
        return diag_set(d, ERR_PROTOCOL, 0, "%s has too long a property %s", o->service, name);
    return 0;
}

int bus_owner(struct bus *b, const char *service, char ret_owner[BUS_OWNER_SIZE], struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *reply = NULL;
    const char *owner = NULL;

    int r = bus_call(b, &daemon_object, "GetNameOwner", &reply, d, "s", service);
    if (r < 0)
        return r;
    if (!bus_get(reply, "s", &owner) || str_copy(ret_owner, BUS_OWNER_SIZE, owner) < 0)
        return diag_set(d, ERR_PROTOCOL, 0, "The system bus gave no owner of %s", service);
    return 0;
}

bool bus_get(struct bus_message *m, const char *types, ...)
{
    va_list arguments;

    va_start(arguments, types);
    int r = m->lib->sd_bus_message_readv(m->sd, types, arguments);
    va_end(arguments);
    return r > 0;
}

bool bus_get_bytes(struct bus_message *m, struct slice *ret)
{
    const void *data = NULL;
    size_t len = 0;

    if (m->lib->sd_bus_message_read_array(m->sd, 'y', &data, &len) <= 0)
        return false;
    *ret = slice_of(data, len);
    return true;
}

bool bus_enter(struct bus_message *m, char type, const char *contents)
{
    return m->lib->sd_bus_message_enter_container(m->sd, type, contents) > 0;
}

bool bus_leave(struct bus_message *m)
{
    return m->lib->sd_bus_message_exit_container(m->sd) > 0;
}

bool bus_skip(struct bus_message *m, const char *types)
{
    return m->lib->sd_bus_message_skip(m->sd, types) > 0;
}

void bus_rewind(struct bus_message *m)
{
    m->lib->sd_bus_message_rewind(m->sd, 1);
}

const char *bus_variant_type(struct bus_message *m)
{
    const char *contents = NULL;
    char type = 0;

    if (m->lib->sd_bus_message_peek_type(m->sd, &type, &contents) <= 0 || type != 'v')
        return NULL;
    return contents;
}
