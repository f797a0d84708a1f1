/* One log-in at one gateway: who the user is there, with key and certificate.
 *
 * A profile is read whole and replaced whole: a reader never sees the key of one log-in with the certificate of another. The
 * key is the log-in's own: it authenticates to the access API and never signs for an app.
 */
#ifndef STILE_AGENT_PROFILE_H
#define STILE_AGENT_PROFILE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "agent/home.h"

#define PROFILE_NAME_SIZE 64
#define PROFILE_HOST_SIZE 256 /* host:port or a name */
#define PROFILE_ZONES_MAX 32
#define PROFILES_MAX      32
#define PROFILE_FILE_CAP  (256 * 1024) /* of each of its files */

struct cluster {
    char name[PROFILE_NAME_SIZE];
    char public_addr[PROFILE_HOST_SIZE]; /* host:port the gateway is known by; may be empty */
    char gateway_version[32];
    char ipv4_range[24]; /* "100.64.0.0/10" */
    size_t zone_count;
    char zones[PROFILE_ZONES_MAX][PROFILE_HOST_SIZE];
};

struct profile {
    char name[PROFILE_NAME_SIZE];
    char gateway[PROFILE_HOST_SIZE]; /* host:port to dial */
    char user[PROFILE_NAME_SIZE];
    int64_t expires_s; /* Unix time of the certificate's end */
    struct cluster cluster;
    struct buf ca_pem;                    /* what the gateway's certificate must chain to */
    X509 *cert;                           /* owned */
    EVP_PKEY *key;                        /* owned */
    char gateway_name[PROFILE_HOST_SIZE]; /* host of gateway: what its certificate must name */
    char public_name[PROFILE_HOST_SIZE];  /* host of cluster.public_addr, or empty */
    uint64_t stamp; /* of the directory entry: a different one means it was replaced */
};

/* ERR_INVAL unless 1–63 of a-z 0-9 . _ - and no dot first. */
int profile_check_name(const char *name, struct diag *d);

/* ERR_NOTFOUND: no such profile. ERR_FORMAT: it is damaged; the text says to log in again. */
int profile_load(const struct home *home, const char *name, struct profile **ret, struct diag *d);
int profile_save(const struct home *home, const struct profile *profile, struct diag *d);
/* Forgets key and certificate. ERR_NOTFOUND if there is no such profile. */
int profile_remove(const struct home *home, const char *name, struct diag *d);
void profile_free(struct profile *profile); /* wipes; NULL is fine */
void profile_freep(struct profile **profile);

/* A number that changes when this profile, or with NULL any profile, is added, replaced or removed. */
uint64_t profile_stamp(const struct home *home, const char *name);

struct profile_names {
    size_t count;
    char names[PROFILES_MAX][PROFILE_NAME_SIZE]; /* sorted */
};
int profile_list(const struct home *home, struct profile_names *ret, struct diag *d);

/* The one named; with NULL the only one, or the one logged in last. ERR_NOTFOUND says how to log in. */
int profile_choose(const struct home *home, const char *name, char ret[PROFILE_NAME_SIZE],
                   struct diag *d);
int profile_set_default(const struct home *home, const char *name, struct diag *d);

/* True from a little before the end, so that nothing expires on its way. */
bool profile_expired(const struct profile *profile);
int64_t
profile_usable_s(const struct profile *profile); /* until it counts as expired; negative: since */
/* ERR_EXPIRED, with the command that logs in again. */
int profile_log_in_again(const struct profile *profile, struct diag *d);

/* "host", "host:port" or "[v6]:port" → parts; ERR_INVAL with the remedy. */
int profile_split_addr(const char *addr, char host_ret[PROFILE_HOST_SIZE], uint16_t *ret_port,
                       struct diag *d);

#endif
