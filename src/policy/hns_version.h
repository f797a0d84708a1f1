/* The version of HNS, as vmcompute.dll tells it: {"Success":true,"Output":{"Major":13,"Minor":2}}.
 * Pure but for memory.
 */
#ifndef STILE_POLICY_HNS_VERSION_H
#define STILE_POLICY_HNS_VERSION_H

#include "base/err.h"
#include "base/slice.h"

/* The first that has layer-4 proxy policies: Windows Server 2022. */
#define HNS_VERSION_MAJOR 13
#define HNS_VERSION_MINOR 2

struct hns_version {
    unsigned major, minor;
};

/* ERR_FORMAT; ERR_IO with HNS's own text when it says that it failed. */
int hns_version_read(struct slice json, struct hns_version *ret, struct diag *d);
/* ERR_VERSION with the version that was found and the one that is needed. */
int hns_version_check(const struct hns_version *v, struct diag *d);

#endif
