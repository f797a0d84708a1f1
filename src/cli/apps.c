/* stile apps: what the user may reach, and under which address. */
#include <stdio.h>

#include "agent/access.h"
#include "agent/app_text.h"
#include "agent/profile.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "loop/loop.h"
#include "platform/secrets.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"

struct apps {
    const struct cli *cli;
    struct loop *loop;
    struct home *home;
    json_t *json;
    struct table_rows rows;
};

static void free_access(struct access **a)
{
    access_free(*a);
}

static json_t *ports_json(const Stile__Access__V1__App *app)
{
    json_t *ports = json_array();
    for (size_t i = 0; i < app->n_ports; i++)
        json_array_append_new(ports, json_pack("{s:i, s:i}", "first", (int)app->ports[i]->first,
                                               "last", (int)app->ports[i]->last));
    return ports;
}

static int add_app(struct apps *apps, const struct profile *p, const Stile__Access__V1__App *app)
{
    char address[APP_TEXT_SIZE], ports[APP_TEXT_SIZE];
    app_text_address(app, address);
    app_text_ports(app, ports);
    if (!apps->cli->json)
        return table_rows_add(&apps->rows,
                              (const char *const[]){app->name, address, ports, p->name});
    json_t *hosts = json_array();
    for (size_t i = 0; i < app->n_http_hosts; i++)
        json_array_append_new(hosts, json_string(app->http_hosts[i]));
    json_t *one =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "profile", p->name, "cluster",
                  p->cluster.name, "name", app->name, "public_name", app->public_name, "address",
                  address, "web", (int)app->web, "ports", ports_json(app), "http_hosts", hosts);
    return json_array_append_new(apps->json, one) < 0 ? ERR_NOMEM : 0;
}

static int add_profile(struct apps *apps, const char *name, struct diag *d)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    CLEANUP(free_access) struct access *access = NULL;
    Stile__Access__V1__ListAppsRequest request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int r = profile_load(apps->home, name, &p, d);
    if (r < 0)
        return r;
    if (profile_expired(p))
        return profile_log_in_again(p, d);
    r = access_new_for(apps->loop, p, &access, d);
    if (r == 0)
        r = access_ask(access, &access_list_apps, &request.base, &reply, d);
    if (r == ERR_EXPIRED || r == ERR_AUTH)
        return diag_prefix(d, "Log in again with: stile login --profile %s. ", p->name);
    if (r < 0)
        return r;
    const Stile__Access__V1__ListAppsResponse *list =
        (const Stile__Access__V1__ListAppsResponse *)reply;
    for (size_t i = 0; r == 0 && i < list->n_apps; i++)
        r = add_app(apps, p, list->apps[i]);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r < 0 ? diag_set(d, r, 0, "Failed to list the apps: %s", err_text(r)) : 0;
}

/* All profiles, or the one that was named. A profile that fails doesn't hide the others. */
static int collect(struct apps *apps)
{
    struct profile_names names = {0};
    struct diag d = {0};
    const char *only = cli_text(apps->cli, "profile");
    int status = CLI_OK;
    int r = only == NULL ? profile_list(apps->home, &names, &d) : 0;
    if (r == 0 && (only != NULL || names.count == 0)) {
        names.count = 1;
        r = profile_choose(apps->home, only, names.names[0], &d);
    }
    if (r < 0)
        return cli_fail(apps->cli, &d);
    for (size_t i = 0; i < names.count; i++)
        if (add_profile(apps, names.names[i], &d) < 0)
            status = cli_fail(apps->cli, &d);
    return status;
}

static int show(struct apps *apps, int status)
{
    if (apps->cli->json)
        return output_json(apps->cli, json_pack("{s:O}", "apps", apps->json)) == CLI_OK
                   ? status
                   : CLI_FAILED;
    if (apps->rows.count > 1)
        table_rows_print(&apps->rows);
    else if (status == CLI_OK)
        puts("There is no app that you may use.");
    return status;
}

static int run_apps(struct cli *cli)
{
    CLEANUP(home_close) struct home home = HOME_NONE;
    struct loop loop;
    struct diag d = {0};
    secrets_guard_process();
    if (home_open(cli->home, &home, &d) < 0)
        return cli_fail(cli, &d);
    if (loop_init(&loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    struct apps apps = {.cli = cli, .loop = &loop, .home = &home, .json = json_array()};
    table_rows_init(&apps.rows, 4);
    int status = CLI_FAILED;
    if (table_rows_add(&apps.rows, (const char *const[]){"NAME", "ADDRESS", "PORTS", "PROFILE"}) ==
        0)
        status = show(&apps, collect(&apps));
    table_rows_release(&apps.rows);
    json_decref(apps.json);
    loop_release(&loop);
    return status;
}

static const struct option options[] = {
    {.name = "profile",
     .kind = OPTION_TEXT,
     .value_name = "NAME",
     .help = "Only those of this log-in"},
    {.name = NULL},
};

const struct command command_apps = {
    .name = "apps",
    .group = "Using apps",
    .summary = "List the apps that you may use",
    .description =
        "Apps with tcp:// in their address can be used in `stile run -- PROGRAM` by their names. "
        "Web apps\nare listed only: their names lead where they always did.",
    .options = options,
    .shows_json = true,
    .run = run_apps,
};
