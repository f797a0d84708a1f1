/* The values of policies that are neither ports nor addresses, as text. Pure.
 */
#ifndef STILE_POLICY_L4_VALUE_H
#define STILE_POLICY_L4_VALUE_H

#include "policy/l4_policy.h"

/* All: ERR_FORMAT with a text that names the value and says what may stand there. */

/* "tcp", "udp", "tcp,udp", or IANA's numbers, 6 and 17. */
int l4_protocols_parse(const char *text, unsigned *ret, struct diag *d);
const char *l4_protocols_numbers(unsigned protocols); /* "6", "17", "6,17" */
int l4_udp_parse(const char *text, enum l4_udp *ret, struct diag *d);
const char *l4_udp_word(enum l4_udp udp);
#define L4_SID_SYSTEM "S-1-5-18" /* Local System */

/* A Windows security identifier as text, [MS-DTYP] 2.4.2.1: "S-1-5-32-556". */
int l4_sid_parse(const char *text, char ret[L4_SID_SIZE], struct diag *d);
/* A number that is a uid or a gid; 4294967295 is none. */
int l4_id_parse(const char *text, uint32_t *ret, struct diag *d);
/* A path below the root of cgroup v2, that a rule of nft can hold; a '/' before it is dropped.
 * Backslashes are bytes as any (systemd's \x2d). */
int l4_cgroup_parse(const char *text, char ret[L4_CGROUP_SIZE], struct diag *d);

#endif
