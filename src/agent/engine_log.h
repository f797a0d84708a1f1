/* What an engine that the broker started writes to its standard error: our log has it, as lines of component "engine".
 *
 * Lines are as base/log writes them in JSON, and keep their time, level and fields; whatever else comes (an abort's last words) is
 * a warning of its own. The other end's process isn't trusted: lines are cut at ENGINE_LOG_LINE_MAX, bytes that would steer a
 * terminal are escaped by our log, and the component is ours to say.
 */
#ifndef STILE_AGENT_ENGINE_LOG_H
#define STILE_AGENT_ENGINE_LOG_H

#include "base/err.h"
#include "base/log.h"
#include "loop/loop.h"

#define ENGINE_LOG_LINE_MAX 12288

struct engine_log;

/* fd: the read end of a pipe, taken on success. */
int engine_log_new(struct loop *loop, int fd, struct engine_log **ret);
/* NULL is fine. What was written and not read yet is read first. */
void engine_log_free(struct engine_log *log);

/* One line without its end, into our log. For tests. */
void engine_log_tell(struct slice line);

#endif
