/* Texts in gRPC's headers: timeouts and percent-encoded messages. Internal to rpc. */
#ifndef STILE_RPC_METADATA_H
#define STILE_RPC_METADATA_H

#include "base/slice.h"

/* "TimeoutValue TimeoutUnit": at most eight digits and one of H M S m u n, and the NUL. */
#define RPC_TIMEOUT_SIZE 10
void rpc_timeout_format(unsigned ms, char text[RPC_TIMEOUT_SIZE]);
/* ERR_FORMAT. No overflow: the longest timeouts become UINT64_MAX. */
MUST_CHECK int rpc_timeout_parse(struct slice text, uint64_t *ret_ns);

/* Status texts are cut to this, with the NUL. */
#define RPC_TEXT_SIZE         256
#define RPC_TEXT_ENCODED_SIZE (3 * RPC_TEXT_SIZE)
void rpc_text_encode(const char *text, char encoded[RPC_TEXT_ENCODED_SIZE]);
/* Never fails (an escape that isn't one stands for itself); what can't be shown becomes '?'. */
void rpc_text_decode(struct slice encoded, char text[RPC_TEXT_SIZE]);

/* "application/grpc", alone or with "+proto" or parameters. */
bool rpc_content_type_ok(struct slice value);

#endif
