/* What `podman container inspect` printed, by the template that we give it. Pure but for memory. */
#ifndef STILE_POLICY_PODMAN_INFO_H
#define STILE_POLICY_PODMAN_INFO_H

#include "base/slice.h"
#include "policy/endpoint.h"
#include "policy/runtime.h"

/* For --format. */
#define PODMAN_TEMPLATE                                                                            \
    "{\"Id\":{{json .ID}},\"Running\":{{json .State.Running}},\"Pid\":{{json .State.Pid}},"        \
    "\"Path\":{{json .NetworkSettings.SandboxKey}},\"Mode\":{{json .HostConfig.NetworkMode}},"     \
    "\"Runtime\":{{json .OCIRuntime}}}"

struct podman_info {
    char id[RUNTIME_ID_SIZE];
    bool running;
    int pid;
    char path[ENDPOINT_NAME_SIZE]; /* of its network namespace; "" none told */
    bool host_network;
    char runtime[64];
};

/* output: warnings may stand before the line. ERR_FORMAT: what was asked for isn't there, or isn't
 * what it should be; ERR_NOMEM. */
int podman_info_parse(struct slice output, struct podman_info *ret, struct diag *d);

#endif
