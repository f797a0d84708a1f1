/* JSON as HNS sends and takes it. Pure but for memory.
 */
#ifndef STILE_POLICY_HNS_JSON_H
#define STILE_POLICY_HNS_JSON_H

#include <jansson.h>

#include "base/err.h"
#include "base/slice.h"
#include "policy/json_text.h"

#define HNS_JSON_MAX ((size_t)16 * 1024 * 1024)

/* An object. `what` begins the text of an error: "The endpoint's properties". ERR_FORMAT,
 * ERR_TOOBIG. */
int hns_json_read(struct slice text, const char *what, json_t **ret, struct diag *d);
/* Whether the value is this text; NULL is a value that isn't. */
bool hns_json_is(const json_t *value, const char *text);
/* One line without spaces, members in their order; the caller's, mem_free. NULL when memory runs
 * out. */
char *hns_json_write(const json_t *value);

#endif
