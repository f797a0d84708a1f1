/* Error codes: every fallible function returns 0 or one of these (all negative).
 *
 * One list gives code, name and text. Operating system codes enter through exactly two translators,
 * err_from_errno and err_from_win32. Where a person will read the failure, a struct diag travels
 * beside the code: what was attempted, the system's own code, and a text that names the remedy.
 */
#ifndef STILE_BASE_ERR_H
#define STILE_BASE_ERR_H

#include "base/compiler.h"

#define ERR_LIST(X)                                                                                \
    X(INTERNAL, -1, "internal error")       /* a broken promise of our own code */                 \
    X(NOMEM, -2, "out of memory")           /* or an allocation over its cap */                    \
    X(INVAL, -3, "invalid argument")        /* the caller's mistake */                             \
    X(FORMAT, -4, "malformed data")         /* a peer's or a file's mistake */                     \
    X(TRUNCATED, -5, "truncated data")      /* more bytes are needed */                            \
    X(TOOBIG, -6, "too large")              /* over a named cap */                                 \
    X(LIMIT, -7, "limit reached")           /* one more than allowed at once */                    \
    X(NOTFOUND, -8, "not found")            /* */                                                  \
    X(EXISTS, -9, "already exists")         /* */                                                  \
    X(AGAIN, -10, "would block")            /* try again when told */                              \
    X(BUSY, -11, "busy")                    /* in use by someone else */                           \
    X(CLOSED, -12, "closed")                /* by the peer, or used after close */                 \
    X(CANCELED, -13, "canceled")            /* by our own side */                                  \
    X(TIMEOUT, -14, "timed out")            /* */                                                  \
    X(REFUSED, -15, "connection refused")   /* nothing listens there */                            \
    X(UNREACHABLE, -16, "unreachable")      /* no route, or no such host */                        \
    X(DENIED, -17, "denied by policy")      /* the far end knows us and says no */                 \
    X(AUTH, -18, "authentication failed")   /* the far end doesn't know us */                      \
    X(EXPIRED, -19, "credentials expired")  /* log in again */                                     \
    X(TLS, -20, "TLS failure")              /* */                                                  \
    X(PROTOCOL, -21, "protocol violation")  /* a peer said what may not be said here */            \
    X(VERSION, -22, "version mismatch")     /* update the older side */                            \
    X(UNSUPPORTED, -23, "not supported")    /* by this system or build */                          \
    X(PERM, -24, "operation not permitted") /* by the operating system */                          \
    X(IO, -25, "input/output error")        /* any other code of the operating system */           \
    X(BLOCKED, -26, "blocked")              /* closed on purpose, until it is opened whole */

enum err {
#define ERR_ENUM(name, code, text) ERR_##name = code,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
        ERR_LAST = ERR_BLOCKED,
};

/* "NOTFOUND" and "not found"; an unknown code gives "UNKNOWN" and "unknown error". Static strings.
 */
const char *err_name(int err);
const char *err_text(int err);

/* The two translators. A zero system code gives ERR_INTERNAL: there was no error to translate. */
int err_from_errno(int os_errno);
int err_from_win32(unsigned long code);

/* A failure told to a person. `text` is one sentence or two: what failed, on what, why, what to do.
 */
struct diag {
    int err;        /* ERR_*, or 0: nothing was set */
    long os_code;   /* errno or Win32 code, 0 if none */
    char text[512]; /* UTF-8, NUL-terminated, no line break at the end */
};

/* Records a failure and returns err, so that callers write `return diag_set(d, ERR_…, 0, "…")`. d
 * may be NULL. A later call overwrites: the outermost layer knows best what was attempted. */
PRINTF_LIKE(4, 5) int diag_set(struct diag *d, int err, long os_code, const char *fmt, ...);

/* diag_set with ERR_NOMEM, and the text that this has where nothing more is to be said. */
int diag_no_memory(struct diag *d);

/* Puts words before the text that is there: "Failed to load profile demo: " + text. Returns d->err.
 */
PRINTF_LIKE(2, 3) int diag_prefix(struct diag *d, const char *fmt, ...);

#endif
