/* /etc/resolv.conf as NetworkManager writes it: whether it did, and putting it right where NetworkManager can't any more. */
#ifndef STILE_NETCFG_NM_RESOLV_CONF_H
#define STILE_NETCFG_NM_RESOLV_CONF_H

#include "netcfg/object.h"

/* A longer file isn't kept. */
#define NM_RESOLV_CONF_MAX ((size_t)8 * 1024)

/* The text of the file if NetworkManager wrote it, and not for us: appended to out. Otherwise nothing is. ERR_NOMEM. */
int nm_resolv_conf_text(const struct object *ours, struct buf *out);

bool nm_resolv_conf_is_its_own(void);

/* Until NetworkManager has written the file without our servers, which it does soon after an undo; 0.5 s at most. */
void nm_resolv_conf_await(const struct object *ours);

/* NetworkManager has ended with our servers in the file: the text of before takes their place. ret_done: whether it was so. */
int nm_resolv_conf_put_back(const struct object *ours, struct slice text, bool *ret_done,
                            struct diag *d);

#endif
