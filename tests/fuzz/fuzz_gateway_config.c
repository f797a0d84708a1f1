/* The gateway's configuration file: whatever the text, it gives a configuration or problems with a place, never both or neither. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "gateway/config.h"

static void on_problem(void *arg, const char *line)
{
    unsigned *count = arg;
    if (!str_starts(line, "f:") || strlen(line) < 8)
        abort();
    (*count)++;
}

/* What the rest of the gateway relies on without looking. */
static void check(const struct gateway_config *c)
{
    if (!config_is_label(slice_str(c->cluster)) || c->zone_count == 0 || c->public_port == 0)
        abort();
    for (size_t i = 0; i < c->app_count; i++) {
        const struct config_app *app = &c->apps[i];
        if (!config_is_label(slice_str(app->name)) || app->public_name.len == 0)
            abort();
        if (!app->web && (app->target_host[0] == '\0' || app->users.count + app->groups.count == 0))
            abort();
        for (size_t k = 0; k < app->port_count; k++) {
            if (app->ports[k].first == 0 || app->ports[k].first > app->ports[k].last)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned problems = 0;
    struct diag d = {0};
    struct gateway_config *c = NULL;
    int r = gateway_config_parse("f", slice_of(data, size), on_problem, &problems, &c, &d);
    if (r == 0 ? (c == NULL || problems > 0) : (c != NULL || d.text[0] == '\0'))
        abort();
    if (r == ERR_FORMAT && problems == 0)
        abort();
    if (c != NULL)
        check(c);
    gateway_config_free(c);
    return 0;
}
