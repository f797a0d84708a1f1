#include "gateway/password.h"

#include <argon2.h>

#include "base/random.h"

/* RFC 9106 §4, second recommended option, with one lane: the pool has other work. */
#define PASSES     3
#define MEMORY_KIB 65536
#define LANES      1
#define SALT_LEN   16
#define HASH_LEN   32

#define TEXT_OF(x)  #x
#define VALUE_OF(x) TEXT_OF(x)

/* Salt and tag are all zeros: nobody can find a password for it. */
const char password_nobody[STATE_HASH_SIZE] =
    "$argon2id$v=19$m=" VALUE_OF(MEMORY_KIB) ",t=" VALUE_OF(PASSES) ",p=" VALUE_OF(
        LANES) "$"
               "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

int password_check_rules(struct slice password, struct diag *d)
{
    if (password.len < PASSWORD_MIN)
        return diag_set(d, ERR_INVAL, 0, "The password is too short; use at least %d characters",
                        PASSWORD_MIN);
    if (password.len > PASSWORD_MAX)
        return diag_set(d, ERR_INVAL, 0, "The password is too long; use at most %d bytes",
                        PASSWORD_MAX);
    for (size_t i = 0; i < password.len; i++) {
        if (password.data[i] < 0x20 || password.data[i] == 0x7f)
            return diag_set(
                d, ERR_INVAL, 0,
                "The password has a control character or line break; use one line of text");
    }
    return 0;
}

static int err_from_argon2(int code)
{
    switch (code) {
    case ARGON2_OK:
        return 0;
    case ARGON2_VERIFY_MISMATCH:
        return ERR_AUTH;
    case ARGON2_MEMORY_ALLOCATION_ERROR:
        return ERR_NOMEM;
    default:
        return ERR_FORMAT;
    }
}

int password_hash(struct slice password, char hash[STATE_HASH_SIZE])
{
    uint8_t salt[SALT_LEN];
    random_bytes(salt, sizeof(salt));
    return err_from_argon2(argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password.data,
                                                 password.len, salt, sizeof(salt), HASH_LEN, hash,
                                                 STATE_HASH_SIZE));
}

int password_verify(struct slice password, const char *hash)
{
    return err_from_argon2(argon2id_verify(hash, password.data, password.len));
}
