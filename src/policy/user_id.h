/* The numbers of users and groups of this host, by name. Linux; elsewhere names are
 * ERR_UNSUPPORTED. */
#ifndef STILE_POLICY_USER_ID_H
#define STILE_POLICY_USER_ID_H

#include "base/err.h"

/* A number is taken as it is. Else asks the host's user database (which may block). ERR_NOTFOUND,
 * ERR_FORMAT, ERR_NOMEM. */
int user_id_of(const char *user, uint32_t *ret, struct diag *d);
int group_id_of(const char *group, uint32_t *ret, struct diag *d);

#endif
