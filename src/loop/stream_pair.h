/* Two streams joined in memory: what is written to one is read from the other. For tests, and for joining layers inside
 * one thread. Back-pressure is real: a side takes at most `window` bytes before its writer queues. */
#ifndef STILE_LOOP_STREAM_PAIR_H
#define STILE_LOOP_STREAM_PAIR_H

#include "loop/stream.h"

MUST_CHECK int stream_pair_new(struct loop *loop, size_t window, struct stream **ret_a,
                               struct stream **ret_b);
/* Tests: at most this many bytes per on_data on this side (1: byte by byte); 0 no limit. */
void stream_pair_set_chunk(struct stream *side, size_t bytes);

#endif
