#include "netcfg/os_linux.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/dns_backend.h"
#include "netcfg/ops_linux.h"
#include "netcfg/watch.h"

struct os_linux {
    struct ops_linux ops; /* first: the `os` of its table is what netcfg_os gets */
    const struct os_linux_options *options;
    struct dns_backend *dns; /* NULL until start */
    struct watch *watch;
    void (*changed)(void *arg, unsigned reasons);
    void *arg;
};

static void os_close(void *arg)
{
    struct os_linux *os = arg;
    watch_free(os->watch);
    dns_backend_free(os->dns);
    ops_linux_release(&os->ops);
    mem_free(os);
}

static int os_open(const struct netcfg_os *self, const struct ops **ret_ops, struct diag *d)
{
    struct os_linux *os = NEW(struct os_linux);
    if (os == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open rtnetlink: out of memory");
    int r = ops_linux_init(&os->ops, NULL, d);
    if (r < 0) {
        mem_free(os);
        return r;
    }
    os->options = self->options;
    *ret_ops = &os->ops.ops;
    return 0;
}

static_assert(NETCFG_CHANGED_LINK == WATCH_LINK && NETCFG_CHANGED_ADDRESS == WATCH_ADDRESS &&
                  NETCFG_CHANGED_ROUTE == WATCH_ROUTE && NETCFG_CHANGED_OURS == WATCH_OURS &&
                  NETCFG_CHANGED_UNKNOWN == WATCH_OVERRUN && NETCFG_CHANGED_CLOCK == WATCH_CLOCK,
              "the masks are the same");

static void on_watch(void *arg, uint32_t reasons)
{
    struct os_linux *os = arg;
    os->changed(os->arg, reasons);
}

static void on_dns(void *arg, unsigned changed)
{
    struct os_linux *os = arg;
    unsigned reasons = 0;
    if (changed & DNS_CHANGED_UPSTREAMS)
        reasons |= NETCFG_CHANGED_UPSTREAMS;
    if (changed & DNS_CHANGED_SETTINGS)
        reasons |= NETCFG_CHANGED_DNS;
    if (reasons != 0)
        os->changed(os->arg, reasons);
}

static int os_start(void *arg, struct loop *loop, void (*changed)(void *arg, unsigned reasons),
                    void *changed_arg, struct diag *d)
{
    struct os_linux *os = arg;
    os->changed = changed;
    os->arg = changed_arg;
    int r = dns_backend_detect(os->options->dns, &os->dns, d);
    if (r < 0)
        return r;
    os->ops.dns = os->dns;
    os->ops.dns_ops.exclusive = os->dns->exclusive;
    r = watch_new(loop, os->ops.rtnl, on_watch, os, &os->watch, d);
    if (r == 0)
        r = dns_backend_watch(os->dns, loop, on_dns, os, d);
    return r;
}

static int os_upstreams(void *arg, const struct object *ours, struct resolvers *ret, struct diag *d)
{
    struct os_linux *os = arg;
    return dns_backend_upstreams(os->dns, ours, ret, d);
}

static const char *os_dns_backend(void *arg)
{
    struct os_linux *os = arg;
    return os->dns == NULL ? "" : dns_backend_name(os->dns);
}

void os_linux_init(const struct os_linux_options *options, struct netcfg_os *ret_os)
{
    *ret_os = (struct netcfg_os){
        .open = os_open,
        .start = os_start,
        .upstreams = os_upstreams,
        .dns_backend = os_dns_backend,
        .close = os_close,
        .options = options,
    };
}

/* "1b4e28ba-2fa1-11d2-883f-0016d3cca427\n" */
static int parse_boot_id(const char *text, uint8_t ret_boot_id[16])
{
    char hex[33];
    size_t n = 0;
    for (; *text != '\0' && *text != '\n' && n < sizeof(hex) - 1; text++)
        if (*text != '-')
            hex[n++] = *text;
    hex[n] = '\0';
    return str_unhex(hex, ret_boot_id, 16);
}

int os_linux_identify(uint8_t ret_boot_id[16], uint64_t *ret_namespace_id, struct diag *d)
{
    char text[64] = "";
    struct stat st;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (n <= 0 || parse_boot_id(text, ret_boot_id) < 0)
        return diag_set(d, ERR_IO, code, "Failed to read /proc/sys/kernel/random/boot_id");
    if (stat("/proc/self/ns/net", &st) < 0)
        return diag_set(d, ERR_IO, errno, "Failed to look at /proc/self/ns/net: %s",
                        strerror(errno));
    *ret_namespace_id = st.st_ino;
    return 0;
}
