/* The Host Networking Service of Windows, through the two libraries of the system that speak to it:
 * computenetwork.dll (HCN) and vmcompute.dll (the version). Texts are UTF-8 here; UTF-16 exists at
 * the calls alone.
 *
 * The libraries are looked for in the system directory only, when the first call needs them: stile
 * runs on a Windows without containers, and nobody's file beside the program is loaded in their
 * place. A call has failed when its HRESULT says so, and also when it gave an error record that
 * isn't empty. Calls block for as long as HNS takes. Thread-safe.
 *
 * Errors of all: ERR_UNSUPPORTED (this Windows has no HNS, or not all of its functions: which one),
 * ERR_NOTFOUND, ERR_PERM, ERR_FORMAT (an answer that makes no sense), ERR_IO with HNS's own words
 * and HRESULT.
 */
#ifndef STILE_POLICY_HNS_H
#define STILE_POLICY_HNS_H

#include "policy/guid.h"
#include "policy/hns_namespace.h"
#include "policy/hns_version.h"

struct hns_endpoint_handle;

/* Which HNS is here, however old. */
int hns_version(struct hns_version *ret, struct diag *d);
/* ERR_VERSION: older than HNS_VERSION_MAJOR.HNS_VERSION_MINOR, with the one found. */
int hns_check(struct diag *d);

/* Held open until it is closed. */
int hns_endpoint_open(const struct guid *id, struct hns_endpoint_handle **ret, struct diag *d);
void hns_endpoint_close(struct hns_endpoint_handle *h); /* NULL does nothing */
void hns_endpoint_closep(struct hns_endpoint_handle **h);
/* The endpoint's properties as JSON; the caller's, mem_free. */
int hns_endpoint_query(struct hns_endpoint_handle *h, char **ret, struct diag *d);
/* request: as hns_request_write makes it. */
int hns_endpoint_modify(struct hns_endpoint_handle *h, const char *request, struct diag *d);

int hns_namespace_read(const struct guid *id, struct hns_namespace *ret, struct diag *d);

#endif
