/* stile gateway check: everything that is wrong with a configuration, without running it. */
#include <stdio.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/gateway_config.h"
#include "cli/output.h"
#include "gateway/ca.h"
#include "gateway/config.h"
#include "gateway/file.h"

struct problems {
    bool json;
    json_t *list; /* owned */
};

static void on_problem(void *arg, const char *line)
{
    struct problems *p = arg;
    if (p->json)
        (void)json_array_append_new(p->list, json_string(line));
    else
        fprintf(stderr, "%s\n", line);
}

/* What the file refers to; the state is made at the first start. */
static int check_files(const struct gateway_config *config, struct diag *d)
{
    struct ca ca = {0};
    int r = ca_load(config->ca_dir, clock_wall_s(), &ca, d);
    ca_release(&ca);
    if (r == 0) {
        r = file_check_private(config->state_path, d);
        r = r == ERR_NOTFOUND ? 0 : r;
    }
    return r;
}

static int show_good(const struct gateway_config *config, const char *path)
{
    printf("%s is good: cluster %s, %zu app%s, %zu zone%s.\n", path, config->cluster,
           config->app_count, config->app_count == 1 ? "" : "s", config->zone_count,
           config->zone_count == 1 ? "" : "s");
    return CLI_OK;
}

static int run_check(struct cli *cli)
{
    struct diag d = {0};
    struct gateway_config *config = NULL;
    const char *path = gateway_config_path(cli);
    struct problems problems = {.json = cli->json, .list = json_array()};
    int r = gateway_config_load(path, on_problem, &problems, &config, &d);
    bool told = r == ERR_FORMAT && !cli->json;
    if (r == 0)
        r = check_files(config, &d);
    if (r < 0 && json_array_size(problems.list) == 0)
        (void)json_array_append_new(problems.list, json_string(d.text));
    int status = r < 0 ? CLI_FAILED : CLI_OK;
    if (cli->json) {
        int shown = output_json(cli, json_pack("{s:b, s:s, s:O}", "ok", r == 0, "config", path,
                                               "problems", problems.list));
        status = status != CLI_OK ? status : shown;
    } else if (r == 0) {
        status = show_good(config, path);
    } else if (!told) {
        status = cli_fail(cli, &d);
    }
    json_decref(problems.list);
    gateway_config_free(config);
    return status;
}

static const struct option options[] = {
    GATEWAY_CONFIG_OPTION,
    {.name = NULL},
};

const struct command command_gateway_check = {
    .name = "gateway check",
    .group = "Gateway",
    .summary = "Say what is wrong with a configuration, line by line",
    .options = options,
    .shows_json = true,
    .run = run_check,
};
