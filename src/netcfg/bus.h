/* The D-Bus system bus, as far as DNS needs it: calls to services that are running, one after the other.
 *
 * Calls block, each for BUS_TIMEOUT_MS at most; after one that timed out, the later ones of the same connection fail at once, so
 * that a service that hangs costs an operation the one time. Nothing is ever started on the bus's side by a call (no auto-start).
 * A connection is made for one operation and closed after it. One thread.
 */
#ifndef STILE_NETCFG_BUS_H
#define STILE_NETCFG_BUS_H

#include "base/err.h"
#include "base/slice.h"

#define BUS_TIMEOUT_MS 5000u
#define BUS_OWNER_SIZE 256 /* a unique name, ":1.42", with the NUL (the specification's limit) */

struct bus;
struct bus_message;

struct bus_object {
    const char *service;
    const char *path;
    const char *interface;
};

/* ERR_NOTFOUND: no libsystemd, or no bus; ERR_TIMEOUT: a bus that doesn't answer. */
int bus_open(struct bus **ret, struct diag *d);
void bus_close(struct bus *b); /* NULL does nothing */
void bus_closep(struct bus **b);

/* A call in the making. The object and the name are borrowed until it was sent. NULL when memory runs out: everything below takes
 * NULL and does nothing, and bus_send says so. */
struct bus_message *bus_request(struct bus *b, const struct bus_object *o, const char *member);
void bus_message_free(struct bus_message *m); /* NULL does nothing */
void bus_message_freep(struct bus_message **m);

/* Arguments, by their D-Bus types as sd_bus_message_append(3) takes them. What can't be put spoils the message: bus_send says so. */
void bus_put(struct bus_message *m, const char *types, ...);
void bus_put_bytes(struct bus_message *m, struct slice bytes); /* an array of bytes */
void bus_begin(struct bus_message *m, char type,
               const char *contents); /* 'a' array, 'r' struct, … */
void bus_end(struct bus_message *m);
/* The value that is next in `from`, a whole container with all in it too. */
void bus_copy(struct bus_message *to, struct bus_message *from);

/* Sends and waits. Frees m. ret_reply may be NULL.
 * ERR_NOTFOUND: nobody owns the service's name, or it knows no such object; ERR_UNSUPPORTED: no such method or property;
 * ERR_BUSY: resolved's LinkBusy; ERR_PERM; ERR_TIMEOUT; ERR_CLOSED: the connection or the service ended meanwhile; ERR_IO: any
 * other error the service answered, which the diagnosis names. */
int bus_send(struct bus *b, struct bus_message *m, struct bus_message **ret_reply, struct diag *d);

/* The three above in one: arguments by types (may be empty). */
int bus_call(struct bus *b, const struct bus_object *o, const char *member,
             struct bus_message **ret_reply, struct diag *d, const char *types, ...);

/* The value of a property; the reply is to be read as `contents`. ERR_PROTOCOL: it has another type. */
int bus_property(struct bus *b, const struct bus_object *o, const char *name, const char *contents,
                 struct bus_message **ret_reply, struct diag *d);
int bus_property_string(struct bus *b, const struct bus_object *o, const char *name, char *ret,
                        size_t size, struct diag *d);

/* The unique name of a service's process. ERR_NOTFOUND: it isn't running. */
int bus_owner(struct bus *b, const char *service, char ret_owner[BUS_OWNER_SIZE], struct diag *d);

/* Reading: false at the end of the container, and for anything of another type than asked for. What is lent stays good until the
 * message is freed. An array is read to its end before it is left. */
bool bus_get(struct bus_message *m, const char *types, ...);
bool bus_get_bytes(struct bus_message *m, struct slice *ret);
bool bus_enter(struct bus_message *m, char type, const char *contents);
bool bus_leave(struct bus_message *m);
bool bus_skip(struct bus_message *m, const char *types);
void bus_rewind(struct bus_message *m); /* to its beginning */
/* The type of a variant that is next ("s", "au"); NULL: none is next. */
const char *bus_variant_type(struct bus_message *m);

#endif
