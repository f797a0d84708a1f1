/* Linux, as netcfg's thread uses it: ops_linux, a DNS back-end, and watching both. */
#ifndef STILE_NETCFG_OS_LINUX_H
#define STILE_NETCFG_OS_LINUX_H

#include "netcfg/service.h"

struct os_linux_options {
    const char *dns; /* "auto", or a back-end's name (netcfg/dns_backend.h) */
};

/* options is borrowed: see netcfg_os. */
void os_linux_init(const struct os_linux_options *options, struct netcfg_os *ret_os);

/* Which boot of the system this is, and which network namespace the caller is in, for the journal. ERR_IO. */
int os_linux_identify(uint8_t ret_boot_id[16], uint64_t *ret_namespace_id, struct diag *d);

#endif
