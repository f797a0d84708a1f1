/* No back-end: nothing of the host is changed, and the person is told what to configure. */
#ifndef STILE_NETCFG_DNS_NONE_H
#define STILE_NETCFG_DNS_NONE_H

#include "netcfg/dns_backend.h"

/* "Names aren't configured (dns: none): let your resolver ask 100.64.0.2 for corp.example and lab.example." Cut to the size. */
void dns_none_text(const struct object *o, char *ret, size_t size);

#endif
