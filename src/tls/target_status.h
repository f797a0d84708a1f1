/* The one message of ALPN "stile-tcp", gateway → client, sent after the gateway's own connect and before the app's bytes.
 *
 * With TLS 1.3 a client's handshake succeeds before the server has judged the client: this says that the far end answered.
 * Exactly 128 bytes: u8 version (1); u8 code; u8 text length (≤ 120); 5 zero bytes; text, NUL padded to 120. The text is
 * printable UTF-8 (no control characters) and may be shown to a person.
 */
#ifndef STILE_TLS_TARGET_STATUS_H
#define STILE_TLS_TARGET_STATUS_H

#include "base/slice.h"

#define TARGET_ALPN             "stile-tcp"
#define TARGET_STATUS_LEN       128
#define TARGET_STATUS_TEXT_SIZE 121 /* with the NUL */

enum target_code {
    TARGET_OK,
    TARGET_DENIED,      /* authorisation */
    TARGET_REFUSED,     /* nothing listens there */
    TARGET_UNREACHABLE, /* no route, no such host, or no answer */
    TARGET_FAILED,      /* anything else */
    TARGET_CODE_COUNT,
};

struct target_status {
    enum target_code code;
    char text[TARGET_STATUS_TEXT_SIZE]; /* "" is fine */
};

const char *target_code_name(enum target_code code); /* "ok", "denied"… */
int target_code_to_err(
    enum target_code code); /* 0, ERR_DENIED, ERR_REFUSED, ERR_UNREACHABLE, ERR_IO */
enum target_code target_code_from_err(int err);

/* text is cut at a character's border if it is too long, and unprintable bytes become '?'. */
void target_status_set(struct target_status *st, enum target_code code, const char *text);
void target_status_encode(const struct target_status *st, uint8_t message[TARGET_STATUS_LEN]);
/* ERR_TRUNCATED, ERR_FORMAT (another length, padding, code or text that may not be), ERR_VERSION. */
MUST_CHECK int target_status_decode(struct slice message, struct target_status *ret);

#endif
