/* libstile-policy: layer-4 proxy policies, which send the connections of a container through the
 * proxy beside it. See libstile-policy(3); the model and its words are in stile-policy(1).
 *
 * Errors. Functions that can fail return 0 or a negative enum stile_policy_code, with a text for
 * people in *error, which may be NULL. What a function gives back through a pointer (`ret`, `into`,
 * the result) is written on success only.
 *
 * Ownership. What a function made is freed by the function named beside it, and by no other: not by
 * free(3). Nothing that is passed in is kept: texts and lists may go as soon as the call has
 * returned. Functions that free take NULL.
 *
 * Threads. There is no state but in the objects (and the memory which nft is new enough, which no
 * thread and no forked child waits for). Different threads may use different objects at once, one
 * object one thread at a time; a list that nobody changes may be read by several. The calling
 * thread's namespaces, directory, signal handlers and environment stay as they are.
 *
 * Blocking. Functions named stile_endpoint_… ask the system and block until it has answered. On
 * Linux that is nft, commonly for milliseconds; one that hangs is killed after 30 seconds, and
 * given up after 35. Opening and listing run it once, a change up to three times, after waiting at
 * most 30 seconds for another program that is changing the same endpoint. stile_endpoint_find takes
 * at most 10 seconds, with podman 20. All others only compute; but a user's or group's name ("uid",
 * "gid") is looked up in the host's user database.
 *
 * Versions. Within one soname functions and codes are only added, and structures keep their size:
 * what is `reserved` in them, which the library sets to 0, may come to mean something.
 */
#ifndef STILE_POLICY_H
#define STILE_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STILE_POLICY_VERSION        "0.1.0"
#define STILE_POLICY_VERSION_NUMBER 100 /* for #if: major * 10000 + minor * 100 + patch */
const char *stile_policy_version(void); /* of the library that is loaded */

/* ---- Errors ---- */

enum stile_policy_code {
    STILE_POLICY_OK = 0,
    STILE_POLICY_EINTERNAL = -1,     /* a mistake of the library's own */
    STILE_POLICY_ENOMEM = -2,        /* memory ran out; nothing was changed */
    STILE_POLICY_EINVAL = -3,        /* an argument, or a policy, makes no sense */
    STILE_POLICY_EFORMAT = -4,       /* a text is not what it should be: the message says where */
    STILE_POLICY_ETOOBIG = -5,       /* longer than the library takes */
    STILE_POLICY_ELIMIT = -6,        /* one more than there may be */
    STILE_POLICY_ENOTFOUND = -7,     /* no such endpoint, container, runtime, policy, or no nft */
    STILE_POLICY_EDENIED = -8,       /* the host's own network, which is never meant by mistake */
    STILE_POLICY_EEXPIRED = -9,      /* the container's process has ended, or is another one now */
    STILE_POLICY_EBUSY = -10,        /* in use by another program */
    STILE_POLICY_ETIMEOUT = -11,     /* no answer in time */
    STILE_POLICY_EUNREACHABLE = -12, /* the container runtime does not answer as one */
    STILE_POLICY_EVERSION = -13,     /* nft or HNS is too old: the message says which is there */
    STILE_POLICY_EUNSUPPORTED = -14, /* a limit of this system, by its name in the message */
    STILE_POLICY_EPERM = -15,        /* the operating system does not permit it */
    STILE_POLICY_EIO = -16,          /* any other failure of the operating system */
    STILE_POLICY_EEXISTS = -17,      /* something of another program's is in the place of ours */
    STILE_POLICY_EBLOCKED = -18      /* the endpoint is blocked: apply a whole list, or clear */
};

struct stile_policy_error {
    int code;
    int reserved[3];
    char text[512]; /* UTF-8, one line, without the name of the program */
};

const char *stile_policy_code_name(int code); /* "STILE_POLICY_ENOMEM"; static */

/* Texts that functions here returned through char **. */
void stile_policy_free(char *text);

/* ---- Policies: a list in memory ---- */

struct stile_policies;

int stile_policies_new(struct stile_policies **ret, struct stile_policy_error *error);
void stile_policies_free(struct stile_policies *p);
size_t stile_policies_count(const struct stile_policies *p);

/* The list becomes what the text says: one policy, an array of them, or {"Policies":[…]}, in the
 * form of HNS's L4WFPPROXY. */
int stile_policies_read_json(struct stile_policies *p, const char *text, size_t len,
                             struct stile_policy_error *error);
/* One line, NUL-terminated: stile_policy_free. */
int stile_policies_write_json(const struct stile_policies *p, char **ret,
                              struct stile_policy_error *error);

/* Names and values of `stile policy add`'s options, without dashes: {"port", "8000"}, {"uid",
 * "1337"}, … */
struct stile_policy_setting {
    const char *name, *value;
};

/* One more policy, made from all of the settings, at the end of the list. */
int stile_policies_add(struct stile_policies *p, const struct stile_policy_setting *settings,
                       size_t count, struct stile_policy_error *error);

/* Policy number `index` (from 0) in one line for people: stile_policy_free. EINVAL: there is
 * none. */
int stile_policies_describe(const struct stile_policies *p, size_t index, char **ret,
                            struct stile_policy_error *error);

enum stile_policy_system { STILE_POLICY_HERE, STILE_POLICY_LINUX, STILE_POLICY_WINDOWS };

/* Whether the list makes sense (EINVAL) and the system (enum stile_policy_system) can do it
 * (EUNSUPPORTED), as one endpoint's. The functions that change an endpoint check this
 * themselves. */
int stile_policies_validate(const struct stile_policies *p, int system,
                            struct stile_policy_error *error);

/* ---- Endpoints: the network of a container ---- */

struct stile_endpoint_names {
    size_t count;
    char **names;
    void *reserved[2];
};

/* The endpoints of a running container, by its id or the beginning of it. runtime: its socket
 * ("unix:///run/containerd/containerd.sock", "npipe:////./pipe/containerd-containerd"), "podman",
 * or NULL for the first that is there. ret: stile_endpoint_names_release. */
int stile_endpoint_find(const char *runtime, const char *container,
                        struct stile_endpoint_names *ret, struct stile_policy_error *error);
void stile_endpoint_names_release(struct stile_endpoint_names *names);

struct stile_endpoint;

enum { STILE_ENDPOINT_HOST = 1 }; /* the host's own network is meant: otherwise it is refused */

/* Linux: "/run/netns/blue", "blue" (the same), "pid:1234", "pid:1234@START" (START: field 22 of
 * /proc/PID/stat). Windows: an HNS endpoint's GUID. The network is held until it is closed,
 * whatever becomes of the name. */
int stile_endpoint_open(const char *name, uint32_t flags, struct stile_endpoint **ret,
                        struct stile_policy_error *error);
void stile_endpoint_close(struct stile_endpoint *e);

/* `into` becomes what the system has, in the order of evaluation. */
int stile_endpoint_list(struct stile_endpoint *e, struct stile_policies *into,
                        struct stile_policy_error *error);

enum { STILE_POLICY_DRY_RUN = 1 }; /* nothing is changed; `sent` is what would be sent */

/* What a change did. ret may be NULL; else: stile_policy_result_release. A text is NULL when memory
 * for it ran out: the change was made nevertheless. */
struct stile_policy_result {
    size_t added, removed; /* policies */
    size_t unchanged;      /* those that were there and stay, whether they were given or not */
    int drifted;           /* reconcile: something was not as it should be */
    char *sent;            /* what the system was sent; "": nothing need be changed */
    char *notes;           /* for people, a line each: what else was done or found */
    void *reserved[4];
};

void stile_policy_result_release(struct stile_policy_result *r);

/* Every change is whole or not at all. */

/* These as well. Those that are there already stay as they are. EBLOCKED: see
 * stile_endpoint_block. */
int stile_endpoint_add(struct stile_endpoint *e, const struct stile_policies *more, uint32_t flags,
                       struct stile_policy_result *ret, struct stile_policy_error *error);
/* These no more. ENOTFOUND if one of them isn't there: then none is removed. EBLOCKED, the same. */
int stile_endpoint_remove(struct stile_endpoint *e, const struct stile_policies *those,
                          uint32_t flags, struct stile_policy_result *ret,
                          struct stile_policy_error *error);
/* These, and no others. */
int stile_endpoint_apply(struct stile_endpoint *e, const struct stile_policies *wanted,
                         uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error);
/* Repairs what somebody changed by hand. wanted: NULL for what the system remembers: a block, which
 * stays, else policies. ENOTFOUND: it remembers neither (there were none, or all that carried them
 * was removed). */
int stile_endpoint_reconcile(struct stile_endpoint *e, const struct stile_policies *wanted,
                             uint32_t flags, struct stile_policy_result *ret,
                             struct stile_policy_error *error);
/* None any more, and no trace of them or of a block. */
int stile_endpoint_clear(struct stile_endpoint *e, uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error);
/* Linux: nothing enters or leaves the network until a whole set of policies is applied
 * (reconciled), or all are cleared. For a container whose policies can't be applied: better no
 * network than one past the proxy. The numbers in ret are 0. */
int stile_endpoint_block(struct stile_endpoint *e, uint32_t flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error);
/* 1: it is so; 0: it isn't (on Windows never). */
int stile_endpoint_is_blocked(struct stile_endpoint *e, int *ret, struct stile_policy_error *error);

#ifdef __cplusplus
}
#endif
#endif
