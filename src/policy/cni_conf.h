/* What a container runtime gives a CNI plugin: variables of the environment, and the network's
 * configuration on standard input (CNI specification 0.3.0 to 1.1.0, "Section 2: Execution
 * Protocol"). Pure but for memory and, with "file", reading that.
 *
 *   {"cniVersion": "1.0.0", "name": "pods", "type": "stile-cni", "file": "/etc/stile/rules.json",
 *    "capabilities": {"io.kubernetes.cri.pod-annotations": true}}
 *
 * "rules" holds the rules themselves (watch_rules.h) in place of "file". Labels are not told to
 * plugins: of them rules may name io.kubernetes.pod.namespace, .name and .uid alone, which CNI_ARGS
 * has. Any other is refused, as it could match nothing.
 */
#ifndef STILE_POLICY_CNI_CONF_H
#define STILE_POLICY_CNI_CONF_H

#include "policy/watch_rules.h"

#define CNI_PROGRAM     "stile-cni"
#define CNI_STDIN_MAX   (L4_JSON_MAX + (size_t)1024 * 1024)
#define CNI_VERSION     "1.1.0" /* of those that are known, the newest */
#define CNI_ANNOTATIONS "io.kubernetes.cri.pod-annotations"

/* Codes of errors: the specification's, and from 100 on ours. */
enum cni_code {
    CNI_CODE_VERSION = 1,
    CNI_CODE_FIELD = 2,
    CNI_CODE_ENVIRONMENT = 4,
    CNI_CODE_IO = 5,
    CNI_CODE_DECODE = 6,
    CNI_CODE_CONFIG = 7,
    CNI_CODE_AGAIN = 11,       /* what it is that keeps it from working passes */
    CNI_CODE_UNAVAILABLE = 50, /* STATUS: no container could be added now */
    CNI_CODE_POLICY = 100,     /* the policies can't be applied */
    CNI_CODE_DRIFT = 101,      /* CHECK: they are not as they should be */
    CNI_CODE_HOST = 102,       /* the network of the host itself */
};

enum cni_command { CNI_VERSION_QUERY, CNI_ADD, CNI_CHECK, CNI_DEL, CNI_GC, CNI_STATUS };

/* The variables; NULL: not set. */
struct cni_env {
    const char *command, *container_id, *netns, *ifname, *args;
};

#define CNI_LABELS_MAX      3
#define CNI_ANNOTATIONS_MAX 1024

struct cni_request {
    enum cni_command command;
    const char *version;       /* one of those known; a static text */
    const char *netns;         /* borrowed of the environment; NULL: not given */
    json_t *conf;              /* owned; NULL: none was given (VERSION) */
    json_t *prev_result;       /* owned by conf; NULL: none */
    struct watch_rules *rules; /* owned; for ADD, CHECK and STATUS */
    struct runtime_label labels[CNI_LABELS_MAX];
    size_t label_count;
    struct runtime_label *annotations; /* owned array, texts owned by conf */
    size_t annotation_count;
    char *args;         /* owned; what labels point into */
    enum cni_code code; /* of a failure */
    const char *msg;    /* the same, in a few words; static */
};

/* Releasable whatever becomes of cni_conf_read. */
void cni_request_init(struct cni_request *r);
void cni_request_release(struct cni_request *r);

/* On failure, code and msg say what a runtime is to be told, d the details. */
int cni_conf_read(const struct cni_env *env, struct slice conf, struct cni_request *ret,
                  struct diag *d);

/* What is known. */
extern const char *const cni_versions[];
extern const size_t cni_version_count;

#endif
