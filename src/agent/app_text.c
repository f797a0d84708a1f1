#include "agent/app_text.h"

#include <string.h>

#include "base/str.h"

void app_text_address(const Stile__Access__V1__App *app, char text[APP_TEXT_SIZE])
{
    bool one = app->n_ports == 1 && app->ports[0]->first == app->ports[0]->last;
    if (app->web)
        (void)str_format(text, APP_TEXT_SIZE, "https://%s", app->public_name);
    else if (one)
        (void)str_format(text, APP_TEXT_SIZE, "tcp://%s:%u", app->public_name,
                         (unsigned)app->ports[0]->first);
    else
        (void)str_format(text, APP_TEXT_SIZE, "tcp://%s", app->public_name);
}

/* Appends one range; when there is no more room, an ellipsis, and false. */
static bool add_range(char text[APP_TEXT_SIZE], uint32_t first, uint32_t last)
{
    char one[32];
    size_t at = strlen(text);
    const char *comma = at > 0 ? ", " : "";
    if (first == last)
        (void)str_format(one, sizeof(one), "%s%u", comma, (unsigned)first);
    else
        (void)str_format(one, sizeof(one), "%s%u-%u", comma, (unsigned)first, (unsigned)last);
    bool fits = at + strlen(one) + sizeof(", …") <= APP_TEXT_SIZE;
    (void)str_format(text + at, APP_TEXT_SIZE - at, "%s", fits ? one : ", …");
    return fits;
}

void app_text_ports(const Stile__Access__V1__App *app, char text[APP_TEXT_SIZE])
{
    const char *none = app->web ? "-" : "any";
    (void)str_format(text, APP_TEXT_SIZE, "%s", app->n_ports == 0 ? none : "");
    for (size_t i = 0; i < app->n_ports; i++)
        if (!add_range(text, app->ports[i]->first, app->ports[i]->last))
            return;
}

void app_text_vnet_ports(const Stile__Vnet__V1__App *app, char text[APP_TEXT_SIZE])
{
    (void)str_format(text, APP_TEXT_SIZE, "%s", app->n_ports == 0 ? "any" : "");
    for (size_t i = 0; i < app->n_ports; i++)
        if (!add_range(text, app->ports[i]->first, app->ports[i]->last))
            return;
}
