#include "cli/policy_endpoint.h"

#include <string.h>

#include "base/str.h"

static bool has_controls(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

int policy_endpoint_check(const char *what, const char *name, size_t size, struct diag *d)
{
    if (str_is_empty(name))
        return diag_set(d, ERR_INVAL, 0, "%s is empty", what);
    if (strlen(name) >= size)
        return diag_set(d, ERR_INVAL, 0, "%s is too long: it can have %zu characters", what,
                        size - 1);
    if (name[0] == '-')
        return diag_set(d, ERR_INVAL, 0, "%s can't begin with \"-\", as \"%.64s\" does", what,
                        name);
    if (!str_is_utf8(slice_str(name)))
        return diag_set(d, ERR_INVAL, 0, "%s isn't UTF-8", what);
    if (has_controls(name))
        return diag_set(d, ERR_INVAL, 0, "%s has control characters", what);
    return 0;
}

struct endpoint *policy_endpoint_open(const struct cli *cli, int *ret_status)
{
    struct diag d = {0};
    struct endpoint *e = NULL;
    const char *name = cli_arg(cli, 0);
    if (policy_endpoint_check("The endpoint", name, ENDPOINT_NAME_SIZE, &d) < 0) {
        *ret_status = cli_usage(cli, "%s", d.text);
        return NULL;
    }
    if (endpoint_open(name, cli_flag(cli, "host") ? ENDPOINT_HOST : 0, &e, &d) < 0) {
        *ret_status = cli_fail(cli, &d);
        return NULL;
    }
    return e;
}
