#include "gateway/directory.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"

struct directory {
    unsigned refs;
    struct gateway_config *config; /* owned */
    struct table by_name;          /* of its apps */
    struct table by_public_name;
};

static int fill(struct directory *d)
{
    for (size_t i = 0; i < d->config->app_count; i++) {
        struct config_app *app = &d->config->apps[i];
        int r = table_put(&d->by_name, slice_str(app->name), app);
        if (r == 0)
            r = table_put(&d->by_public_name, name_key(&app->public_name), app);
        if (r < 0)
            return r;
    }
    return 0;
}

int directory_new(struct gateway_config *config, struct directory **ret)
{
    uint8_t secret[16];
    struct directory *d = NEW(struct directory);
    if (d == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    d->refs = 1;
    d->config = config;
    table_init(&d->by_name, secret);
    table_init(&d->by_public_name, secret);
    int r = fill(d);
    if (r < 0) {
        d->config = NULL;
        directory_unref(d);
        return r;
    }
    *ret = d;
    return 0;
}

struct directory *directory_ref(struct directory *d)
{
    d->refs++;
    return d;
}

void directory_unref(struct directory *d)
{
    if (d == NULL || --d->refs > 0)
        return;
    table_release(&d->by_name);
    table_release(&d->by_public_name);
    gateway_config_free(d->config);
    mem_free(d);
}

const struct gateway_config *directory_config(const struct directory *d)
{
    return d->config;
}

const struct config_app *directory_find(const struct directory *d, const char *name)
{
    return table_get(&d->by_name, slice_str(name));
}

const struct config_app *directory_resolve(const struct directory *d, const char *fqdn)
{
    struct name name;
    if (name_parse(fqdn, &name) < 0)
        return NULL;
    return table_get(&d->by_public_name, name_key(&name));
}

static bool in_group(const struct config_app *app, const struct texts *groups)
{
    for (size_t i = 0; i < app->groups.count; i++) {
        const char *group = app->groups.items[i];
        if (str_eq(group, CONFIG_GROUP_EVERYONE) || texts_have(groups, group))
            return true;
    }
    return false;
}

bool directory_may_use(const struct config_app *app, const char *user, const struct texts *groups)
{
    /* The reader of the configuration lets only web apps name nobody. */
    if (app->web && app->users.count == 0 && app->groups.count == 0)
        return true;
    return texts_have(&app->users, user) || in_group(app, groups);
}

bool directory_has_port(const struct config_app *app, uint16_t port)
{
    if (app->web || port == 0)
        return false;
    for (size_t i = 0; i < app->port_count; i++) {
        if (port >= app->ports[i].first && port <= app->ports[i].last)
            return true;
    }
    return app->port_count == 0;
}

void directory_ports_text(const struct config_app *app, char *text, size_t size)
{
    size_t used = 0;
    (void)str_format(text, size, "%s", app->port_count == 0 ? "any" : "");
    for (size_t i = 0; i < app->port_count && used < size; i++) {
        const struct config_ports *p = &app->ports[i];
        const char *comma = i > 0 ? ", " : "";
        int n = p->first == p->last
                    ? snprintf(text + used, size - used, "%s%u", comma, p->first)
                    : snprintf(text + used, size - used, "%s%u-%u", comma, p->first, p->last);
        used += n > 0 ? (size_t)n : 0;
    }
}
