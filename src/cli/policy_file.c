#include "cli/policy_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/policy_problems.h"
#include "policy/l4_json.h"

#define CHUNK 65536

static int read_all(FILE *file, const char *shown, struct buf *text, struct diag *d)
{
    for (;;) {
        uint8_t *space = NULL;
        int r = buf_reserve(text, CHUNK, &space);
        if (r < 0)
            return diag_set(d, r, 0, "%s is over %zu MiB, more than any set of policies needs",
                            shown, L4_JSON_MAX >> 20);
        errno = 0;
        size_t n = fread(space, 1, CHUNK, file);
        buf_commit(text, n);
        if (ferror(file))
            return diag_set(d, err_from_errno(errno != 0 ? errno : EIO), errno,
                            "Failed to read %s: %s", shown, strerror(errno));
        if (n == 0)
            return 0;
    }
}

const char *policy_file_shown(const char *path)
{
    return str_eq(path, "-") ? "standard input" : path;
}

static int read_path(const char *path, struct buf *text, struct diag *d)
{
    if (str_eq(path, "-"))
        return read_all(stdin, policy_file_shown(path), text, d);
    FILE *file = file_open(path, "rb");
    if (file == NULL)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open %s: %s", path,
                        strerror(errno));
    int r = read_all(file, path, text, d);
    (void)fclose(file);
    return r;
}

int policy_file_read_all(const char *path, struct l4_policies *ret, l4_problem_fn *on_problem,
                         void *arg, struct diag *d)
{
    struct buf text;
    buf_init(&text, L4_JSON_MAX + CHUNK); /* the reader itself says when it is too much */
    int r = read_path(path, &text, d);
    if (r == 0) {
        r = l4_json_read_all(buf_slice(&text), ret, on_problem, arg, d);
        if (r < 0)
            r = diag_prefix(d, "%s: ", policy_file_shown(path));
    }
    buf_release(&text);
    return r;
}

int policy_file_read(const struct cli *cli, const char *path, struct l4_policies *ret)
{
    struct policy_problems problems = {.cli = cli, .file = policy_file_shown(path)};
    struct l4_policies l;
    struct diag d = {0};
    if (policy_file_read_all(path, &l, policy_problems_tell, &problems, &d) < 0)
        return cli_fail(cli, &d);
    (void)policy_problems_more(&problems);
    if (problems.count > 0) {
        l4_policies_release(&l);
        return CLI_FAILED;
    }
    *ret = l;
    return CLI_OK;
}
