/* Domain names: kept as lower-case text without the last dot, so that two spellings of one name are
 * equal bytes.
 *
 * Bytes that are not letters, digits, '-' or '_' stand as \DDD, as in zone files (RFC 1035 §5.1);
 * case is folded for ASCII letters only (RFC 4343). Limits are the wire's: 63 bytes a label, 255 a
 * name. Pure; no allocation.
 */
#ifndef STILE_NET_NAME_H
#define STILE_NET_NAME_H

#include "base/slice.h"

#define NAME_WIRE_MAX  255
#define NAME_LABEL_MAX 63
/* Every byte of a name escaped, and the NUL. */
#define NAME_TEXT_SIZE 1024

struct name {
    char text[NAME_TEXT_SIZE]; /* the root is the empty text */
    size_t len;                /* without the NUL */
};

/* From text, with or without the last dot, any case. ERR_FORMAT: empty label, a byte that needs
 * escaping, a label or name too long. */
int name_parse(const char *text, struct name *ret);

/* Reads an uncompressed name; wire is borrowed from the reader (with the root label). ERR_FORMAT
 * for compression, which has no place in a question, ERR_TRUNCATED. */
int name_read(struct rd *r, struct name *ret, struct slice *ret_wire);

/* Writes the wire form; a name that came from name_parse or name_read always has one. */
void name_write(struct wr *w, const struct name *n);

bool name_eq(const struct name *a, const struct name *b);
struct slice name_key(const struct name *n); /* for tables; borrowed */

/* True if n is the zone itself or below it; the zone "example" doesn't hold "badexample". */
bool name_in_zone(const struct name *n, const struct name *zone);
unsigned name_labels(const struct name *n);

#endif
