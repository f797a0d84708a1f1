/* stile-cni: policies before the first process of a container starts, as a plugin in the chain of
 * its network (CNI specification, section 2, 0.3.0 to 1.1.0).
 *
 * It makes no interface: it stands after the plugin that does, and passes prevResult on as it was.
 *   ADD     the policies of the first rule that matches are applied; without one nothing is touched.
 *           Any failure is ADD's, so that the runtime doesn't start the container.
 *   CHECK   an error if they are not, in the kernel, what they should be.
 *   DEL     clears them, without nft too; nothing to clear, or no namespace any more, is a success.
 *   GC      nothing is kept that could be collected.
 *   STATUS  an error if ADD would fail for everybody: no nft, wrong rules.
 * The network of the host is refused. Blocks as endpoint.h does.
 */
#ifndef STILE_POLICY_CNI_H
#define STILE_POLICY_CNI_H

#include "base/buf.h"
#include "policy/cni_conf.h"

/* What is to be written to standard output is appended to out, JSON with a line break. Returns the
 * exit status, 0 or 1. */
int cni_run(const struct cni_env *env, struct slice conf, struct buf *out);

#endif
