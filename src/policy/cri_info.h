/* What a runtime tells of a container beyond the interface: the JSON in the entry "info" of a
 * verbose status. containerd and CRI-O write the same members: pid, runtimeType, and runtimeSpec,
 * which is the OCI runtime specification's config.json. Pure but for memory; the text may be
 * anybody's (image authors choose parts of it) and be large.
 */
#ifndef STILE_POLICY_CRI_INFO_H
#define STILE_POLICY_CRI_INFO_H

#include "base/slice.h"
#include "policy/endpoint.h"
#include "policy/runtime.h"

/* Of one answer, at most: as much as the kubelet takes. A list tells all labels and annotations of
 * everything that runs. */
#define CRI_REPLY_MAX ((size_t)16 * 1024 * 1024)
/* Of the information on one container, which is one text in its answer. Kubernetes keeps what a pod
 * is made from under 1.5 MiB, and this tells it about twice. No more, because an image's author may
 * choose its size, and it takes some ten times as much memory to read. */
#define CRI_INFO_MAX ((size_t)4 * 1024 * 1024)

struct cri_info {
    int pid;                          /* of its first process; 0: not told */
    char sandbox_id[RUNTIME_ID_SIZE]; /* of a container; "" not told */
    bool has_spec;                    /* there was a runtimeSpec */
    bool has_network;                 /* it has a network namespace of its own, or joins one */
    char
        network_path[ENDPOINT_NAME_SIZE]; /* of that; "": made for it, and known by the pid alone */
    bool hyperv;                          /* Windows: in a virtual machine of its own */
    char windows_namespace[64];           /* the GUID of its HNS namespace; "" not told */
    char runtime_type[64];                /* "io.containerd.runc.v2"; "" not told */
};

/* ERR_FORMAT: not JSON, or a member isn't what it should be; ERR_TOOBIG: over CRI_INFO_MAX, or a
 * path that no endpoint's name can hold; ERR_NOMEM. ret is written on success alone. Members that
 * are missing or null count as not told. */
int cri_info_parse(struct slice json, struct cri_info *ret, struct diag *d);

/* Why nftables in the network namespace don't see what the container's programs send: NULL if they
 * do, else the words for it ("a virtual machine"). By the runtime's type or path; unknown ones are
 * taken for ordinary ones. */
const char *cri_info_hidden_network(const char *runtime_type);

#endif
