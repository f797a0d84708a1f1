/* Reading the policy's file; for policy.c alone. */
#ifndef STILE_BROKER_POLICY_FILE_H
#define STILE_BROKER_POLICY_FILE_H

#include "broker/policy.h"
#include "config/yaml.h"

/* What holds where the file says nothing. */
int policy_defaults(struct policy *p);

/* Problems are recorded in the document. ERR_NOMEM. */
int policy_read(struct yaml_doc *doc, struct policy *p);

/* Whether a range would take what belongs to the host itself: the default route, loopback, link-local, multicast. */
bool policy_range_is_forbidden(const struct prefix *range);

#endif
