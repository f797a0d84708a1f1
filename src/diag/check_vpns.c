/* Other VPNs of the host: no fault by themselves, but what to think of first when something is odd. */
#include "base/str.h"
#include "diag/check.h"

#define VPNS_MAX 32

static void addresses_text(const struct host_view *v, const struct host_link *l, char *text,
                           size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < v->address_count; i++) {
        char one[IP_ADDR_TEXT_SIZE], longer[512];
        if (v->addresses[i].link_index != l->index || ip_addr_is_link_local(&v->addresses[i].addr))
            continue;
        ip_addr_format(&v->addresses[i].addr, one);
        (void)str_format(longer, sizeof(longer), "%s%s%s/%u", text, text[0] != '\0' ? ", " : "",
                         one, (unsigned)v->addresses[i].bits);
        (void)str_format(text, size, "%s", longer);
    }
}

static void run(const struct facts *f, struct findings *ret)
{
    struct host_vpn vpns[VPNS_MAX];
    if (f->host.view_err < 0)
        return;
    if (host_view_vpns(&f->host.view, vpns, VPNS_MAX) == 0)
        finding_title(findings_add(ret, SEVERITY_OK, "no-other-vpn", ""), "No other VPN is seen");
    size_t count = host_view_vpns(&f->host.view, vpns, VPNS_MAX);
    for (size_t i = 0; i < count; i++) {
        char addresses[512];
        const struct host_link *l = vpns[i].link;
        addresses_text(&f->host.view, l, addresses, sizeof(addresses));
        struct finding *n = findings_add(ret, SEVERITY_NOTICE, "other-vpn", l->name);
        finding_title(n, "Another VPN: %s is %s (%s)", l->name, vpns[i].product,
                      l->up ? "up" : "down");
        finding_detail(n, "Addresses: %s", addresses[0] != '\0' ? addresses : "none");
        finding_remedy(n, "Nothing needs to be done while names and routes are well; else try with "
                          "it disconnected");
    }
}

const struct check check_vpns = {.id = "vpns", .heading = "Other VPNs", .run = run};
