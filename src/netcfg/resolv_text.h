/* Our text of /etc/resolv.conf, and what the file was before it.
 *
 * Ours begins with a line that has a checksum of the rest, so that what someone else changed is known from what is still ours.
 * Then our servers, the lines of the text before that are still good (search, domain, options, sortlist), and all its other
 * lines behind "#stile# ", so that they can be read by people, and brought back if everything else is lost.
 *
 * Pure. Texts are bytes: they come from other programs.
 */
#ifndef STILE_NETCFG_RESOLV_TEXT_H
#define STILE_NETCFG_RESOLV_TEXT_H

#include "base/buf.h"
#include "base/err.h"
#include "netcfg/object.h"

/* A longer file is no resolv.conf; what was there must fit into the journal. */
#define RESOLV_BEFORE_MAX ((size_t)63 * 1024)
#define RESOLV_TEXT_MAX   ((size_t)768 * 1024) /* ours: a line of one byte becomes one of nine */

enum resolv_kind {
    RESOLV_ABSENT = 1,
    RESOLV_FILE,
    RESOLV_LINK, /* a symbolic link, wherever it leads */
};

struct resolv_state {
    enum resolv_kind kind;
    uint32_t mode, uid, gid; /* of FILE */
    struct buf bytes;        /* FILE: its content; LINK: what it leads to, as it stands there */
};

void resolv_state_init(struct resolv_state *s); /* ABSENT */
void resolv_state_release(struct resolv_state *s);
bool resolv_state_eq(const struct resolv_state *a, const struct resolv_state *b);

/* For the journal. Big-endian, one exact length. ERR_TOOBIG, ERR_NOMEM; ERR_FORMAT, ERR_TRUNCATED, ERR_UNSUPPORTED (a later
 * version's). */
int resolv_state_encode(const struct resolv_state *s, struct buf *out);
int resolv_state_decode(struct slice bytes, struct resolv_state *ret);

/* Our text for these servers, where `before` was. Always the same for the same arguments. ERR_NOMEM, ERR_TOOBIG. */
int resolv_text_make(const struct object_dns *dns, struct slice before, struct buf *out);

/* As make wrote it, for any servers and any text before. */
bool resolv_text_is_ours(struct slice text);

/* Someone changed our text, and our servers are still in it, or our lines. */
bool resolv_text_has_ours(struct slice text, const struct object_dns *dns);

/* The first nameserver line is the first of ours. */
bool resolv_text_asks_us(struct slice text, const struct object_dns *dns);

/* Takes our lines and servers (dns may be NULL: then the lines alone, with the servers that make put there) out of the text and
 * brings back the lines that were before. ERR_NOMEM, ERR_TOOBIG. */
int resolv_text_without_ours(struct slice text, const struct object_dns *dns, struct buf *out);

/* A write of `to` over `from`, in place, was cut somewhere: bytes of the one, then of the other. */
bool resolv_text_is_torn(struct slice text, struct slice from, struct slice to);

#endif
