/* One run of nft(8), in a network namespace or in the caller's.
 *
 * Theory of operation. The caller must not enter the namespace, and is a program that we know
 * nothing of: it may have threads, handlers, SIGCHLD ignored, or wait for any child. So an unseen
 * child (unseen.h) enters the namespace, starts nft, waits for it and tells how it ended. nft has
 * no environment, no descriptor but 0, 1 and 2, and an alarm that ends it in time. Its input is a
 * file in memory: it can't block.
 *
 * When the caller dies meanwhile, the child stays until nft has ended, and with it the lock: no
 * other writer comes between. What nft changes is one transaction, so what is there afterwards is
 * what was there before, or all that was asked for.
 */
#ifndef STILE_POLICY_NFT_PROCESS_H
#define STILE_POLICY_NFT_PROCESS_H

#include "base/buf.h"
#include "base/err.h"

#define NFT_PROCESS_TIMEOUT_S 30

struct nft_process {
    int netns_fd;            /* -1: the caller's */
    int lock_fd;             /* kept open until nft has ended; -1: none */
    const char *const *args; /* from argv[0] to NULL */
    struct slice input;
    struct buf *output; /* NULL: dropped */
    char errors[1024];  /* the beginning of what it wrote to standard error */
    int exit;           /* its exit code */
};

/* Where nft is; NULL: nowhere. Static. */
const char *nft_process_path(void);
/* Blocks until nft has ended. ERR_NOTFOUND: there is no nft, with the remedy. ERR_PERM: the
 * namespace can't be entered. ERR_TIMEOUT: it was ended. ERR_TOOBIG: it wrote more than output's
 * cap, or the memory wasn't enough for what it was to write. ERR_NOMEM. */
int nft_process_run(struct nft_process *p, struct diag *d);

#endif
