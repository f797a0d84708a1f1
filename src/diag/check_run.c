/* What `stile run` needs of the host. */
#include <errno.h>
#include <string.h>

#include "diag/check.h"

/* Whoever has a session by the service may never need it. */
static enum severity if_needed(const struct facts *f)
{
    return facts_up_session(f) != NULL || f->broker.err == 0 ? SEVERITY_NOTICE : SEVERITY_PROBLEM;
}

static void run(const struct facts *f, struct findings *ret)
{
    const struct host_facts *h = &f->host;
    if (h->tun_errno != 0) {
        struct finding *n = findings_add(ret, if_needed(f), "run-no-tun", "");
        finding_title(n, "/dev/net/tun can't be opened: %s", strerror(h->tun_errno));
        if (h->tun_errno == EACCES || h->tun_errno == EPERM)
            finding_remedy(n, "stile run needs it: let the administrator allow it (chmod 0666 "
                              "/dev/net/tun), or use stile up");
        else
            finding_remedy(n, "stile run needs it: let the administrator load the kernel's module "
                              "tun (modprobe tun); in a container, pass the device in");
    }
    if (h->namespaces_errno != 0) {
        struct finding *n = findings_add(ret, if_needed(f), "run-no-namespaces", "");
        finding_title(n, "User namespaces can't be made: %s", strerror(h->namespaces_errno));
        if (h->namespaces_why[0] != '\0')
            finding_detail(n, "The setting is %s", h->namespaces_why);
        finding_remedy(n, "stile run needs them: let the administrator allow unprivileged user "
                          "namespaces, or use stile up");
    }
    if (h->tun_errno == 0 && h->namespaces_errno == 0)
        finding_title(findings_add(ret, SEVERITY_OK, "run", ""),
                      "stile run has what it needs: user namespaces and /dev/net/tun");
}

const struct check check_run = {.id = "run", .heading = "stile run", .run = run};
