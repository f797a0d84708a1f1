/* The apps of one configuration, found by name, and who may use what.
 *
 * A directory is immutable and owns its configuration. It is counted: a reload puts another one in its place while
 * questions to this one are still being answered. One thread.
 */
#ifndef STILE_GATEWAY_DIRECTORY_H
#define STILE_GATEWAY_DIRECTORY_H

#include "gateway/config.h"

struct directory;

/* config is taken on success. ERR_NOMEM. */
int directory_new(struct gateway_config *config, struct directory **ret);
struct directory *directory_ref(struct directory *d);
void directory_unref(struct directory *d); /* NULL is fine */

const struct gateway_config *directory_config(const struct directory *d);

/* Borrowed; NULL: there is none. fqdn: any case, with or without the last dot. */
const struct config_app *directory_find(const struct directory *d, const char *name);
const struct config_app *directory_resolve(const struct directory *d, const char *fqdn);

/* May this user, a member of these groups, use (for a web app: see) the app? */
bool directory_may_use(const struct config_app *app, const char *user, const struct texts *groups);
/* Web apps have no ports. */
bool directory_has_port(const struct config_app *app, uint16_t port);
/* "5432, 8000-8010" or "any", cut at the end if it doesn't fit. */
void directory_ports_text(const struct config_app *app, char *text, size_t size);

#endif
