/* What was handed out: remembers messages by their digest, to know them again unaltered. Bounded: the oldest go. */
#ifndef STILE_AGENT_GIVEN_H
#define STILE_AGENT_GIVEN_H

#include <protobuf-c/protobuf-c.h>

#include "base/table.h"

#define GIVEN_MAX    8192
#define GIVEN_DIGEST 32

struct given {
    struct table table;
    uint8_t (*digests)[GIVEN_DIGEST]; /* ring of GIVEN_MAX */
    size_t count;
    size_t next;
};

int given_init(struct given *g); /* ERR_NOMEM */
void given_release(struct given *g);
int given_add(struct given *g, const ProtobufCMessage *message); /* again: nothing */
bool given_has(const struct given *g, const ProtobufCMessage *message);

#endif
