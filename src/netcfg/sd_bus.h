/* libsystemd's D-Bus functions, found at run time: a host without libsystemd.so.0 runs stile all the same, without the
 * back-ends that need a bus. For bus.c and bus_watch.c alone. */
#ifndef STILE_NETCFG_SD_BUS_H
#define STILE_NETCFG_SD_BUS_H

#include <systemd/sd-bus.h>

#include "base/err.h"

#define SD_BUS_FUNCTIONS(X)                                                                        \
    X(sd_bus_open_system)                                                                          \
    X(sd_bus_close_unref)                                                                          \
    X(sd_bus_is_ready)                                                                             \
    X(sd_bus_process)                                                                              \
    X(sd_bus_get_fd)                                                                               \
    X(sd_bus_get_events)                                                                           \
    X(sd_bus_call)                                                                                 \
    X(sd_bus_add_filter)                                                                           \
    X(sd_bus_error_free)                                                                           \
    X(sd_bus_message_new_method_call)                                                              \
    X(sd_bus_message_set_auto_start)                                                               \
    X(sd_bus_message_unref)                                                                        \
    X(sd_bus_message_appendv)                                                                      \
    X(sd_bus_message_append_array)                                                                 \
    X(sd_bus_message_open_container)                                                               \
    X(sd_bus_message_close_container)                                                              \
    X(sd_bus_message_read)                                                                         \
    X(sd_bus_message_readv)                                                                        \
    X(sd_bus_message_read_array)                                                                   \
    X(sd_bus_message_peek_type)                                                                    \
    X(sd_bus_message_enter_container)                                                              \
    X(sd_bus_message_exit_container)                                                               \
    X(sd_bus_message_copy)                                                                         \
    X(sd_bus_message_rewind)                                                                       \
    X(sd_bus_message_skip)                                                                         \
    X(sd_bus_message_is_signal)                                                                    \
    X(sd_bus_message_get_sender)                                                                   \
    X(sd_bus_message_get_path)

struct sd_bus_library {
#define SD_BUS_MEMBER(name) __typeof__(&name) name;
    SD_BUS_FUNCTIONS(SD_BUS_MEMBER)
#undef SD_BUS_MEMBER
};

/* The functions, loaded once for the process and never unloaded. ERR_NOTFOUND: no library, or one that is too old. Thread-safe. */
int sd_bus_library(const struct sd_bus_library **ret, struct diag *d);

/* The connection of a struct bus (bus.c): for receiving on it. */
struct bus;
sd_bus *bus_connection(struct bus *b);

#endif
