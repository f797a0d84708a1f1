#include "policy/user_id.h"

#include "policy/l4_value.h"
#include "policy/shown.h"

static int id_of(const char *name, uint32_t *ret, struct diag *d)
{
    if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9'))
        return l4_id_parse(name, ret, d);
    return diag_set(
        d, ERR_UNSUPPORTED, 0,
        "\"%s\" can't be looked up on Windows: uid and gid are those of a Linux host, as numbers",
        shown(name).text);
}

int user_id_of(const char *user, uint32_t *ret, struct diag *d)
{
    return id_of(user, ret, d);
}

int group_id_of(const char *group, uint32_t *ret, struct diag *d)
{
    return id_of(group, ret, d);
}
