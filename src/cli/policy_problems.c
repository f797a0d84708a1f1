#include "cli/policy_problems.h"

static void keep(const struct policy_problems *p, size_t policy, const char *text)
{
    json_t *o = json_pack("{s:I, s:s}", "policy", (json_int_t)policy + 1, "text", text);
    if (p->system != NULL)
        (void)json_object_set_new(o, "system", json_string(p->system));
    (void)json_array_append_new(p->list, o);
}

/* "linux: warning: policy 3: …" */
static void say(const struct policy_problems *p, size_t policy, const char *text)
{
    const char *of = p->file != NULL ? p->file : p->system;
    cli_note(p->cli, "%s%s%spolicy %zu: %s", of != NULL ? of : "", of != NULL ? ": " : "",
             p->warnings ? "warning: " : "", policy + 1, text);
}

void policy_problems_tell(void *arg, size_t policy, const char *text)
{
    struct policy_problems *p = arg;
    if (p->count++ >= POLICY_PROBLEMS_SHOWN)
        return;
    if (p->list != NULL)
        keep(p, policy, text);
    else
        say(p, policy, text);
}

size_t policy_problems_more(const struct policy_problems *p)
{
    size_t more = p->count > POLICY_PROBLEMS_SHOWN ? p->count - POLICY_PROBLEMS_SHOWN : 0;
    if (more > 0 && p->list == NULL)
        cli_note(p->cli, "and %zu more", more);
    return more;
}
