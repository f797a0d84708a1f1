#include "cli/policy_change.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/policy_options.h"
#include "policy/l4_check.h"
#include "policy/l4_index.h"

void policy_change_count(size_t n, char text[POLICY_COUNT_SIZE])
{
    (void)str_format(text, POLICY_COUNT_SIZE, "%zu %s", n, n == 1 ? "policy" : "policies");
}

/* Each line of text, without its end, as a string. */
static json_t *lines_json(const char *text)
{
    json_t *list = json_array();
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        if (len > 0)
            (void)json_array_append_new(list, json_stringn_nocheck(text, len));
        text += len + (text[len] != '\0');
    }
    return list;
}

static int show_json(const struct cli *cli, const char *endpoint, struct endpoint_change *c,
                     const char *notes)
{
    json_t *o = json_pack("{s:s, s:b, s:I, s:I, s:I, s:b, s:b, s:o}", "endpoint", endpoint,
                          "dry_run", (int)c->dry_run, "added", (json_int_t)c->added, "removed",
                          (json_int_t)c->removed, "unchanged", (json_int_t)c->unchanged, "drifted",
                          (int)c->drifted, "blocked", (int)c->blocked, "notes", lines_json(notes));
    struct slice sent = buf_slice(&c->sent);
    if (o != NULL && c->dry_run && sent.len == 0)
        (void)json_object_set_new(o, "sent", json_string(""));
    else if (o != NULL && c->dry_run)
        (void)json_object_set_new(o, "sent", json_stringn((const char *)sent.data, sent.len));
    return output_json(cli, o);
}

/* Exactly what would be sent on standard output, all else on standard error. */
static void show_dry(const struct policy_change *change, size_t given,
                     const struct endpoint_change *c, const char *notes)
{
    struct slice sent = buf_slice(&c->sent);
    change->tell(stderr, c, given);
    fputs(notes, stderr);
    if (sent.len == 0)
        return;
    (void)fwrite(sent.data, 1, sent.len, stdout);
    if (sent.data[sent.len - 1] != '\n')
        putchar('\n');
}

/* Whoever hears of a failure must not think that nothing was changed. */
static int check_report(const struct cli *cli, int status)
{
    if (status == CLI_OK && !ferror(stdout) && fflush(stdout) == 0)
        return CLI_OK;
    return cli_fail_text(cli, "The change was made, but the report of it can't be written");
}

int policy_change_show(const struct cli *cli, const struct policy_change *change,
                       const char *endpoint, size_t given, struct endpoint_change *c)
{
    char *notes = buf_steal_cstr(&c->notes);
    int status = CLI_OK;
    if (notes == NULL)
        return cli_fail_text(cli, "Out of memory");
    output_tame(notes, true);
    if (cli->json) {
        status = show_json(cli, endpoint, c, notes);
    } else if (c->dry_run) {
        show_dry(change, given, c, notes);
    } else {
        change->tell(stdout, c, given);
        fputs(notes, stdout);
    }
    mem_free(notes);
    return c->dry_run ? status : check_report(cli, status);
}

static void tell_waiting(void *arg, const char *text)
{
    const struct cli *cli = arg;
    cli_note(cli, "%s", text);
}

int policy_change_run(const struct cli *cli, const struct policy_change *change, struct endpoint *e,
                      const struct l4_policies *policies)
{
    struct endpoint_change c;
    struct diag d = {0};
    endpoint_change_init(&c);
    c.dry_run = cli_flag(cli, "dry-run");
    c.waiting = (struct endpoint_waiting){tell_waiting, (void *)(uintptr_t)cli}; /* read alone */
    int status = change->make(e, policies, &c, &d) < 0
                     ? cli_fail(cli, &d)
                     : policy_change_show(cli, change, endpoint_name(e),
                                          policies != NULL ? policies->count : 0, &c);
    endpoint_change_release(&c);
    return status;
}

/* Those that aren't there are added. */
static int merge(struct l4_policies *l, const struct l4_policies *more)
{
    struct l4_index known;
    size_t at = 0;
    int r = 0;
    l4_index_init(&known, l);
    for (size_t i = 0; r == 0 && i < more->count; i++) {
        l4_index_extend(&known, l->count);
        if (!l4_index_find(&known, &more->items[i], &at))
            r = l4_policies_add(l, &more->items[i]);
    }
    return r;
}

/* What fails here the change itself tells. HNS has one policy: there are no others that it could stand behind. */
static void note_doubts(const struct cli *cli, const struct policy_change *change,
                        struct endpoint *e, const struct l4_policies *given)
{
    struct l4_policies whole;
    l4_policies_init(&whole);
    int r = change->adds && l4_system_here() == L4_LINUX ? endpoint_list(e, &whole, NULL) : 0;
    if (r == 0)
        r = merge(&whole, given);
    if (r == 0) {
        l4_policies_sort(&whole);
        policy_options_note(cli, endpoint_name(e), &whole);
    }
    l4_policies_release(&whole);
}

static int change_once(const struct cli *cli, const struct policy_change *change,
                       const struct l4_policies *given)
{
    int status = CLI_OK;
    struct l4_policies once;
    CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
    if (e == NULL)
        return status;
    l4_policies_init(&once);
    if (merge(&once, given) < 0) {
        status = cli_fail_text(cli, "Out of memory");
    } else {
        note_doubts(cli, change, e, &once);
        status = policy_change_run(cli, change, e, &once);
    }
    l4_policies_release(&once);
    return status;
}

int policy_change_given(const struct cli *cli, const struct policy_change *change)
{
    struct l4_policies given;
    int status = policy_options_gather(cli, &given);
    if (status != CLI_OK)
        return status;
    status = given.count == 0 && cli_text(cli, "file") == NULL ? cli_usage(cli, POLICY_NONE_GIVEN)
                                                               : change_once(cli, change, &given);
    l4_policies_release(&given);
    return status;
}
