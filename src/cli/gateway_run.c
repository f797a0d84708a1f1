/* stile gateway run: the gateway in the foreground, until SIGTERM or SIGINT. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/gateway_config.h"
#include "gateway/peer.h"
#include "gateway/server.h"
#include "platform/secrets.h"

/* State, passwords and name look-ups use libuv's pool; a slow resolver may hold half of it. */
#define POOL_THREADS "8"

struct run {
    struct loop loop;
    struct server *server; /* NULL once stopped */
    struct cli *cli;
    uv_signal_t hup;
    uv_signal_t term;
    uv_signal_t intr;
};

static void on_problem(void *arg, const char *line)
{
    (void)arg;
    log_error("%s", line);
}

static void on_hup(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    struct diag d = {0};
    struct gateway_config *config = NULL;
    const char *path = gateway_config_path(run->cli);
    (void)number;
    if (run->server == NULL)
        return;
    int r = gateway_config_load(path, on_problem, NULL, &config, &d);
    bool told = r == ERR_FORMAT;
    size_t apps = r == 0 ? config->app_count : 0;
    if (r == 0)
        r = server_reload(run->server, config, &d);
    if (r == 0) {
        log_info("Read %s again: %zu apps", path, apps);
        return;
    }
    gateway_config_free(config);
    if (told)
        log_error("%s was not taken; the old configuration stays in use", path);
    else
        log_error("%s", d.text);
}

static void close_signal(uv_signal_t *handle)
{
    if (handle->type == UV_SIGNAL) /* else it was never opened */
        uv_close((uv_handle_t *)handle, NULL);
}

static void on_stopped(void *arg)
{
    struct run *run = arg;
    run->server = NULL;
    close_signal(&run->hup);
    close_signal(&run->term);
    close_signal(&run->intr);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    (void)number;
    if (run->server != NULL) {
        log_info("Stopping");
        server_stop(run->server, on_stopped, run);
    }
}

static int catch_signal(struct run *run, uv_signal_t *handle, uv_signal_cb fn, int number)
{
    int r = uv_signal_init(&run->loop.uv, handle);
    handle->data = run;
    return r < 0 ? r : uv_signal_start(handle, fn, number);
}

static int catch_signals(struct run *run)
{
    int r = catch_signal(run, &run->hup, on_hup, SIGHUP);
    if (r == 0)
        r = catch_signal(run, &run->term, on_stop_signal, SIGTERM);
    if (r == 0)
        r = catch_signal(run, &run->intr, on_stop_signal, SIGINT);
    return loop_err(r);
}

/* Each connection takes two descriptors. */
static void raise_limits(const struct gateway_config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = (rlim_t)config->connections_max * 2 + 256;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
        log_warn("Only %llu descriptors are allowed, enough for about %llu of %u connections; "
                 "raise LimitNOFILE or "
                 "`ulimit -n`",
                 (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_cur / 2,
                 config->connections_max);
}

static int start(struct run *run, struct diag *d)
{
    int fds[SERVER_LISTENERS_MAX];
    size_t fd_count = 0;
    char served[CONFIG_LABEL_SIZE + 64];
    char listen[CONFIG_ADDR_SIZE];
    struct gateway_config *config = NULL;
    int r = gateway_config_load(gateway_config_path(run->cli), NULL, NULL, &config, d);
    if (r < 0)
        return r;
    raise_limits(config);
    (void)str_format(listen, sizeof(listen), "%s", config->listen_text);
    (void)str_format(served, sizeof(served), "Serving cluster %s (%zu apps)", config->cluster,
                     config->app_count);
    r = peer_inherited_listeners(fds, SERVER_LISTENERS_MAX, &fd_count, d);
    if (r < 0) {
        gateway_config_free(config);
        return r;
    }
    r = server_new(&run->loop, config, fds, fd_count, &run->server, d);
    if (r < 0)
        return r;
    if (fd_count > 0)
        log_info("%s on %zu inherited sockets", served, fd_count);
    else
        log_info("%s on %s", served, listen);
    return 0;
}

static int run_gateway(struct cli *cli)
{
    struct diag d = {0};
    struct run run = {.cli = cli};
    log_setup("gateway", cli->verbose ? LOG_DEBUG : LOG_INFO, log_format());
    secrets_guard_process();
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    if (loop_init(&run.loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    int r = start(&run, &d);
    if (r == 0 && (r = catch_signals(&run)) < 0) {
        diag_set(&d, r, 0, "Failed to catch signals: %s", err_text(r));
        server_stop(run.server, on_stopped, &run);
    }
    (void)loop_run(&run.loop); /* until on_stopped; after a failed start, until all is closed */
    (void)loop_release(&run.loop);
    return r < 0 ? cli_fail(cli, &d) : CLI_OK;
}

static const struct option options[] = {
    GATEWAY_CONFIG_OPTION,
    {.name = NULL},
};

const struct command command_gateway_run = {
    .name = "gateway run",
    .group = "Gateway",
    .summary = "Run the gateway in the foreground",
    .description =
        "Stops on SIGTERM or SIGINT: open connections get a few seconds to end, a second\n"
        "signal cuts them. Reads its configuration again on SIGHUP. Takes its socket\n"
        "from systemd (LISTEN_FDS) if there is one.",
    .options = options,
    .run = run_gateway,
};
