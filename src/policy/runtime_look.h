/* One container or sandbox, asked for with all that a runtime_container holds. For runtime.c alone.
 */
#ifndef STILE_POLICY_RUNTIME_LOOK_H
#define STILE_POLICY_RUNTIME_LOOK_H

#include "policy/cri.h"
#include "policy/runtime.h"

struct look;

enum look_kind { LOOK_CONTAINER, LOOK_SANDBOX, LOOK_EITHER };

/* sandbox_id: of a container, where a list told it; "" otherwise. As runtime_answer_fn; once, never
 * from inside look_start. The look is gone then. */
MUST_CHECK int look_start(struct cri *cri, const char *id, enum look_kind kind,
                          const char *sandbox_id, unsigned timeout_ms, runtime_answer_fn *answer,
                          void *arg, struct look **ret);
/* answer isn't called any more. NULL does nothing. */
void look_cancel(struct look *l);

#endif
