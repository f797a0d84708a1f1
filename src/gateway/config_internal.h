/* What the parts of the configuration reader share; nobody else includes this. */
#ifndef STILE_GATEWAY_CONFIG_INTERNAL_H
#define STILE_GATEWAY_CONFIG_INTERNAL_H

#include "config/yaml.h"
#include "gateway/config.h"

/* Fills c from the document, recording every problem there. ERR_NOMEM alone is returned. */
int config_read(struct yaml_doc *doc, struct gateway_config *c);

/* One entry of `apps`. */
int config_read_app(struct yaml_value v, struct config_app *app);

/* A name checked by `ok`, copied: false if absent or wrong (recorded). */
bool config_read_checked(struct yaml_value v, const char *what, bool (*ok)(struct slice),
                         const char *rule, char *dst, size_t dst_size);
bool config_read_name(struct yaml_value v, const char *what, struct name *ret);
/* Every item checked by `ok`; duplicates are recorded. ERR_NOMEM alone is returned. */
int config_read_texts(struct yaml_value v, const char *what, bool (*ok)(struct slice),
                      const char *rule, struct texts *ret);

#define CONFIG_LABEL_RULE     "lower-case letters, digits and hyphens, at most 63, such as \"pg-main\""
#define CONFIG_PRINCIPAL_RULE "letters, digits and . _ @ + -, at most 64, such as \"alice\""

#endif
