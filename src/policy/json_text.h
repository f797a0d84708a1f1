/* A JSON text (RFC 8259) into jansson's values. Pure but for memory.
 *
 * In place of json_loadb, which writes past its memory when an allocation fails in the middle of a
 * string (2.14), and which a library that others link must not be able to do. Stricter, too: a
 * member that is there twice is an error. Numbers without fraction that don't fit into 64 bits
 * become reals.
 */
#ifndef STILE_POLICY_JSON_TEXT_H
#define STILE_POLICY_JSON_TEXT_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define JSON_TEXT_DEPTH 64 /* of arrays and objects in each other */

enum json_text_flags {
    JSON_TEXT_NUL = 1, /* texts (not names of members) may hold \u0000: use json_string_length */
};

/* The whole text is one value, of any kind. ret is the caller's (json_decref). ERR_FORMAT with line
 * and column (in bytes, from 1), ERR_NOMEM. */
int json_text_read(struct slice text, unsigned flags, json_t **ret, struct diag *d);

/* Appends the value's text, with json_dumps's flags. Not by json_dumps itself: what that gives is
 * jansson's allocator's. ERR_NOMEM. */
int json_text_write(const json_t *value, size_t flags, struct buf *out);
/* For CLEANUP: json_decref. */
void json_text_unrefp(json_t **value);

#endif
