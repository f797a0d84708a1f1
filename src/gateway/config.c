#include "gateway/config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/config_internal.h"
#include "gateway/file.h"

/* ---- words ---- */

static bool is_alnum_lower(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool config_is_label(struct slice s)
{
    if (s.len == 0 || s.len >= CONFIG_LABEL_SIZE || s.data[0] == '-' || s.data[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum_lower(s.data[i]) && s.data[i] != '-')
            return false;
    }
    return true;
}

bool config_is_principal(struct slice s)
{
    if (s.len == 0 || s.len >= CONFIG_PRINCIPAL_SIZE || s.data[0] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool letter = is_alnum_lower(c) || (c >= 'A' && c <= 'Z');
        if (!letter && (c == '\0' || strchr("._@+-", c) == NULL))
            return false;
    }
    return true;
}

/* A name whose last label is a number is a mistyped address, never a name (RFC 3696 §2). */
static bool is_host(const char *host)
{
    struct ip_addr addr;
    struct name name;
    if (ip_addr_parse(host, &addr) == 0)
        return true;
    if (name_parse(host, &name) < 0 || name.len == 0)
        return false;
    const char *dot = strrchr(name.text, '.');
    const char *last = dot != NULL ? dot + 1 : name.text;
    return last[strspn(last, "0123456789")] != '\0';
}

bool config_split_addr(struct slice text, char host[CONFIG_HOST_SIZE], uint16_t *ret_port)
{
    char copy[CONFIG_ADDR_SIZE];
    struct ip_addr addr;
    if (str_copy_slice(copy, sizeof(copy), text) < 0)
        return false;
    char *name = copy;
    char *colon = strrchr(copy, ':');
    bool bracketed = copy[0] == '[';
    if (bracketed) {
        char *end = strchr(copy, ']');
        if (end == NULL || (end[1] != ':' && end[1] != '\0'))
            return false;
        colon = end[1] == ':' ? end + 1 : NULL;
        *end = '\0';
        name = copy + 1;
    } else if (ip_addr_parse(copy, &addr) == 0) {
        colon = NULL; /* an IPv6 address without a port */
    }
    uint16_t port = 0;
    if (colon != NULL) {
        *colon = '\0';
        if (str_to_u16(colon + 1, &port) < 0 || port == 0)
            return false;
    }
    if (bracketed && (ip_addr_parse(name, &addr) < 0 || addr.version != 6))
        return false;
    if (!is_host(name) || str_copy(host, CONFIG_HOST_SIZE, name) < 0)
        return false;
    *ret_port = port;
    return true;
}

/* ---- loading ---- */

void gateway_config_free(struct gateway_config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->app_count; i++) {
        mem_free(c->apps[i].ports);
        texts_release(&c->apps[i].users);
        texts_release(&c->apps[i].groups);
        texts_release(&c->apps[i].http_hosts);
    }
    mem_free(c->apps);
    mem_free(c->dns_zones);
    texts_release(&c->names);
    mem_free(c->state_path);
    mem_free(c->ca_dir);
    mem_free(c->file);
    mem_free(c);
}

int gateway_config_parse(const char *path, struct slice text, config_problem_fn *on_problem,
                         void *arg, struct gateway_config **ret, struct diag *d)
{
    struct yaml_doc *doc = NULL;
    struct gateway_config *c = NEW(struct gateway_config);
    int r = c == NULL ? ERR_NOMEM : 0;
    if (r == 0) {
        c->file = mem_strdup(path);
        r = c->file == NULL ? ERR_NOMEM : yaml_parse(text, &doc);
    }
    if (r == 0 && yaml_problem_count(doc) == 0)
        r = config_read(doc, c);
    if (r == ERR_NOMEM)
        diag_set(d, r, 0, "Out of memory while reading %s", path);
    else if (r == 0)
        r = config_tell_problems(doc, path, "stile gateway check", on_problem, arg, d);
    yaml_free(doc);
    if (r < 0) {
        gateway_config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int gateway_config_load(const char *path, config_problem_fn *on_problem, void *arg,
                        struct gateway_config **ret, struct diag *d)
{
    struct buf text;
    buf_init(&text, YAML_TEXT_MAX);
    int r = file_read(path, &text, d);
    if (r == ERR_NOTFOUND)
        diag_set(d, r, 0,
                 "Configuration %s doesn't exist; name it with --config FILE, or make one with "
                 "`stile gateway init`",
                 path);
    if (r == 0)
        r = gateway_config_parse(path, buf_slice(&text), on_problem, arg, ret, d);
    buf_release(&text);
    return r;
}
