/* The Host of an HTTP/1 request, held against an allow-list: the defence against DNS rebinding (DESIGN §7).
 *
 * A page of some other site can make a browser connect to a virtual address under the site's own name; the browser then
 * says that name in Host, and keeps to one host on one connection. So the first request's head decides for the
 * connection. RFC 9110 §7.2, RFC 9112 §3. Pure; nothing is allocated.
 */
#ifndef STILE_NET_HTTP_HOST_H
#define STILE_NET_HTTP_HOST_H

#include "base/slice.h"

/* A head that is longer is malformed: servers' usual bounds are lower. */
#define HTTP_HEAD_MAX ((size_t)16 * 1024)

enum http_host_verdict {
    HTTP_HOST_MORE, /* the head isn't whole yet */
    HTTP_HOST_ALLOWED,
    HTTP_HOST_FOREIGN,   /* a Host that isn't in the list, or none */
    HTTP_HOST_MALFORMED, /* not HTTP/1, or a head that two readers could read differently */
};

/* bytes: what the client has sent so far. An allowed host without a port matches any port; letters' case doesn't matter. The preface
 * of HTTP/2 is allowed: browsers don't speak it without TLS. ret_host is borrowed and set for ALLOWED and FOREIGN (empty if
 * there was none). */
enum http_host_verdict http_host_check(struct slice bytes, char *const *allowed,
                                       size_t allowed_count, struct slice *ret_host);

#endif
