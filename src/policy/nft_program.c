#include "policy/nft_program.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "policy/nft_process.h"
#include "policy/nft_rules.h"
#include "policy/nft_table.h"

enum { VERSION_OUTPUT_MAX = 256, WORDS_SIZE = 256 };

/* nft's words about what failed: the first line that has any, without where in our document it
 * was. */
static void words_of(const struct nft_process *p, char ret[WORDS_SIZE])
{
    static const char error[] = "Error: ";
    const char *at = strstr(p->errors, error);
    const char *from = at != NULL ? at + strlen(error) : p->errors;
    size_t len = MIN(strcspn(from, "\n"), (size_t)WORDS_SIZE - 1);

    for (size_t i = 0; i < len; i++)
        ret[i] = from[i] >= ' ' && from[i] < 0x7f ? from[i] : '?';
    ret[len] = '\0';
    if (len == 0)
        (void)str_format(ret, WORDS_SIZE, "nft ended with code %d and no word", p->exit);
}

static bool says(const struct nft_process *p, int code)
{
    return strstr(p->errors, strerrordesc_np(code)) !=
           NULL; /* without an environment nft speaks English */
}

static int explain(const struct nft_process *p, const char *verb, struct diag *d)
{
    char words[WORDS_SIZE];

    words_of(p, words);
    if (says(p, EPERM))
        return diag_set(
            d, ERR_PERM, EPERM,
            "Not permitted to %s nftables rules in the network namespace: it needs root "
            "(CAP_NET_ADMIN there), and no program there that owns the table. nft says: %s",
            verb, words);
    if (says(p, EMSGSIZE) || says(p, ENOBUFS))
        return diag_set(d, ERR_LIMIT, EMSGSIZE,
                        "The policies are too many for one transaction of this user: as root, or "
                        "raise net.core.wmem_max. nft says: %s",
                        words);
    if (says(p, ENOENT) || says(p, EOPNOTSUPP) || says(p, EPROTONOSUPPORT) || says(p, EAFNOSUPPORT))
        return diag_set(
            d, ERR_UNSUPPORTED, EOPNOTSUPP,
            "This kernel lacks something that policies need (modules nf_tables, nft_nat, "
            "nft_redir, nft_tproxy, nft_socket, nft_fib_inet, nft_reject_inet, nft_ct: "
            "load them with modprobe on the host). nft says: %s",
            words);
    return diag_set(d, ERR_IO, 0, "Failed to %s nftables rules: nft says: %s", verb, words);
}

int nft_run(int netns_fd, int lock_fd, struct slice document, struct diag *d)
{
    static const char *const args[] = {"nft", "-f", "-", NULL};
    struct nft_process p = {
        .netns_fd = netns_fd, .lock_fd = lock_fd, .args = args, .input = document};

    int err = nft_process_run(&p, d);
    if (err < 0)
        return err;
    return p.exit == 0 ? 0 : explain(&p, "change", d);
}

int nft_list(int netns_fd, const char *table, struct buf *ret, struct diag *d)
{
    const char *const args[] = {"nft", "list", "table", NFT_FAMILY, table, NULL};
    struct nft_process p = {.netns_fd = netns_fd, .lock_fd = -1, .args = args, .output = ret};

    buf_clear(ret);
    if (netns_fd >= 0 && nft_table_is_missing(netns_fd, table))
        return 0;
    int err = nft_process_run(&p, d);
    if (err < 0)
        return err;
    if (p.exit == 0)
        return 0;
    buf_clear(ret);
    if (says(&p, ENOENT) && !says(&p, EPERM))
        return 0; /* no such table */
    return explain(&p, "list", d);
}

static int no_version(struct diag *d)
{
    return diag_set(d, ERR_VERSION, 0,
                    "nft does not tell its version; policies need nftables " NFT_VERSION_MIN
                    " or newer");
}

/* "nftables v1.0.6 (Lester Gooch #5)" */
int nft_version(char ret[NFT_VERSION_SIZE], struct diag *d)
{
    static const char *const args[] = {"nft", "--version", NULL};
    CLEANUP(buf_release) struct buf text;
    struct nft_process p = {.netns_fd = -1, .lock_fd = -1, .args = args, .output = &text};

    buf_init(&text, VERSION_OUTPUT_MAX);
    int err = nft_process_run(&p, d);
    if (err == ERR_TOOBIG)
        return no_version(d);
    if (err < 0)
        return err;
    const char *all = buf_cstr(&text);
    if (all == NULL)
        return diag_no_memory(d);
    const char *v = strchr(all, 'v');
    size_t len = v != NULL ? strspn(v + 1, "0123456789.") : 0;
    if (p.exit != 0 || len == 0 || len >= NFT_VERSION_SIZE)
        return no_version(d);
    return str_copy_slice(ret, NFT_VERSION_SIZE, slice_of(v + 1, len));
}

/* Reads "12." or "12"; 0 when there is none. */
static uint64_t next_number(const char **at)
{
    uint64_t n = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        n = n < UINT32_MAX ? n * 10 + (uint64_t)(**at - '0') : n;
    if (**at == '.')
        (*at)++;
    return n;
}

static bool is_older(const char *version, const char *than)
{
    for (int i = 0; i < 4; i++) {
        uint64_t a = next_number(&version);
        uint64_t b = next_number(&than);
        if (a != b)
            return a < b;
    }
    return false;
}

/* ---- The program that is known to be new enough ---- */

/* Every other program differs in one of these, and so does one that was written anew in its
 * place. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static struct identity known; /* all 0: none */

static struct identity identity_now(void)
{
    const char *path = nft_process_path();
    struct stat st;

    if (path == NULL || stat(path, &st) < 0)
        return (struct identity){0};
    return (struct identity){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A child that was forked while another thread had the lock will never get it: nobody waits for it,
 * and nft is asked anew instead. */
static bool is_known(const struct identity *i)
{
    if (pthread_mutex_trylock(&known_lock) != 0)
        return false;
    bool same = i->inode != 0 && i->inode == known.inode && i->device == known.device &&
                i->size == known.size && same_time(i->modified, known.modified) &&
                same_time(i->changed, known.changed);
    (void)pthread_mutex_unlock(&known_lock);
    return same;
}

static void remember(const struct identity *i)
{
    if (pthread_mutex_trylock(&known_lock) != 0)
        return;
    known = *i;
    (void)pthread_mutex_unlock(&known_lock);
}

int nft_check(struct diag *d)
{
    const struct identity program = identity_now(); /* before it is asked */
    char version[NFT_VERSION_SIZE] = "";

    if (is_known(&program))
        return 0;

    int err = nft_version(version, d);
    if (err < 0)
        return err;
    if (is_older(version, NFT_VERSION_MIN))
        return diag_set(d, ERR_VERSION, 0,
                        "nft is of nftables %s; policies need " NFT_VERSION_MIN
                        " or newer: update nftables",
                        version);
    remember(&program);
    return 0;
}
