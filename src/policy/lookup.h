/* From a container to its endpoints, by asking its runtime.
 *
 * A runtime is named by its socket: "unix:///run/containerd/containerd.sock",
 * "npipe:////./pipe/containerd-containerd" (Windows), a bare path of a socket, or the word
 * "podman". NULL: the first that is there of the system's usual places. Sockets speak CRI (gRPC
 * runtime.v1.RuntimeService, else runtime.v1alpha2).
 *
 * Linux: the answer is the path of the sandbox's network namespace, or "pid:PID@START" where it has
 * none. A container on the host's network is ERR_DENIED. Windows: the GUIDs of the namespace's
 * endpoints.
 */
#ifndef STILE_POLICY_LOOKUP_H
#define STILE_POLICY_LOOKUP_H

#include "policy/endpoint.h"

#define LOOKUP_TIMEOUT_MS    10000
#define LOOKUP_ENDPOINTS_MAX 16

struct lookup_result {
    size_t count;
    char names[LOOKUP_ENDPOINTS_MAX][ENDPOINT_NAME_SIZE];
};

/* container: a full id, or a beginning of one that only one container has (also a sandbox's;
 * podman: also a name). Blocks, with a loop of its own, at most LOOKUP_TIMEOUT_MS (podman: twice
 * that). Thread-safe. What was found is asked for again at the end, so that a container that was
 * restarted meanwhile isn't taken for another's process. ERR_NOTFOUND (no such container, no
 * runtime: the text says which and where was looked), ERR_TIMEOUT, ERR_PERM, ERR_INVAL (the
 * beginning of several; no id), ERR_EXPIRED (it is not running), ERR_DENIED, ERR_UNSUPPORTED (a
 * Hyper-V container; Linux: one with a network stack of its own, as in Kata Containers and gVisor,
 * on which rules in its namespace have no effect), ERR_FORMAT (the runtime's answer makes no
 * sense). */
int lookup_container(const char *runtime, const char *container, struct lookup_result *ret,
                     struct diag *d);

#endif
