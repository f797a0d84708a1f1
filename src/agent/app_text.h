/* Apps in words: for lists, and for messages that name the ports which would do. */
#ifndef STILE_AGENT_APP_TEXT_H
#define STILE_AGENT_APP_TEXT_H

#include "stile/access/v1/access.pb-c.h"
#include "stile/vnet/v1/client_application.pb-c.h"

#define APP_TEXT_SIZE 512 /* longer ones end in "…" */

/* "tcp://pg.demo.stile.test:5432"; without the port if there are several or any will do; "https://…" for web apps. */
void app_text_address(const Stile__Access__V1__App *app, char text[APP_TEXT_SIZE]);
/* "5432, 6000-6010"; "any" */
void app_text_ports(const Stile__Access__V1__App *app, char text[APP_TEXT_SIZE]);
void app_text_vnet_ports(const Stile__Vnet__V1__App *app, char text[APP_TEXT_SIZE]);

#endif
