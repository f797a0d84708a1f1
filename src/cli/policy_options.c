#include "cli/policy_options.h"

#include <string.h>

#include "base/str.h"
#include "cli/policy_file.h"
#include "cli/policy_problems.h"
#include "policy/l4_check.h"
#include "policy/l4_options.h"

/* Of one setting that may be given several times, with commas between. */
#define VALUES_MAX ((size_t)64 * 1024)

static const struct option settings[] = {POLICY_SETTING_OPTIONS};

/* The values of the given settings; owned texts. */
struct given {
    struct l4_setting list[ARRAY_LEN(settings)];
    struct buf texts[ARRAY_LEN(settings)];
    size_t count;
};

static void given_release(struct given *g)
{
    for (size_t i = 0; i < g->count; i++)
        buf_release(&g->texts[i]);
}

static int join_values(const struct cli *cli, const char *name, struct buf *ret)
{
    int r = 0;
    const char *value = NULL;
    for (size_t i = 0; r == 0 && (value = options_text_at(&cli->options, name, i)) != NULL; i++)
        r = buf_printf(ret, "%s%s", i > 0 ? "," : "", value);
    return r;
}

static int given_add(struct given *g, const struct cli *cli, const char *name, struct diag *d)
{
    struct buf *text = &g->texts[g->count];
    buf_init(text, VALUES_MAX);
    int r = join_values(cli, name, text);
    const char *value = r == 0 ? buf_cstr(text) : NULL;
    if (value == NULL) {
        buf_release(text);
        return diag_set(d, r < 0 ? r : ERR_NOMEM, 0, "--%s is too long", name);
    }
    g->list[g->count++] = (struct l4_setting){.name = name, .value = value};
    return 0;
}

int policy_options_read(const struct cli *cli, bool *ret_given, struct l4_policy *ret,
                        struct diag *d)
{
    CLEANUP(given_release) struct given g = {0};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (options_count(&cli->options, settings[i].name) == 0)
            continue;
        int r = given_add(&g, cli, settings[i].name, d);
        if (r < 0)
            return r;
    }
    *ret_given = g.count > 0;
    int r = g.count > 0 ? l4_options_read(g.list, g.count, ret, d) : 0;
    return r < 0 ? diag_prefix(d, "--") : 0; /* its text begins with the option's name */
}

static bool is_guard(const char *name)
{
    return str_eq(name, "usersid") || str_eq(name, "uid") || str_eq(name, "gid") ||
           str_eq(name, "cgroup");
}

static bool only_guards_given(const struct cli *cli)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (options_count(&cli->options, settings[i].name) > 0 && !is_guard(settings[i].name))
            return false;
    return true;
}

static void add_guard(struct l4_guard *g, const struct l4_guard *more)
{
    if (more->has_uid) {
        g->has_uid = true;
        g->uid = more->uid;
    }
    if (more->has_gid) {
        g->has_gid = true;
        g->gid = more->gid;
    }
    if (!str_is_empty(more->user_sid))
        memcpy(g->user_sid, more->user_sid, sizeof(g->user_sid));
    if (!str_is_empty(more->cgroup))
        memcpy(g->cgroup, more->cgroup, sizeof(g->cgroup));
}

int policy_options_join(const struct cli *cli, const struct l4_policy *one,
                        struct l4_policies *list)
{
    if (cli_text(cli, "file") != NULL && only_guards_given(cli)) {
        for (size_t i = 0; i < list->count; i++)
            add_guard(&list->items[i].guard, &one->guard);
        return CLI_OK;
    }
    int r = l4_policies_add(list, one);
    if (r < 0)
        return cli_fail_text(cli, "%s",
                             r == ERR_LIMIT ? "There is no room for one more policy" : err_text(r));
    return CLI_OK;
}

/* Given policies in their order: those of the file, then the one of the options. */
struct judgement {
    struct policy_problems problems; /* of the file's */
    size_t file_count, count;
};

static void judge(void *arg, size_t policy, const char *text)
{
    struct judgement *j = arg;
    j->count++;
    if (policy < j->file_count)
        policy_problems_tell(&j->problems, policy, text);
    else
        cli_note(j->problems.cli, "%sthe policy of the options: %s",
                 j->problems.warnings ? "warning: " : "", text);
}

int policy_options_check(const struct cli *cli, const struct l4_policies *l, size_t file_count)
{
    const char *path = cli_text(cli, "file");
    struct judgement j = {
        .problems = {.cli = cli, .file = path != NULL ? policy_file_shown(path) : NULL},
        .file_count = file_count};
    (void)l4_check_all(l, l4_system_here(), judge, &j);
    (void)policy_problems_more(&j.problems);
    if (j.count > 0)
        return CLI_FAILED;
    j.problems.warnings = true;
    (void)l4_check_repeated(l, judge, &j);
    (void)policy_problems_more(&j.problems);
    return CLI_OK;
}

static int gather(const struct cli *cli, struct l4_policies *list)
{
    const char *path = cli_text(cli, "file");
    struct diag d = {0};
    struct l4_policy one;
    bool given = false;
    if (policy_options_read(cli, &given, &one, &d) < 0)
        return cli_usage(cli, "%s", d.text);
    int status = path != NULL ? policy_file_read(cli, path, list) : CLI_OK;
    size_t file_count = list->count;
    if (status == CLI_OK && given)
        status = policy_options_join(cli, &one, list);
    return status == CLI_OK ? policy_options_check(cli, list, file_count) : status;
}

int policy_options_gather(const struct cli *cli, struct l4_policies *ret)
{
    struct l4_policies list;
    l4_policies_init(&list);
    int status = gather(cli, &list);
    if (status == CLI_OK)
        *ret = list;
    else
        l4_policies_release(&list);
    return status;
}

static bool same_filter(const char *name, const struct l4_policy *a, const struct l4_policy *b)
{
    if (str_eq(name, "localaddr"))
        return prefix_set_eq(&a->local_addresses, &b->local_addresses);
    if (str_eq(name, "remoteaddr"))
        return prefix_set_eq(&a->remote_addresses, &b->remote_addresses);
    if (str_eq(name, "localports"))
        return port_set_eq(&a->local_ports, &b->local_ports);
    if (str_eq(name, "remoteports"))
        return port_set_eq(&a->remote_ports, &b->remote_ports);
    if (str_eq(name, "priority"))
        return a->priority == b->priority;
    if (str_eq(name, "protocol"))
        return a->protocols == b->protocols;
    return !str_eq(name, "udp") || a->udp == b->udp;
}

/* name: the part after "inbound-" or "outbound-". */
static bool same_direction(const char *name, const struct l4_direction *a,
                           const struct l4_direction *b)
{
    if (str_eq(name, "port"))
        return a->proxy_port == b->proxy_port;
    if (str_eq(name, "port-exceptions"))
        return port_set_eq(&a->port_exceptions, &b->port_exceptions);
    return prefix_set_eq(&a->address_exceptions, &b->address_exceptions);
}

static bool same_guard(const char *name, const struct l4_guard *a, const struct l4_guard *b)
{
    if (str_eq(name, "usersid"))
        return str_eq(a->user_sid, b->user_sid);
    if (str_eq(name, "uid"))
        return a->has_uid == b->has_uid && a->uid == b->uid;
    if (str_eq(name, "gid"))
        return a->has_gid == b->has_gid && a->gid == b->gid;
    return !str_eq(name, "cgroup") || str_eq(a->cgroup, b->cgroup);
}

#define INBOUND  "inbound-"
#define OUTBOUND "outbound-"

static bool same(const char *name, const struct l4_policy *a, const struct l4_policy *b)
{
    if (str_eq(name, "port"))
        return a->inbound.proxy_port == b->inbound.proxy_port &&
               a->outbound.proxy_port == b->outbound.proxy_port;
    if (str_starts(name, INBOUND))
        return same_direction(name + sizeof(INBOUND) - 1, &a->inbound, &b->inbound);
    if (str_starts(name, OUTBOUND))
        return same_direction(name + sizeof(OUTBOUND) - 1, &a->outbound, &b->outbound);
    return same_guard(name, &a->guard, &b->guard) && same_filter(name, a, b);
}

bool policy_options_match(const struct cli *cli, const struct l4_policy *wanted,
                          const struct l4_policy *p)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (options_count(&cli->options, settings[i].name) > 0 &&
            !same(settings[i].name, wanted, p))
            return false;
    return true;
}

void policy_options_note(const struct cli *cli, const char *endpoint, const struct l4_policies *l)
{
    struct policy_problems warnings = {.cli = cli, .file = endpoint, .warnings = true};
    (void)l4_check_warnings(l, l4_system_here(), policy_problems_tell, &warnings);
    (void)policy_problems_more(&warnings);
}
