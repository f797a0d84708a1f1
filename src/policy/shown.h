/* Text from a file or a stranger, made fit for a message: printable ASCII alone, and short. Pure. */
#ifndef STILE_POLICY_SHOWN_H
#define STILE_POLICY_SHOWN_H

#include "base/compiler.h"

struct shown {
    char text[68];
};

/* What isn't printable ASCII becomes '?'; what is over 64 bytes is cut, with "..." at its end. */
struct shown shown(const char *s);

#endif
