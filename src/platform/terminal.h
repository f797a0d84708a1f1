/* The person at the terminal, whatever standard input is connected to. */
#ifndef STILE_PLATFORM_TERMINAL_H
#define STILE_PLATFORM_TERMINAL_H

#include "base/err.h"

/* Shows the prompt and reads a line without showing it. ERR_NOTFOUND: there is no terminal. ERR_CANCELED: the person gave up
 * (Ctrl-C, Ctrl-D). ERR_TOOBIG. The terminal is as before afterwards. Wipe the text when it was used. Blocks. */
int terminal_read_secret(const char *prompt, char *text, size_t size);

#endif
