/* stile broker check: what this machine's policy allows, or everything that is wrong with it. */
#include <stdio.h>

#include "cli/broker.h"
#include "cli/commands.h"
#include "cli/output.h"

static void on_problem(void *arg, const char *line)
{
    json_t *list = arg;
    if (list != NULL)
        (void)json_array_append_new(list, json_string(line));
    else
        fprintf(stderr, "%s\n", line);
}

static json_t *ids_json(const uint32_t *ids, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *prefixes_json(const struct prefix *prefixes, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_format(&prefixes[i], text);
        (void)json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *zones_json(const struct policy *p)
{
    json_t *list = json_array();
    if (p->any_zone)
        (void)json_array_append_new(list, json_string("*"));
    for (size_t i = 0; i < p->allow_zone_count; i++)
        (void)json_array_append_new(list, json_string(p->allow_zones[i].text));
    return list;
}

static json_t *policy_json(const struct policy *p)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "allow_uids",
                     ids_json(p->uids, p->uid_count), "allow_gids", ids_json(p->gids, p->gid_count),
                     "allow_ranges", prefixes_json(p->allow_ranges, p->allow_range_count), "ranges",
                     prefixes_json(p->ranges, p->range_count), "allow_zones", zones_json(p), "dns",
                     p->dns, "engine_uids", ids_json(p->engine_uids, p->engine_uid_count));
}

static void show_list(const char *name, json_t *list)
{
    size_t i;
    json_t *item;
    printf("%-13s", name);
    json_array_foreach(list, i, item)
    {
        if (json_is_string(item))
            printf(" %s", json_string_value(item));
        else
            printf(" %lld", (long long)json_integer_value(item));
    }
    printf("%s\n", json_array_size(list) == 0 ? " none" : "");
    json_decref(list);
}

static int show(const struct policy *p)
{
    if (p->path == NULL)
        puts("There is no " POLICY_PATH ": only root may start sessions.");
    else
        printf("%s is good.\n", p->path);
    show_list("Users (uid):", ids_json(p->uids, p->uid_count));
    show_list("Groups (gid):", ids_json(p->gids, p->gid_count));
    show_list("May be:", prefixes_json(p->allow_ranges, p->allow_range_count));
    show_list("Chosen from:", prefixes_json(p->ranges, p->range_count));
    show_list("Zones:", zones_json(p));
    printf("%-13s %s\n", "DNS:", p->dns);
    printf("%-13s %zu uids are free for them\n", "Engines:", p->engine_uid_count);
    return CLI_OK;
}

static int show_json(struct cli *cli, const struct policy *p, json_t *problems,
                     const struct diag *d)
{
    if (p == NULL && json_array_size(problems) == 0)
        (void)json_array_append_new(problems, json_string(d->text));
    json_t *value = json_pack("{s:b, s:o, s:O}", "ok", p != NULL, "policy",
                              p != NULL ? policy_json(p) : json_null(), "problems", problems);
    json_decref(problems);
    int status = output_json(cli, value);
    return p == NULL ? CLI_FAILED : status;
}

static int run_check(struct cli *cli)
{
    struct diag d = {0};
    struct policy *p = NULL;
    json_t *problems = cli->json ? json_array() : NULL;
    int r = broker_load_policy(cli, on_problem, problems, &p, &d);
    int status = CLI_FAILED;
    if (cli->json)
        status = show_json(cli, p, problems, &d);
    else if (r == 0)
        status = show(p);
    else if (r != ERR_FORMAT)
        status = cli_fail(cli, &d);
    policy_free(p);
    return status;
}

static const struct option options[] = {BROKER_CONFIG_OPTION, {.name = NULL}};

const struct command command_broker_check = {
    .name = "broker check",
    .group = "The whole host",
    .summary = "Say what the policy of this machine allows, or what is wrong with it",
    .options = options,
    .shows_json = true,
    .run = run_check,
};
