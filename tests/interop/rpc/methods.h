/* The methods of interop.proto, for both test programs. */
#ifndef STILE_TESTS_INTEROP_METHODS_H
#define STILE_TESTS_INTEROP_METHODS_H

#include "interop.pb-c.h"
#include "rpc/method.h"

#define INTEROP(name, request_c, response_c, is_stream)                                            \
    {                                                                                              \
        "/stile.interop.Interop/" name, &stile__interop__##request_c##__descriptor,                \
            &stile__interop__##response_c##__descriptor, is_stream                                 \
    }

enum {
    METHOD_ECHO,
    METHOD_FAIL,
    METHOD_MAKE,
    METHOD_COUNT,
    METHOD_WAIT,
    METHOD_MISSING,
    METHOD_GIVEN_UP
};

static const struct rpc_method methods[] = {
    [METHOD_ECHO] = INTEROP("Echo", bytes, bytes, false),
    [METHOD_FAIL] = INTEROP("Fail", fail_request, bytes, false),
    [METHOD_MAKE] = INTEROP("Make", make_request, bytes, false),
    [METHOD_COUNT] = INTEROP("Count", count_request, bytes, true),
    [METHOD_WAIT] = INTEROP("Wait", bytes, bytes, false),
    [METHOD_MISSING] = INTEROP("Missing", bytes, bytes, false),
    [METHOD_GIVEN_UP] = INTEROP("GivenUp", bytes, number, false),
};

#endif
