#include "rpc/status.h"

#include "base/err.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>

static const char *const names[] = {
#define NAME(name, code) [code] = #name,
    RPC_STATUS_LIST(NAME)
#undef NAME
};

static_assert(ARRAY_LEN(names) == RPC_STATUS_MAX + 1, "one name for each status");

static const int errs[] = {
    [RPC_OK] = 0,
    [RPC_CANCELLED] = ERR_CANCELED,
    [RPC_UNKNOWN] = ERR_PROTOCOL,
    [RPC_INVALID_ARGUMENT] = ERR_INVAL,
    [RPC_DEADLINE_EXCEEDED] = ERR_TIMEOUT,
    [RPC_NOT_FOUND] = ERR_NOTFOUND,
    [RPC_ALREADY_EXISTS] = ERR_EXISTS,
    [RPC_PERMISSION_DENIED] = ERR_DENIED,
    [RPC_RESOURCE_EXHAUSTED] = ERR_LIMIT,
    [RPC_FAILED_PRECONDITION] = ERR_BUSY,
    [RPC_ABORTED] = ERR_AGAIN,
    [RPC_OUT_OF_RANGE] = ERR_INVAL,
    [RPC_UNIMPLEMENTED] = ERR_UNSUPPORTED,
    [RPC_INTERNAL] = ERR_INTERNAL,
    [RPC_UNAVAILABLE] = ERR_CLOSED,
    [RPC_DATA_LOSS] = ERR_TRUNCATED,
    [RPC_UNAUTHENTICATED] = ERR_AUTH,
};

static_assert(ARRAY_LEN(errs) == RPC_STATUS_MAX + 1, "one error for each status");

const char *rpc_status_name(enum rpc_status status)
{
    return (size_t)status < ARRAY_LEN(names) ? names[status] : names[RPC_UNKNOWN];
}

int rpc_status_to_err(enum rpc_status status)
{
    return (size_t)status < ARRAY_LEN(errs) ? errs[status] : ERR_PROTOCOL;
}

enum rpc_status rpc_status_from_err(int err)
{
    switch (err) {
    case 0:
        return RPC_OK;
    case ERR_CANCELED:
        return RPC_CANCELLED;
    case ERR_INVAL:
    case ERR_FORMAT:
        return RPC_INVALID_ARGUMENT;
    case ERR_TIMEOUT:
        return RPC_DEADLINE_EXCEEDED;
    case ERR_NOTFOUND:
        return RPC_NOT_FOUND;
    case ERR_EXISTS:
        return RPC_ALREADY_EXISTS;
    case ERR_DENIED:
    case ERR_PERM:
        return RPC_PERMISSION_DENIED;
    case ERR_TOOBIG:
    case ERR_LIMIT:
    case ERR_NOMEM:
        return RPC_RESOURCE_EXHAUSTED;
    case ERR_BUSY:
    case ERR_VERSION:
        return RPC_FAILED_PRECONDITION;
    case ERR_AGAIN:
        return RPC_ABORTED;
    case ERR_UNSUPPORTED:
        return RPC_UNIMPLEMENTED;
    case ERR_CLOSED:
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_TLS:
        return RPC_UNAVAILABLE;
    case ERR_TRUNCATED:
        return RPC_DATA_LOSS;
    case ERR_AUTH:
    case ERR_EXPIRED:
        return RPC_UNAUTHENTICATED;
    case ERR_PROTOCOL:
        return RPC_UNKNOWN;
    default:
        return RPC_INTERNAL;
    }
}

enum rpc_status rpc_status_from_http(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

enum rpc_status rpc_status_from_reset(uint32_t http2_code)
{
    switch (http2_code) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}
