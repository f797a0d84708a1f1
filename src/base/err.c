#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name;
    const char *text;
};

/* Indexed by the negated code; row 0 is what has no name. */
static const struct err_row rows[] = {{"UNKNOWN", "unknown error"},
#define ERR_ROW(name, code, text) [-(code)] = {#name, text},
                                      ERR_LIST(ERR_ROW)
#undef ERR_ROW
};
_Static_assert(ARRAY_LEN(rows) == 1 - ERR_LAST,
               "ERR_LIST has no gaps and ERR_LAST is its last code");

static const struct err_row *row_of(int err)
{
    if (err >= 0 || err < ERR_LAST)
        return &rows[0];
    return &rows[-err];
}

const char *err_name(int err)
{
    return row_of(err)->name;
}

const char *err_text(int err)
{
    return row_of(err)->text;
}

struct translation {
    unsigned long os_code;
    int err;
};

static int translate(const struct translation *table, size_t n, unsigned long os_code)
{
    if (os_code == 0)
        return ERR_INTERNAL;
    for (size_t i = 0; i < n; i++) {
        if (table[i].os_code == os_code)
            return table[i].err;
    }
    return ERR_IO;
}

/* EWOULDBLOCK and EOPNOTSUPP have rows of their own where they differ from EAGAIN and ENOTSUP;
 * elsewhere the first wins. */
static const struct translation from_errno[] = {
    {ENOMEM, ERR_NOMEM},
    {EINVAL, ERR_INVAL},
    {EBADF, ERR_INVAL},
    {EDOM, ERR_INVAL},
    {EILSEQ, ERR_FORMAT},
    {EMSGSIZE, ERR_TOOBIG},
    {ERANGE, ERR_TOOBIG},
    {EFBIG, ERR_TOOBIG},
    {ENAMETOOLONG, ERR_TOOBIG},
    {E2BIG, ERR_TOOBIG},
    {EMFILE, ERR_LIMIT},
    {ENFILE, ERR_LIMIT},
    {ENOBUFS, ERR_LIMIT},
    {ENOENT, ERR_NOTFOUND},
    {ESRCH, ERR_NOTFOUND},
    {ENODEV, ERR_NOTFOUND},
    {ENXIO, ERR_NOTFOUND},
    {ENOTDIR, ERR_NOTFOUND},
    {EADDRNOTAVAIL, ERR_NOTFOUND},
    {EEXIST, ERR_EXISTS},
    {EAGAIN, ERR_AGAIN},
    {EWOULDBLOCK, ERR_AGAIN},
    {EINTR, ERR_AGAIN},
    {EINPROGRESS, ERR_AGAIN},
    {EALREADY, ERR_AGAIN},
    {EBUSY, ERR_BUSY},
    {EADDRINUSE, ERR_BUSY},
    {EPIPE, ERR_CLOSED},
    {ECONNRESET, ERR_CLOSED},
    {ECONNABORTED, ERR_CLOSED},
    {ENOTCONN, ERR_CLOSED},
    {ECANCELED, ERR_CANCELED},
    {ETIMEDOUT, ERR_TIMEOUT},
    {ECONNREFUSED, ERR_REFUSED},
    {EHOSTUNREACH, ERR_UNREACHABLE},
    {ENETUNREACH, ERR_UNREACHABLE},
    {ENETDOWN, ERR_UNREACHABLE},
    {ENOSYS, ERR_UNSUPPORTED},
    {ENOTSUP, ERR_UNSUPPORTED},
    {EOPNOTSUPP, ERR_UNSUPPORTED},
    {EAFNOSUPPORT, ERR_UNSUPPORTED},
    {EPROTONOSUPPORT, ERR_UNSUPPORTED},
    {ENOTTY, ERR_UNSUPPORTED},
    {EPROTO, ERR_PROTOCOL},
    {EPERM, ERR_PERM},
    {EACCES, ERR_PERM},
    {EROFS, ERR_PERM},
};

int err_from_errno(int os_errno)
{
    if (os_errno < 0)
        return ERR_IO;
    return translate(from_errno, ARRAY_LEN(from_errno), (unsigned long)os_errno);
}

/* The numbers of winerror.h, written out so that the table is tested on every system. */
static const struct translation from_win32[] = {
    {8, ERR_NOMEM},           /* ERROR_NOT_ENOUGH_MEMORY */
    {14, ERR_NOMEM},          /* ERROR_OUTOFMEMORY */
    {6, ERR_INVAL},           /* ERROR_INVALID_HANDLE */
    {87, ERR_INVAL},          /* ERROR_INVALID_PARAMETER */
    {10022, ERR_INVAL},       /* WSAEINVAL */
    {10038, ERR_INVAL},       /* WSAENOTSOCK */
    {13, ERR_FORMAT},         /* ERROR_INVALID_DATA */
    {1113, ERR_FORMAT},       /* ERROR_NO_UNICODE_TRANSLATION */
    {38, ERR_TRUNCATED},      /* ERROR_HANDLE_EOF */
    {24, ERR_TOOBIG},         /* ERROR_BAD_LENGTH */
    {111, ERR_TOOBIG},        /* ERROR_BUFFER_OVERFLOW */
    {122, ERR_TOOBIG},        /* ERROR_INSUFFICIENT_BUFFER */
    {206, ERR_TOOBIG},        /* ERROR_FILENAME_EXCED_RANGE */
    {234, ERR_TOOBIG},        /* ERROR_MORE_DATA */
    {10040, ERR_TOOBIG},      /* WSAEMSGSIZE */
    {4, ERR_LIMIT},           /* ERROR_TOO_MANY_OPEN_FILES */
    {1450, ERR_LIMIT},        /* ERROR_NO_SYSTEM_RESOURCES */
    {10024, ERR_LIMIT},       /* WSAEMFILE */
    {10055, ERR_LIMIT},       /* WSAENOBUFS */
    {2, ERR_NOTFOUND},        /* ERROR_FILE_NOT_FOUND */
    {3, ERR_NOTFOUND},        /* ERROR_PATH_NOT_FOUND */
    {1060, ERR_NOTFOUND},     /* ERROR_SERVICE_DOES_NOT_EXIST */
    {1168, ERR_NOTFOUND},     /* ERROR_NOT_FOUND */
    {10049, ERR_NOTFOUND},    /* WSAEADDRNOTAVAIL */
    {80, ERR_EXISTS},         /* ERROR_FILE_EXISTS */
    {183, ERR_EXISTS},        /* ERROR_ALREADY_EXISTS */
    {1056, ERR_EXISTS},       /* ERROR_SERVICE_ALREADY_RUNNING */
    {1073, ERR_EXISTS},       /* ERROR_SERVICE_EXISTS */
    {5010, ERR_EXISTS},       /* ERROR_OBJECT_ALREADY_EXISTS */
    {259, ERR_AGAIN},         /* ERROR_NO_MORE_ITEMS: nothing to read now */
    {536, ERR_AGAIN},         /* ERROR_PIPE_LISTENING */
    {996, ERR_AGAIN},         /* ERROR_IO_INCOMPLETE */
    {997, ERR_AGAIN},         /* ERROR_IO_PENDING */
    {10004, ERR_AGAIN},       /* WSAEINTR */
    {10035, ERR_AGAIN},       /* WSAEWOULDBLOCK */
    {10036, ERR_AGAIN},       /* WSAEINPROGRESS */
    {32, ERR_BUSY},           /* ERROR_SHARING_VIOLATION */
    {33, ERR_BUSY},           /* ERROR_LOCK_VIOLATION */
    {170, ERR_BUSY},          /* ERROR_BUSY */
    {231, ERR_BUSY},          /* ERROR_PIPE_BUSY */
    {10048, ERR_BUSY},        /* WSAEADDRINUSE */
    {109, ERR_CLOSED},        /* ERROR_BROKEN_PIPE */
    {232, ERR_CLOSED},        /* ERROR_NO_DATA: the pipe is being closed */
    {233, ERR_CLOSED},        /* ERROR_PIPE_NOT_CONNECTED */
    {10053, ERR_CLOSED},      /* WSAECONNABORTED */
    {10054, ERR_CLOSED},      /* WSAECONNRESET */
    {10057, ERR_CLOSED},      /* WSAENOTCONN */
    {995, ERR_CANCELED},      /* ERROR_OPERATION_ABORTED */
    {1223, ERR_CANCELED},     /* ERROR_CANCELLED */
    {121, ERR_TIMEOUT},       /* ERROR_SEM_TIMEOUT */
    {258, ERR_TIMEOUT},       /* WAIT_TIMEOUT */
    {1053, ERR_TIMEOUT},      /* ERROR_SERVICE_REQUEST_TIMEOUT */
    {1460, ERR_TIMEOUT},      /* ERROR_TIMEOUT */
    {10060, ERR_TIMEOUT},     /* WSAETIMEDOUT */
    {1225, ERR_REFUSED},      /* ERROR_CONNECTION_REFUSED */
    {10061, ERR_REFUSED},     /* WSAECONNREFUSED */
    {1231, ERR_UNREACHABLE},  /* ERROR_NETWORK_UNREACHABLE */
    {1232, ERR_UNREACHABLE},  /* ERROR_HOST_UNREACHABLE */
    {10050, ERR_UNREACHABLE}, /* WSAENETDOWN */
    {10051, ERR_UNREACHABLE}, /* WSAENETUNREACH */
    {10065, ERR_UNREACHABLE}, /* WSAEHOSTUNREACH */
    {11001, ERR_UNREACHABLE}, /* WSAHOST_NOT_FOUND */
    {1, ERR_UNSUPPORTED},     /* ERROR_INVALID_FUNCTION */
    {50, ERR_UNSUPPORTED},    /* ERROR_NOT_SUPPORTED */
    {120, ERR_UNSUPPORTED},   /* ERROR_CALL_NOT_IMPLEMENTED */
    {127, ERR_UNSUPPORTED},   /* ERROR_PROC_NOT_FOUND */
    {10045, ERR_UNSUPPORTED}, /* WSAEOPNOTSUPP */
    {10047, ERR_UNSUPPORTED}, /* WSAEAFNOSUPPORT */
    {5, ERR_PERM},            /* ERROR_ACCESS_DENIED */
    {740, ERR_PERM},          /* ERROR_ELEVATION_REQUIRED */
    {1314, ERR_PERM},         /* ERROR_PRIVILEGE_NOT_HELD */
    {10013, ERR_PERM},        /* WSAEACCES */
};

int err_from_win32(unsigned long code)
{
    return translate(from_win32, ARRAY_LEN(from_win32), code);
}

/* Where a text cut at `len` bytes has to end so that no UTF-8 sequence is cut in two. */
static size_t whole_utf8(const char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((uint8_t)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return len;
    uint8_t lead = (uint8_t)text[start - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return len - (start - 1) < want ? start - 1 : len;
}

/* Copies the text in, cut to fit, without line breaks at its end. */
static void store_text(struct diag *d, const char *text, size_t len)
{
    if (len >= sizeof(d->text))
        len = whole_utf8(text, sizeof(d->text) - 1);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    memcpy(d->text, text, len);
    d->text[len] = '\0';
}

int diag_set(struct diag *d, int err, long os_code, const char *fmt, ...)
{
    if (d == NULL)
        return err;
    char text[sizeof(d->text) +
              1]; /* apart from d->text, which may be an argument; one longer, to see the cut */
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    d->err = err;
    d->os_code = os_code;
    store_text(d, text, n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 1));
    return err;
}

int diag_no_memory(struct diag *d)
{
    return diag_set(d, ERR_NOMEM, 0, "Out of memory");
}

int diag_prefix(struct diag *d, const char *fmt, ...)
{
    if (d == NULL)
        return 0;
    char text[2 * sizeof(d->text)];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(d->text), fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof(d->text) - 1);
    size_t old = strlen(d->text);
    memcpy(text + len, d->text, old);
    store_text(d, text, len + old);
    return d->err;
}
