/* The gateway's configuration file: the model, and the reader that says where the file is wrong.
 *
 * A configuration is immutable once read and belongs to whoever loaded it; a SIGHUP reads another one beside it. All
 * problems of a file are found in one go, each as "FILE:LINE:COLUMN: what is wrong; what to do". Loading blocks (one small
 * file).
 */
#ifndef STILE_GATEWAY_CONFIG_H
#define STILE_GATEWAY_CONFIG_H

#include "base/err.h"
#include "base/slice.h"
#include "config/problems.h"
#include "gateway/texts.h"
#include "net/ip.h"
#include "net/name.h"
#include "net/prefix.h"

#define CONFIG_LABEL_SIZE     64  /* cluster and app names: one DNS label */
#define CONFIG_PRINCIPAL_SIZE 65  /* user and group names */
#define CONFIG_HOST_SIZE      256 /* a name or an address */
#define CONFIG_ADDR_SIZE      264 /* host:port */
#define CONFIG_APPS_MAX       10000u
#define CONFIG_LIST_MAX       1000u /* entries of any list within an app; zones */

/* The group every user is in. */
#define CONFIG_GROUP_EVERYONE "everyone"

/* Both ends are included; host order. */
struct config_ports {
    uint16_t first;
    uint16_t last;
};

struct config_app {
    char name[CONFIG_LABEL_SIZE];
    struct name public_name;
    bool web;                           /* listed, never virtual: no target, no ports */
    char target_host[CONFIG_HOST_SIZE]; /* a name or an address without brackets */
    uint16_t target_port;               /* 0: the port the user asked for */
    struct config_ports *ports;         /* owned */
    size_t port_count;                  /* 0: any port */
    struct texts users;                 /* who may use it; both empty with web: everyone sees it */
    struct texts groups;
    struct texts http_hosts; /* not empty: an http app and the Host values it answers to */
    unsigned line;           /* where its public_name stands in the file */
    unsigned column;
};

struct gateway_config {
    char *file; /* owned, as given */
    char cluster[CONFIG_LABEL_SIZE];
    struct ip_endpoint listen;
    char listen_text[CONFIG_ADDR_SIZE];
    char public_host[CONFIG_HOST_SIZE]; /* without brackets */
    uint16_t public_port;
    char public_addr[CONFIG_ADDR_SIZE];
    struct texts names;     /* more names and addresses for the gateway's certificate */
    char *state_path;       /* owned; relative ones are resolved against the file's directory */
    char *ca_dir;           /* owned; "ca" beside the state */
    struct name *dns_zones; /* owned */
    size_t zone_count;
    struct prefix ipv4_range;
    char ipv4_range_text[PREFIX_TEXT_SIZE];
    struct config_app *apps; /* owned */
    size_t app_count;
    uint32_t connections_max; /* at once, all users */
    uint32_t connections_per_user;
    uint32_t connect_timeout_ms; /* to a target */
    uint32_t log_in_s;           /* life of a log-in certificate */
    uint32_t app_cert_s;         /* life of an app certificate */
};

/* Reads and checks a file. The diag has the first problem and how many there are; on_problem (may be NULL) gets each one.
 * ERR_FORMAT: the file is wrong; ERR_NOTFOUND, ERR_PERM, ERR_IO: it can't be read; ERR_NOMEM. */
int gateway_config_load(const char *path, config_problem_fn *on_problem, void *arg,
                        struct gateway_config **ret, struct diag *d);

/* The same from memory; path is what the messages call it, and what relative paths start from. */
int gateway_config_parse(const char *path, struct slice text, config_problem_fn *on_problem,
                         void *arg, struct gateway_config **ret, struct diag *d);

void gateway_config_free(struct gateway_config *c); /* NULL is fine */

/* Cluster and app names: letters, digits and hyphens inside, lower case, at most 63. */
bool config_is_label(struct slice s);
/* User and group names: letters, digits and . _ @ + - (not first), at most 64. */
bool config_is_principal(struct slice s);

/* "HOST:PORT", "[V6]:PORT", or without the port (*ret_port is 0 then) where that may be missing. host gets no brackets. A host
 * is an IP address or a domain name. False: it is neither. */
bool config_split_addr(struct slice text, char host[CONFIG_HOST_SIZE], uint16_t *ret_port);

/* The commented example that `stile gateway init` writes; valid as it stands. */
struct config_example {
    const char *cluster;
    const char *listen;
    const char *public_addr;
    const char *zone;
};
struct buf;
int gateway_config_example(const struct config_example *e, struct buf *out);

#endif
