/* What HNS takes: requests are held to its schema, member by member. */
#ifndef STILE_TESTS_WINDOWS_DOUBLE_SCHEMA_H
#define STILE_TESTS_WINDOWS_DOUBLE_SCHEMA_H

#include <jansson.h>

#include "base/compiler.h"

/* NULL if it is as the schema says; else what is wrong with it. */
const char *double_check_query(const json_t *query);
/* A request that changes the policies of an endpoint. Policies that are removed aren't looked at: they are what they are. */
const char *double_check_request(const json_t *request);

#endif
