#include "platform/secrets.h"

#include <sys/prctl.h>

void secrets_guard_process(void)
{
    /* Not RLIMIT_CORE, which the user's own programs would inherit. This can't fail. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
