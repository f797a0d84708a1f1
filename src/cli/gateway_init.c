/* stile gateway init: a new cluster in a new directory. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "gateway/ca.h"
#include "gateway/config.h"
#include "gateway/file.h"
#include "platform/secrets.h"
#include "tls/certs.h"

/* What is made, in this order; taken back in the other when something fails. */
struct init {
    const char *dir;
    const char *cluster;
    char *config_path; /* owned */
    char *ca_dir;      /* owned */
    char *key_path;    /* owned */
    char *cert_path;   /* owned */
    struct buf config;
    struct gateway_config *parsed; /* owned */
    char pin[CERT_PIN_SIZE];
};

static void init_release(struct init *in)
{
    buf_release(&in->config);
    gateway_config_free(in->parsed);
    mem_free(in->config_path);
    mem_free(in->ca_dir);
    mem_free(in->key_path);
    mem_free(in->cert_path);
}

/* What was given on the command line, in the command line's words. */
static int check_example(const struct config_example *e, struct diag *d)
{
    char host[CONFIG_HOST_SIZE];
    uint16_t port = 0;
    struct ip_addr addr;
    struct name zone;
    if (!config_is_label(slice_str(e->cluster)))
        return diag_set(d, ERR_INVAL, 0,
                        "Cluster name \"%s\" is not allowed; use lower-case letters, digits and "
                        "hyphens, at most 63",
                        e->cluster);
    if (!config_split_addr(slice_str(e->listen), host, &port) || port == 0 ||
        ip_addr_parse(host, &addr) < 0)
        return diag_set(
            d, ERR_INVAL, 0,
            "--listen %s: give an IP address of this machine and a port, such as 0.0.0.0:7443",
            e->listen);
    if (!config_split_addr(slice_str(e->public_addr), host, &port) || port == 0)
        return diag_set(d, ERR_INVAL, 0,
                        "--public-addr %s: give the name or address and the port that clients "
                        "connect to, such as "
                        "gw.example.com:7443",
                        e->public_addr);
    if (ip_addr_parse(host, &addr) == 0 && ip_addr_is_unspecified(&addr))
        return diag_set(
            d, ERR_INVAL, 0,
            "Nobody can connect to %s: give the name or address that clients connect to with "
            "--public-addr, such as gw.example.com:%u",
            host, port);
    if (name_parse(e->zone, &zone) < 0 || name_labels(&zone) < 2)
        return diag_set(
            d, ERR_INVAL, 0,
            "--zone %s: give a domain name of two labels or more, such as apps.example.com",
            e->zone);
    return 0;
}

static int prepare(struct init *in, struct cli *cli, struct diag *d)
{
    char zone[128];
    const char *listen = cli_text(cli, "listen");
    const char *public_addr = cli_text(cli, "public-addr");
    (void)str_format(zone, sizeof(zone), "%s.internal", in->cluster);
    listen = listen != NULL ? listen : "127.0.0.1:7443";
    struct config_example e = {
        .cluster = in->cluster,
        .listen = listen,
        .public_addr = public_addr != NULL ? public_addr : listen,
        .zone = cli_text(cli, "zone") != NULL ? cli_text(cli, "zone") : zone,
    };
    int r = check_example(&e, d);
    if (r < 0)
        return r;
    in->config_path = file_join(in->dir, "gateway.yaml");
    in->ca_dir = file_join(in->dir, "ca");
    in->key_path = in->ca_dir != NULL ? file_join(in->ca_dir, "ca.key") : NULL;
    in->cert_path = in->ca_dir != NULL ? file_join(in->ca_dir, "ca.pem") : NULL;
    if (in->config_path == NULL || in->key_path == NULL || in->cert_path == NULL ||
        gateway_config_example(&e, &in->config) < 0)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    /* Whatever else the file's reader doesn't like is found before anything is made. */
    return gateway_config_parse("(the new configuration)", buf_slice(&in->config), NULL, NULL,
                                &in->parsed, d);
}

static int read_pin(struct init *in, struct diag *d)
{
    struct ca ca = {0};
    int r = ca_load(in->ca_dir, clock_wall_s(), &ca, d);
    if (r == 0)
        r = cert_pin(ca.cert, in->pin);
    ca_release(&ca);
    return r;
}

static int make(struct init *in, struct diag *d)
{
    int r = file_make_dir(in->dir, 0700, d);
    if (r < 0)
        return r;
    r = file_make_dir(in->ca_dir, 0700, d);
    if (r == 0)
        r = ca_create(in->ca_dir, in->cluster, clock_wall_s(), d);
    if (r == 0)
        r = read_pin(in, d);
    if (r == 0)
        r = file_write_new(in->config_path, buf_slice(&in->config), 0644, d);
    if (r < 0) {
        unlink(in->key_path); /* set by prepare: NOLINT(clang-analyzer-core.NonNullParamChecker) */
        unlink(in->cert_path);
        rmdir(in->ca_dir);
        rmdir(in->dir);
    }
    return r;
}

static int show(struct cli *cli, const struct init *in)
{
    const char *addr = in->parsed->public_addr;
    if (cli->json)
        return output_json(cli, json_pack("{s:s, s:s, s:s, s:s, s:s}", "cluster", in->cluster,
                                          "config", in->config_path, "ca", in->cert_path, "ca_pin",
                                          in->pin, "public_addr", addr));
    printf("Made cluster %s in %s.\n\n", in->cluster, in->dir);
    printf("Clients recognise it by its CA, %s, or by the CA's pin:\n  %s\n\n", in->cert_path,
           in->pin);
    printf("Next, add apps to %s (examples are in it), and:\n", in->config_path);
    printf("  stile gateway user add NAME --config %s\n", in->config_path);
    printf("  stile gateway run --config %s\n", in->config_path);
    printf("  stile login --gateway %s --user NAME --ca-pin %s\n", addr, in->pin);
    return CLI_OK;
}

static int run_init(struct cli *cli)
{
    struct diag d = {0};
    CLEANUP(init_release)
    struct init in = {
        .dir = cli_arg(cli, 0),
        .cluster = cli_text(cli, "name"),
    };
    buf_init(&in.config, 65536);
    secrets_guard_process();
    int r = prepare(&in, cli, &d);
    if (r == 0)
        r = make(&in, &d);
    return r < 0 ? cli_fail(cli, &d) : show(cli, &in);
}

static const struct option options[] = {
    {.name = "name",
     .kind = OPTION_TEXT,
     .value_name = "CLUSTER",
     .required = true,
     .help = "Name of the cluster, in every certificate; it stays"},
    {.name = "listen",
     .kind = OPTION_TEXT,
     .value_name = "ADDR:PORT",
     .help = "Address and port to listen on (127.0.0.1:7443)"},
    {.name = "public-addr",
     .kind = OPTION_TEXT,
     .value_name = "HOST:PORT",
     .help = "What clients connect to (as --listen)"},
    {.name = "zone",
     .kind = OPTION_TEXT,
     .value_name = "ZONE",
     .help = "DNS zone of the apps' public names (CLUSTER.internal)"},
    {.name = NULL},
};

const struct command command_gateway_init = {
    .name = "gateway init",
    .group = "Gateway",
    .summary = "Make a cluster: its CA and a configuration to start from",
    .arguments = "DIR",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .shows_json = true,
    .run = run_init,
};
