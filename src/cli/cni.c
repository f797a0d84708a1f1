#include "cli/cni.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "policy/cni.h"

#define CHUNK 65536

/* All of standard input; one byte more than may be is read, so that it is refused and not cut. */
static int read_input(struct buf *b)
{
    for (;;) {
        uint8_t *space = NULL;
        if (buf_len(b) > CNI_STDIN_MAX)
            return 0;
        int r = buf_reserve(b, CHUNK, &space);
        if (r < 0)
            return r;
        ssize_t n = read(0, space, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_from_errno(errno) : 0;
        buf_commit(b, (size_t)n);
    }
}

static void tell_a_person(void)
{
    fputs("stile-cni: a CNI plugin, which container runtimes start; see stile-cni(8).\n"
          "CNI versions:",
          stderr);
    for (size_t i = 0; i < cni_version_count; i++)
        fprintf(stderr, " %s", cni_versions[i]);
    fputc('\n', stderr);
}

int cni_main(int argc, char **argv)
{
    struct buf in, out;
    (void)argv;
    const struct cni_env env = {
        .command = getenv("CNI_COMMAND"),
        .container_id = getenv("CNI_CONTAINERID"),
        .netns = getenv("CNI_NETNS"),
        .ifname = getenv("CNI_IFNAME"),
        .args = getenv("CNI_ARGS"),
    };
    if (env.command == NULL && (argc > 1 || isatty(0))) {
        tell_a_person();
        return 1;
    }
    buf_init(&in, CNI_STDIN_MAX + 2 * (size_t)CHUNK);
    buf_init(&out, CNI_STDIN_MAX * 4);
    int r = read_input(&in);
    if (r < 0)
        fprintf(stderr, "stile-cni: Failed to read standard input: %s\n", err_text(r));
    int status = cni_run(&env, r == 0 ? buf_slice(&in) : (struct slice){0}, &out);
    struct slice text = buf_slice(&out);
    if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
        status = 1; /* nobody has been told, so nobody may take it for done */
    buf_release(&in);
    buf_release(&out);
    return status;
}
