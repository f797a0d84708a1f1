/* The rules of the watch and of the CNI plugin: which containers get which policies. Plain memory;
 * pure but for memory.
 *
 *   {"Rules": [{"Labels": {"app": "web"}, "Annotations": {…},
 *               "Policies": [{"Type": "L4WFPPROXY", "Settings": {…}}]}]}
 *
 * The first rule that a container matches decides: it matches when each label and each annotation
 * of the rule is one of the container's, with exactly that value. A rule without any matches every
 * container. All policies of the rule are meant for the container's endpoint together; an empty
 * list says that it shall have none. A bare array of rules is read, too. What isn't known is
 * refused by name, and so is what this system can't do (l4_check.h).
 */
#ifndef STILE_POLICY_WATCH_RULES_H
#define STILE_POLICY_WATCH_RULES_H

#include <jansson.h>

#include "policy/l4_json.h"
#include "policy/runtime.h"

#define WATCH_RULES_MAX      1024
#define WATCH_RULES_TEXT_MAX L4_JSON_MAX
#define WATCH_SELECTORS_MAX  64 /* labels of one rule, and annotations */

struct watch_rule {
    struct runtime_label *labels, *annotations; /* owned arrays; the texts belong to the document */
    size_t label_count, annotation_count;
    struct l4_policies policies;
};

struct watch_rules {
    struct watch_rule *items;
    size_t count;
    json_t *document;
};

/* What rules look at. Borrowed. */
struct watch_subject {
    const struct runtime_label *labels, *annotations;
    size_t label_count, annotation_count;
};

/* ERR_FORMAT with line and column, or with the rule and its member: "rule 2, policy 1,
 * Settings.OutboundProxyPort: …"; ERR_LIMIT, ERR_TOOBIG, ERR_NOMEM; what l4_check says. */
int watch_rules_read(struct slice text, struct watch_rules **ret, struct diag *d);
/* The same of a value that was read already; keeps a reference. */
int watch_rules_read_value(json_t *value, struct watch_rules **ret, struct diag *d);
/* A file that nobody but root and this process's own user may write, as whoever may write it
 * decides where traffic goes. Blocks. */
int watch_rules_load(const char *path, struct watch_rules **ret, struct diag *d);
void watch_rules_free(struct watch_rules *r); /* NULL does nothing */

/* The index of the first rule that the subject matches. */
bool watch_rules_match(const struct watch_rules *r, const struct watch_subject *s,
                       size_t *ret_index);

#endif
