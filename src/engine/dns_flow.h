/* Questions to the DNS server's address: by UDP, and by TCP connections that are accepted at once (RFC 7766).
 *
 * What the session knows is answered here, in the worker; the rest goes to the control thread and comes back.
 */
#ifndef STILE_ENGINE_DNS_FLOW_H
#define STILE_ENGINE_DNS_FLOW_H

#include "engine/worker.h"

#define DNS_FLOWS_MAX      256  /* connections per worker; more are refused */
#define DNS_FLOW_QUESTIONS 64   /* under way in one connection */
#define DNS_DATAGRAMS_MAX  2048 /* questions by UDP under way per worker; more are dropped */
#define DNS_FLOW_IDLE_S    30

void dns_flow_on_datagram(struct worker *w, const struct udp_datagram *datagram);
void dns_flow_on_syn(struct worker *w, struct tcp_flow *flow);
/* Ends connections that were silent for too long. Now and then. */
void dns_flow_sweep(struct worker *w);
void dns_flow_stop(struct worker *w);

#endif
