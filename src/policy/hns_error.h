/* What HNS says when a call has failed: an HRESULT and, perhaps, a record
 * {"ErrorCode":…,"Error":"…","Success":false}. Pure but for memory.
 */
#ifndef STILE_POLICY_HNS_ERROR_H
#define STILE_POLICY_HNS_ERROR_H

#include "base/err.h"
#include "base/slice.h"

/* 0 when the call has succeeded: the HRESULT says so, and the record is empty. Else an error, whose
 * text begins with `what` ("Failed to open endpoint …") and has HNS's own words and the code; the
 * record's code counts where the HRESULT claims success. */
int hns_error_check(uint32_t hresult, struct slice record, const char *what, struct diag *d);

#endif
