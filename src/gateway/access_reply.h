/* The messages of the access API's answers, from our model. Each answers the call, in any case. */
#ifndef STILE_GATEWAY_ACCESS_REPLY_H
#define STILE_GATEWAY_ACCESS_REPLY_H

#include "gateway/access.h"
#include "stile/access/v1/access.pb-c.h"

void access_reply_log_in(struct rpc_call *call, const struct ca *ca,
                         const struct gateway_config *config, struct slice cert_der,
                         int64_t expires_s);
void access_reply_issue(struct rpc_call *call, struct slice cert_der, int64_t expires_s);
/* Those that the user may use. */
void access_reply_list(struct rpc_call *call, const struct gateway_config *config,
                       const struct state_user *user);
void access_reply_resolve(struct rpc_call *call, const struct config_app *app);

#endif
