/* The transaction alone, on the interface stile0 that the test made: a short life of a session, in one thread.
 *
 * usage: netcfg_driver DNS session     recovers, applies a plan, changes it to other addresses and zones, ends it
 *        netcfg_driver DNS recover     recovers
 *        netcfg_driver DNS again       applies a plan; for each line on standard input, applies it again three times and verifies
 *                                      it; "done" on standard output each time
 *
 * DNS is a back-end's name, or "-" for a plan without DNS. What fails is told on standard error, and the rest goes on, as a
 * broker would. The exit status is 1 if something failed, 2 if something is left over.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "netcfg/dns_backend.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_linux.h"
#include "netcfg/os_linux.h"

#define LINK "stile0"
enum { SESSION = 1 };

struct network {
    const char *range;
    const char *prefix6;
    const char *zones[3];
};

static const struct network first = {"100.64.0.0/10", "fd00:64::/48", {"a.stile.test", NULL}};
static const struct network second = {
    "198.18.0.0/15", "fd00:65::/48", {"b.stile.test", "c.stile.test", NULL}};

static int failures;

static int note(int r, const struct diag *d)
{
    if (r < 0) {
        (void)fprintf(stderr, "%s: %s\n", err_name(r), d->text);
        failures++;
    }
    return r;
}

static int add_range(struct plan *p, uint32_t index, const char *text, struct object_dns *dns)
{
    struct object_route route = {0};
    int r = prefix_parse(text, &route.dst);

    route.source = prefix_at(&route.dst, 1);
    dns->servers[dns->server_count++] = prefix_at(&route.dst, 2);
    if (r == 0)
        r = plan_add_address(p, LINK, index, &route.source,
                             (uint8_t)(ip_addr_len(&route.source) * 8));
    return r < 0 ? r : plan_add_route(p, LINK, index, &route);
}

static int make_plan(struct plan *p, const struct network *n, bool with_dns)
{
    const struct object_link settings = {.mtu = 9000, .queue_len = 4096, .up = true};
    char zones[ARRAY_LEN(n->zones)][OBJECT_ZONE_SIZE];
    struct object_dns dns = {.zones = zones};
    uint32_t index = if_nametoindex(LINK);

    plan_init(p);
    int r = plan_add_link(p, LINK, index, &settings);
    if (r == 0)
        r = add_range(p, index, n->range, &dns);
    if (r == 0)
        r = add_range(p, index, n->prefix6, &dns);
    while (r == 0 && n->zones[dns.zone_count] != NULL) {
        r = str_copy(zones[dns.zone_count], sizeof(zones[0]), n->zones[dns.zone_count]);
        dns.zone_count++;
    }
    return r == 0 && with_dns ? plan_add_dns(p, LINK, index, &dns) : r;
}

static void apply(struct netcfg *netcfg, const struct network *network, bool with_dns)
{
    CLEANUP(plan_release) struct plan p;
    struct netcfg_report report;
    struct diag d = {.text = "no plan"};
    int r = make_plan(&p, network, with_dns);

    netcfg_report_init(&report);
    if (r == 0)
        r = netcfg_apply(netcfg, SESSION, &p, &report, &d);
    (void)note(r, &d);
}

static void live(struct netcfg *netcfg, bool with_dns)
{
    struct diag d = {.text = "out of memory"};

    apply(netcfg, &first, with_dns);
    apply(netcfg, &second, with_dns);
    (void)note(netcfg_end(netcfg, SESSION, NULL), &d);
}

static void apply_again(struct netcfg *netcfg, bool with_dns)
{
    struct diag d = {.text = "out of memory"};
    char line[16];

    apply(netcfg, &first, with_dns);
    do {
        (void)puts("done");
        (void)fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL)
            return;
        for (int i = 0; i < 3; i++)
            apply(netcfg, &first, with_dns);
        (void)note(netcfg_repair(netcfg, NULL, NULL, NULL), &d);
    } while (true);
}

static int run(struct netcfg *netcfg, const char *what, bool with_dns)
{
    struct diag d = {.text = "out of memory"};

    (void)note(netcfg_recover(netcfg, NULL), &d);
    if (str_eq(what, "session"))
        live(netcfg, with_dns);
    else if (str_eq(what, "again"))
        apply_again(netcfg, with_dns);
    return netcfg_leftovers(netcfg) != 0 ? 2 : failures > 0;
}

int main(int argc, char **argv)
{
    struct ops_linux os = {0};
    struct dns_backend *dns = NULL;
    struct netcfg_config config = {.ops = &os.ops};
    struct netcfg *netcfg = NULL;
    struct diag d = {0};

    log_setup("netcfg", LOG_WARN, LOG_TEXT);
    if (argc != 3)
        return 3;
    bool with_dns = !str_eq(argv[1], "-");
    int r = os_linux_identify(config.boot_id, &config.namespace_id, &d);
    if (r == 0)
        r = store_open(NETCFG_DIRECTORY, &config.store, &d);
    if (r == 0 && with_dns && !str_eq(argv[2], "recover"))
        r = dns_backend_detect(argv[1], &dns, &d);
    if (r == 0)
        r = ops_linux_init(&os, dns, &d);
    if (r == 0)
        r = netcfg_open(&config, &netcfg, &d);
    int status = note(r, &d) < 0 ? 1 : run(netcfg, argv[2], with_dns);
    if (netcfg == NULL)
        store_close(config.store);
    netcfg_close(netcfg);
    ops_linux_release(&os);
    dns_backend_free(dns);
    return status;
}
