/* stile policy validate: everything that is wrong with policies, without an endpoint. */
#include <stdio.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/policy_file.h"
#include "cli/policy_options.h"
#include "cli/policy_problems.h"
#include "policy/l4_check.h"

struct validation {
    const struct cli *cli;
    json_t *problems, *warnings; /* owned; for --json */
    size_t count, more;          /* of problems; of all that were too many to be told */
};

static const char *system_name(enum l4_system system)
{
    return system == L4_WINDOWS ? "windows" : "linux";
}

/* l4_check's findings, but those of policies that couldn't be read: of these all is said. */
struct check {
    const struct l4_policies *list;
    struct policy_problems findings;
};

static void on_finding(void *arg, size_t policy, const char *text)
{
    struct check *c = arg;
    if (c->list->items[policy].protocols != 0)
        policy_problems_tell(&c->findings, policy, text);
}

static size_t check_with(struct validation *v, const struct l4_policies *l, enum l4_system system,
                         bool warnings)
{
    struct check c = {.list = l,
                      .findings = {.cli = v->cli,
                                   .system = system_name(system),
                                   .warnings = warnings,
                                   .list = warnings ? v->warnings : v->problems}};
    (void)(warnings ? l4_check_warnings : l4_check_all)(l, system, on_finding, &c);
    v->more += policy_problems_more(&c.findings);
    return c.findings.count;
}

static void check(struct validation *v, const struct l4_policies *l, enum l4_system system)
{
    v->count += check_with(v, l, system, false);
    (void)check_with(v, l, system, true);
}

/* A loop guard that is a SID alone counts on Windows only: such policies are written for it. */
static bool is_for_windows(const struct l4_policies *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct l4_guard *g = &l->items[i].guard;
        if (!str_is_empty(g->user_sid) && !g->has_uid && !g->has_gid && str_is_empty(g->cgroup))
            return true;
    }
    return false;
}

static const char *system_meant(const struct cli *cli, const struct l4_policies *l)
{
    const char *system = cli_text(cli, "system");
    if (system != NULL)
        return system;
    if (l4_system_here() == L4_WINDOWS || !is_for_windows(l))
        return system_name(l4_system_here());
    cli_note(cli, "Judged for Windows, as the loop guard is a SID. On Linux it takes --uid, --gid "
                  "or --cgroup, "
                  "beside --file too");
    return system_name(L4_WINDOWS);
}

static void check_systems(struct validation *v, const struct l4_policies *l)
{
    const char *system = system_meant(v->cli, l);
    if (!str_eq(system, "windows"))
        check(v, l, L4_LINUX);
    if (!str_eq(system, "linux"))
        check(v, l, L4_WINDOWS);
}

static int show(struct validation *v, const struct l4_policies *l)
{
    int status = v->count > 0 ? CLI_FAILED : CLI_OK;
    if (v->cli->json) {
        int shown =
            output_json(v->cli, json_pack("{s:b, s:I, s:O, s:O, s:I}", "ok", v->count == 0,
                                          "policies", (json_int_t)l->count, "problems", v->problems,
                                          "warnings", v->warnings, "more", (json_int_t)v->more));
        return status != CLI_OK ? status : shown;
    }
    if (status == CLI_OK)
        printf("%zu %s good.\n", l->count, l->count == 1 ? "policy is" : "policies are");
    return status;
}

/* What is no JSON is a problem like any other; what is none of policies is one of each policy. */
static int read_file(struct validation *v, const char *path, struct l4_policies *l)
{
    struct policy_problems problems = {
        .cli = v->cli, .file = policy_file_shown(path), .list = v->problems};
    struct diag d = {0};
    int r = policy_file_read_all(path, l, policy_problems_tell, &problems, &d);
    v->count += problems.count;
    v->more += policy_problems_more(&problems);
    if (r == 0)
        return CLI_OK;
    if (!v->cli->json || (r != ERR_FORMAT && r != ERR_LIMIT && r != ERR_TOOBIG))
        return cli_fail(v->cli, &d);
    v->count++;
    output_tame(d.text, true);
    (void)json_array_append_new(v->problems, json_pack("{s:s}", "text", d.text));
    (void)show(v, l);
    return CLI_FAILED;
}

static int validate(struct validation *v, struct l4_policies *l)
{
    const char *path = cli_text(v->cli, "file");
    struct l4_policy one;
    bool given = false;
    struct diag d = {0};
    if (policy_options_read(v->cli, &given, &one, &d) < 0)
        return cli_usage(v->cli, "%s", d.text);
    if (!given && path == NULL)
        return cli_usage(v->cli, POLICY_NONE_GIVEN);
    int status = path != NULL ? read_file(v, path, l) : CLI_OK;
    if (status != CLI_OK)
        return status;
    status = given ? policy_options_join(v->cli, &one, l) : CLI_OK;
    if (status != CLI_OK)
        return status;
    check_systems(v, l);
    return show(v, l);
}

static int run_validate(struct cli *cli)
{
    struct l4_policies l;
    l4_policies_init(&l);
    struct validation v = {.cli = cli};
    if (cli->json) {
        v.problems = json_array();
        v.warnings = json_array();
    }
    int status = validate(&v, &l);
    json_decref(v.problems);
    json_decref(v.warnings);
    l4_policies_release(&l);
    return status;
}

static const struct option options[] = {
    POLICY_SETTING_OPTIONS,
    POLICY_FILE_OPTION,
    {.name = "system",
     .kind = OPTION_CHOICE,
     .value_name = "linux|windows|both",
     .help = "Which must be able to do it (the one it is written for: Windows if its loop guard is "
             "a SID alone, else this one)"},
    {.name = NULL},
};

const struct command command_policy_validate = {
    .name = "policy validate",
    .group = "Container policies",
    .summary = "Say what is wrong with policies, without an endpoint",
    .description =
        "All problems are said, each with its policy's number. Warnings are of what works but is "
        "perhaps not meant.\n"
        "\n"
        "The exit status is 1 when there is a problem.\n"
        "\n"
        "A file has one policy or more; stile-policy(1) has all that may be in it:\n"
        "  [{\"Type\": \"L4WFPPROXY\", \"Settings\": {\"OutboundProxyPort\": \"8000\", "
        "\"UserID\": \"1337\"}}]\n"
        "\n"
        "Examples:\n"
        "  stile policy validate --file policies.json --system both\n"
        "  stile policy validate --port 8000 --usersid system --system windows",
    .options = options,
    .shows_json = true,
    .run = run_validate,
};
