/* The procedures of a container runtime, for those who stand in for one: a rpc_method each, of one version of the interface. */
#ifndef STILE_TESTS_CRI_METHODS_H
#define STILE_TESTS_CRI_METHODS_H

#include "cri/cri.pb-c.h"
#include "rpc/server.h"

#define CRI_METHOD(name_c, version_word, procedure, request_c, response_c)                         \
    static const struct rpc_method name_c = {                                                      \
        "/runtime." version_word ".RuntimeService/" procedure, &cri__##request_c##__descriptor,    \
        &cri__##response_c##__descriptor, false}
#define CRI_METHODS(suffix, version_word)                                                          \
    CRI_METHOD(version_##suffix, version_word, "Version", version_request, version_response);      \
    CRI_METHOD(containers_##suffix, version_word, "ListContainers", list_containers_request,       \
               list_containers_response);                                                          \
    CRI_METHOD(sandboxes_##suffix, version_word, "ListPodSandbox", list_pod_sandbox_request,       \
               list_pod_sandbox_response);                                                         \
    CRI_METHOD(container_##suffix, version_word, "ContainerStatus", container_status_request,      \
               container_status_response);                                                         \
    CRI_METHOD(sandbox_##suffix, version_word, "PodSandboxStatus", pod_sandbox_status_request,     \
               pod_sandbox_status_response)

#endif
