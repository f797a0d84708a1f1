/* Text from a file or a stranger, made fit for a message. Pure. */
#ifndef STILE_POLICY_SHOWN_H
#define STILE_POLICY_SHOWN_H

#include "base/compiler.h"

struct shown {
    char text[68];
};

/* Printable ASCII alone, and short: what isn't that becomes '?'; what is over 64 bytes is cut, with
 * "..." at its end. */
struct shown shown(const char *s);

/* For a message that is whole already: in place, each byte becomes '?' that is of no UTF-8
 * character or of one that ends a line or controls a terminal (C0, DEL, C1, U+2028, U+2029). */
void shown_line(char *text);

#endif
