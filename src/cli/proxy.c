/* stile proxy: one app on a loopback port. */
#include <signal.h>
#include <stdio.h>

#include "agent/proxy.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "loop/loop.h"

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    loop_stop(handle->data);
}

static int catch_signal(struct loop *loop, uv_signal_t *handle, int number)
{
    int r = uv_signal_init(&loop->uv, handle);
    handle->data = loop;
    return r < 0 ? r : uv_signal_start(handle, on_signal, number);
}

static int show(const struct cli *cli, const struct proxy_address *at)
{
    if (cli->json) {
        char address[32];
        snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)at->port);
        return output_json(cli, json_pack("{s:s, s:s, s:i}", "address", address, "public_name",
                                          at->public_name, "app_port", (int)at->app_port));
    }
    printf("127.0.0.1:%u leads to %s port %u. Any user of this computer can connect. End with "
           "Ctrl-C.\n",
           (unsigned)at->port, at->public_name, (unsigned)at->app_port);
    return CLI_OK;
}

static int serve(struct cli *cli, struct loop *loop, const struct proxy_config *config)
{
    struct proxy *proxy = NULL;
    struct proxy_address at;
    struct diag d = {0};
    uv_signal_t term, intr;
    if (proxy_new(loop, config, &proxy, &at, &d) < 0) {
        loop_release(loop);
        return cli_fail(cli, &d);
    }
    int status = show(cli, &at);
    fflush(stdout);
    if (catch_signal(loop, &term, SIGTERM) < 0 || catch_signal(loop, &intr, SIGINT) < 0)
        status = cli_fail_text(cli, "Failed to catch signals");
    if (status == CLI_OK)
        loop_run(loop);
    uv_close((uv_handle_t *)&term, NULL);
    uv_close((uv_handle_t *)&intr, NULL);
    proxy_free(proxy);
    /* The handles' memory is on this stack: closed for good before it goes. */
    loop_release(loop);
    return status;
}

static int run_proxy(struct cli *cli)
{
    struct loop loop;
    const struct proxy_config config = {
        .home = cli->home,
        .profile = cli_text(cli, "profile"),
        .app = cli_arg(cli, 0),
        .port = (uint16_t)cli_number(cli, "port", 0),
        .app_port = (uint16_t)cli_number(cli, "app-port", 0),
    };
    if (loop_init(&loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    return serve(cli, &loop, &config);
}

static const struct option options[] = {
    {.name = "port",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "The port to listen on (else any free one)",
     .min = 1},
    {.name = "app-port",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "The app's port, if it has several (else --port if the app has it, else its first)",
     .min = 1},
    {.name = "profile", .kind = OPTION_TEXT, .value_name = "NAME", .help = "Under which log-in"},
    {.name = NULL},
};

const struct command command_proxy = {
    .name = "proxy",
    .group = "Using apps",
    .summary = "Listen on loopback for one app, without a virtual network",
    .arguments = "APP",
    .min_args = 1,
    .max_args = 1,
    .description =
        "For narrowing problems down, and where there is no virtual network. APP is a name from "
        "`stile "
        "apps`.\nUnlike in `stile run`, any user of this computer can connect to the port.",
    .options = options,
    .shows_json = true,
    .run = run_proxy,
};
