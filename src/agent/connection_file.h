/* HOME/connections.jsonl: one line of JSON per connection that has ended, of all agents of this home. Capped: over
 * CONNECTION_LOG_FILE_MAX its older half goes. Lines are gathered for a moment and appended in one write.
 */
#ifndef STILE_AGENT_CONNECTION_FILE_H
#define STILE_AGENT_CONNECTION_FILE_H

#include <jansson.h>

#include "agent/connection_log.h"

struct connection_file;

int connection_file_new(struct loop *loop, const struct home *home, struct connection_file **ret);
void connection_file_free(struct connection_file *f); /* writes what is left; NULL is fine */
void connection_file_add(struct connection_file *f, const struct connection *c);

/* One record; NULL when memory runs out. Its keys are those of the file and of `stile connections --json`. */
json_t *connection_to_json(const struct connection *c);

/* The records of the file, oldest first; lines that can't be read are left out. NULL when memory runs out. */
json_t *connection_file_read(const struct home *home);

#endif
