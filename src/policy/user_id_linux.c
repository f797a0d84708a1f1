#include "policy/user_id.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "base/mem.h"
#include "policy/l4_value.h"
#include "policy/shown.h"

#define RECORD_MAX ((size_t)1024 * 1024) /* of a group with very many members */

/* Asks with a buffer of this size. 0: found; ERANGE: a larger one is needed; ENOENT: there is none;
 * else errno. */
typedef int ask_fn(const char *name, char *memory, size_t size, uint32_t *ret);

static int ask_user(const char *name, char *memory, size_t size, uint32_t *ret)
{
    struct passwd record, *found = NULL;
    int e = getpwnam_r(name, &record, memory, size, &found);

    if (e == 0 && found != NULL)
        *ret = found->pw_uid;
    return e == 0 && found == NULL ? ENOENT : e;
}

static int ask_group(const char *name, char *memory, size_t size, uint32_t *ret)
{
    struct group record, *found = NULL;
    int e = getgrnam_r(name, &record, memory, size, &found);

    if (e == 0 && found != NULL)
        *ret = found->gr_gid;
    return e == 0 && found == NULL ? ENOENT : e;
}

static int ask_with_enough(ask_fn *ask, const char *name, uint32_t *ret)
{
    for (size_t size = 1024; size <= RECORD_MAX; size *= 4) {
        char *memory = mem_alloc(size);
        if (memory == NULL)
            return ENOMEM;
        int e = ask(name, memory, size, ret);
        mem_free(memory);
        if (e != ERANGE)
            return e;
    }
    return ERANGE;
}

static int id_of(ask_fn *ask, const char *kind, const char *name, uint32_t *ret, struct diag *d)
{
    if (name[0] == '\0' || (name[0] >= '0' && name[0] <= '9'))
        return l4_id_parse(name, ret, d);
    int e = ask_with_enough(ask, name, ret);
    if (e == 0)
        return 0;
    if (e == ENOMEM)
        return diag_set(d, ERR_NOMEM, e, "%s", err_text(ERR_NOMEM));
    return diag_set(d, ERR_NOTFOUND, e,
                    "this host has no %s \"%s\". If it is the container's own, give its number",
                    kind, shown(name).text);
}

int user_id_of(const char *user, uint32_t *ret, struct diag *d)
{
    return id_of(ask_user, "user", user, ret, d);
}

int group_id_of(const char *group, uint32_t *ret, struct diag *d)
{
    return id_of(ask_group, "group", group, ret, d);
}
