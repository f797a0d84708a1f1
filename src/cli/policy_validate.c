/* stile policy validate: everything that is wrong with policies, without an endpoint. */
#include <stdio.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/policy_file.h"
#include "cli/policy_options.h"
#include "policy/l4_check.h"

struct validation {
    const struct cli *cli;
    const char *system;          /* that is being looked at */
    json_t *problems, *warnings; /* owned; for --json */
    size_t count;                /* of problems */
};

static const char *system_name(enum l4_system system)
{
    return system == L4_WINDOWS ? "windows" : "linux";
}

static void on_problem(void *arg, size_t policy, const char *text)
{
    struct validation *v = arg;
    v->count++;
    if (v->cli->json)
        (void)json_array_append_new(v->problems,
                                    json_pack("{s:I, s:s, s:s}", "policy", (json_int_t)policy + 1,
                                              "system", v->system, "text", text));
    else
        cli_note(v->cli, "%s: policy %zu: %s", v->system, policy + 1, text);
}

static void on_warning(void *arg, size_t policy, const char *text)
{
    struct validation *v = arg;
    if (v->cli->json)
        (void)json_array_append_new(v->warnings,
                                    json_pack("{s:I, s:s, s:s}", "policy", (json_int_t)policy + 1,
                                              "system", v->system, "text", text));
    else
        cli_note(v->cli, "%s: warning: policy %zu: %s", v->system, policy + 1, text);
}

static void check(struct validation *v, const struct l4_policies *l, enum l4_system system)
{
    v->system = system_name(system);
    (void)l4_check_all(l, system, on_problem, v);
    (void)l4_check_warnings(l, system, on_warning, v);
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
        int shown = output_json(v->cli, json_pack("{s:b, s:I, s:O, s:O}", "ok", v->count == 0,
                                                  "policies", (json_int_t)l->count, "problems",
                                                  v->problems, "warnings", v->warnings));
        return status != CLI_OK ? status : shown;
    }
    if (status == CLI_OK)
        printf("%zu %s good.\n", l->count, l->count == 1 ? "policy is" : "policies are");
    return status;
}

/* What is no JSON, or none of policies, is a problem like any other. */
static int read_file(struct validation *v, const char *path, struct l4_policies *l)
{
    struct diag d = {0};
    int r = policy_file_read(path, l, &d);
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
    struct validation v = {.cli = cli, .problems = json_array(), .warnings = json_array()};
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
        "All problems are said, each with its policy's number; but what can't be read ends it. "
        "Warnings are of what works\n"
        "but is perhaps not meant.\n"
        "\n"
        "The exit status is 1 when there is a problem.\n"
        "\n"
        "Examples:\n"
        "  stile policy validate --file policies.json --system both\n"
        "  stile policy validate --port 8000 --usersid system --system windows",
    .options = options,
    .shows_json = true,
    .run = run_validate,
};
