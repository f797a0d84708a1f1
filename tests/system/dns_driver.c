/* One DNS back-end, driven by lines on standard input: for the tests with real daemons.
 *
 * usage: dns_driver CHOICE       prints "backend NAME exclusive|per-zone persistent|volatile", or "error NAME: text" and ends
 *
 *   want LINK SERVERS ZONES [FLAGS]   the object from now on; lists with commas, "-" for an empty one; FLAGS as a number
 *   capture | apply | verify | undo [HEX] | upstreams | watch | unwatch
 *   own LINK ADDRESS PREFIX           an address and a route, tagged as stile's are
 *   contents LINK                     "ADDRESSES ROUTES": how many with such tags there are
 *
 * Each is answered with one line: "ok …" or "error NAME: text". What is watched is told as "event settings upstreams". undo takes
 * the bytes of an earlier capture, of another process too; without, those of this one's.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "net/resolv_conf.h"
#include "netcfg/dns_backend.h"
#include "netcfg/link_contents.h"

enum { LINE_MAX_SIZE = 192 * 1024 };

struct driver {
    struct loop loop;
    uv_poll_t input;
    struct dns_backend *backend;
    struct object want, applied;
    struct buf undo;
    char line[LINE_MAX_SIZE];
    size_t len;
};

static int answer(int r, const struct diag *d, const char *text)
{
    if (r < 0)
        printf("error %s: %s\n", err_name(r), d->text);
    else
        printf("ok %s\n", text);
    fflush(stdout);
    return r;
}

static int want(struct driver *v, char *words)
{
    char *link = strtok_r(words, " ", &words), *servers = strtok_r(words, " ", &words);
    char *zones = strtok_r(words, " ", &words), *flags = strtok_r(words, " ", &words), *save = NULL;
    struct object o = {.kind = OBJECT_DNS};

    if (zones == NULL || str_copy(o.link, sizeof(o.link), link) < 0)
        return ERR_INVAL;
    o.link_index = if_nametoindex(link);
    o.dns.flags = flags != NULL ? (uint32_t)strtoul(flags, NULL, 10) : 0;
    o.dns.zones = mem_array(OBJECT_ZONES_MAX, OBJECT_ZONE_SIZE);
    if (o.dns.zones == NULL)
        return ERR_NOMEM;
    for (char *s = strtok_r(servers, ",-", &save); s != NULL; s = strtok_r(NULL, ",-", &save))
        if (ip_addr_parse(s, &o.dns.servers[o.dns.server_count++]) < 0)
            return ERR_INVAL;
    if (!str_eq(zones, "-"))
        for (char *z = strtok_r(zones, ",", &save); z != NULL; z = strtok_r(NULL, ",", &save))
            if (str_copy(o.dns.zones[o.dns.zone_count++], OBJECT_ZONE_SIZE, z) < 0)
                return ERR_INVAL;
    object_release(&v->want);
    v->want = o;
    return 0;
}

static int capture(struct driver *v)
{
    struct diag d = {0};
    buf_clear(&v->undo);
    int r = dns_backend_capture(v->backend, &v->want, &v->undo, &d);
    char *hex = mem_alloc(2 * buf_len(&v->undo) + 1);

    if (hex == NULL)
        return answer(ERR_NOMEM, &d, "");
    str_hex(hex, buf_slice(&v->undo));
    answer(r, &d, hex);
    mem_free(hex);
    return r;
}

static int apply(struct driver *v)
{
    struct diag d = {0};
    int r = dns_backend_apply(v->backend, &v->want, v->applied.kind != 0 ? &v->applied : NULL, &d);

    if (r == 0) {
        object_release(&v->applied);
        r = object_copy(&v->want, &v->applied);
    }
    return answer(r, &d, "");
}

static int verify(struct driver *v)
{
    static const char *const names[] = {"present", "missing", "foreign"};
    enum object_presence p = OBJECT_PRESENT;
    struct diag d = {0};
    int r = dns_backend_verify(v->backend, &v->want, buf_slice(&v->undo), &p, &d);

    return answer(r, &d, names[p]);
}

static int undo(struct driver *v, const char *hex)
{
    static const char *const names[] = {"undone", "gone", "left"};
    enum object_undone u = OBJECT_GONE;
    struct diag d = {0};
    uint8_t *space = NULL;

    if (hex != NULL) {
        size_t len = strlen(hex) / 2;
        buf_clear(&v->undo);
        if (buf_reserve(&v->undo, len, &space) < 0 || str_unhex(hex, space, len) < 0)
            return answer(ERR_INVAL, &d, "");
        buf_commit(&v->undo, len);
    }
    int r = dns_backend_undo(v->backend, &v->want, buf_slice(&v->undo), &u, &d);
    if (r == 0)
        object_release(&v->applied);
    return answer(r, &d, names[u]);
}

static int upstreams(struct driver *v)
{
    struct resolvers found = {0};
    char text[RESOLVERS_MAX * (RESOLVER_TEXT + 1)] = "";
    struct diag d = {0};
    int r =
        dns_backend_upstreams(v->backend, v->applied.kind != 0 ? &v->applied : NULL, &found, &d);

    for (size_t i = 0; r == 0 && i < found.count; i++) {
        size_t len = strlen(text);
        r = str_format(text + len, sizeof(text) - len, "%s%s", i > 0 ? "," : "", found.addrs[i]);
    }
    return answer(r, &d, text);
}

static int own(char *words)
{
    char *link = strtok_r(words, " ", &words), *text = strtok_r(words, " ", &words);
    char *to = strtok_r(words, " ", &words);
    struct rtnl *r = NULL;
    struct ip_addr address;
    struct prefix prefix;
    struct diag d = {0};

    if (to == NULL || ip_addr_parse(text, &address) < 0 || prefix_parse(to, &prefix) < 0)
        return answer(ERR_INVAL, &d, "");
    int err = rtnl_open(&r, &d);
    if (err == 0)
        err = rtnl_add_address(r, if_nametoindex(link), &address, &d);
    if (err == 0)
        err = rtnl_add_route(r, if_nametoindex(link), &prefix, &address, &d);
    rtnl_close(r);
    return answer(err, &d, "");
}

static int contents(const char *link)
{
    struct link_contents c;
    struct diag d = {0};
    char text[64] = "";
    int r = link_contents_save(if_nametoindex(link), &c, &d);

    if (r == 0)
        r = str_format(text, sizeof(text), "%zu %zu", c.address_count, c.route_count);
    return answer(r, &d, text);
}

static void on_changed(void *arg, unsigned changed)
{
    (void)arg;
    printf("event%s%s\n", (changed & DNS_CHANGED_SETTINGS) != 0 ? " settings" : "",
           (changed & DNS_CHANGED_UPSTREAMS) != 0 ? " upstreams" : "");
    fflush(stdout);
}

static int command(struct driver *v, char *line)
{
    char *words = line, *what = strtok_r(line, " ", &words);
    struct diag d = {0};

    if (str_eq(what, "want"))
        return answer(want(v, words), &d, "");
    if (str_eq(what, "capture"))
        return capture(v);
    if (str_eq(what, "apply"))
        return apply(v);
    if (str_eq(what, "verify"))
        return verify(v);
    if (str_eq(what, "undo"))
        return undo(v, strtok_r(NULL, " ", &words));
    if (str_eq(what, "upstreams"))
        return upstreams(v);
    if (str_eq(what, "watch"))
        return answer(dns_backend_watch(v->backend, &v->loop, on_changed, v, &d), &d, "");
    if (str_eq(what, "own"))
        return own(words);
    if (str_eq(what, "contents"))
        return contents(words);
    if (str_eq(what, "unwatch")) {
        dns_backend_unwatch(v->backend);
        return answer(0, &d, "");
    }
    return answer(ERR_INVAL, &d, "");
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct driver *v = poll->data;
    ssize_t n = read(0, v->line + v->len, sizeof(v->line) - 1 - v->len);
    char *end;

    (void)status;
    (void)events;
    if (n <= 0) {
        dns_backend_free(STEAL(v->backend));
        uv_close((uv_handle_t *)poll, NULL);
        return;
    }
    v->len += (size_t)n;
    while ((end = memchr(v->line, '\n', v->len)) != NULL) {
        *end = '\0';
        command(v, v->line);
        v->len -= (size_t)(end + 1 - v->line);
        memmove(v->line, end + 1, v->len);
    }
}

int main(int argc, char **argv)
{
    struct driver *v = NEW(struct driver);
    struct diag d = {0};

    if (v == NULL || argc != 2 || loop_init(&v->loop) < 0)
        return 2;
    log_setup("dns_driver", LOG_DEBUG, LOG_TEXT);
    buf_init(&v->undo, OBJECT_UNDO_MAX);
    int r = dns_backend_detect(argv[1], &v->backend, &d);
    if (r < 0) {
        answer(r, &d, "");
        return 1;
    }
    printf("backend %s %s %s\n", v->backend->ops->name,
           v->backend->exclusive ? "exclusive" : "per-zone",
           v->backend->persistent ? "persistent" : "volatile");
    fflush(stdout);
    uv_poll_init(&v->loop.uv, &v->input, 0);
    v->input.data = v;
    uv_poll_start(&v->input, UV_READABLE, on_input);
    loop_run(&v->loop);
    object_release(&v->want);
    object_release(&v->applied);
    buf_release(&v->undo);
    r = loop_release(&v->loop);
    mem_free(v);
    return r < 0;
}
