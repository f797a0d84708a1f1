/* Names asked for before: answers of the directory, kept for a moment.
 *
 * Questions for one name that come together are one question to the directory. "No such name" is kept too, and failures for a
 * blink, so that nobody is hammered. While the directory can't be asked (no connection, log-in expired) the last good answer
 * stands: the connection itself will then be refused with the reason.
 */
#ifndef STILE_AGENT_LOOKUPS_H
#define STILE_AGENT_LOOKUPS_H

#include "agent/directory.h"

#define LOOKUPS_MAX         4096
#define LOOKUP_FOUND_MS     5000
#define LOOKUP_NOT_FOUND_MS 3000
#define LOOKUP_FAILED_MS    500

struct lookups;

/* How long answers are kept, in ms. */
struct lookups_ages {
    unsigned found, not_found, failed;
};

/* ages: NULL for the above; others for tests. */
int lookups_new(struct directory directory, const struct lookups_ages *ages, struct lookups **ret);
/* After the directory's questions have been answered (see directory.h). NULL is fine. */
void lookups_free(struct lookups *l);

/* done is called exactly once, perhaps before this returns. fqdn: any case, with or without the last dot. */
void lookups_resolve(struct lookups *l, const char *fqdn, directory_resolve_fn *done, void *arg);

/* Nothing learnt so far counts any more. */
void lookups_clear(struct lookups *l);

/* True if this very answer (every field) was given before by lookups_resolve. */
bool lookups_gave(const struct lookups *l, const app_info *info);

#endif
