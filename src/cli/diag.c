/* stile diag: what doesn't work, why, and what to do. */
#include <stdio.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "diag/report.h"
#include "diag/small_file.h"
#include "platform/secrets.h"

static int no_report(const struct cli *cli, int err)
{
    if (err == ERR_LIMIT)
        return cli_fail_text(cli,
                             "There are more names than can be redacted; try without --redact");
    return cli_fail_text(cli, "Failed to write the report: %s", err_text(err));
}

static int json_text(const struct diagnosis *d, struct redactor *r, struct buf *out)
{
    int err = ERR_NOMEM;
    uint8_t *space = NULL;
    json_t *root = report_json(d, r, true, &err);
    size_t size = root != NULL ? json_dumpb(root, NULL, 0, JSON_INDENT(2)) : 0;
    if (size > 0)
        err = buf_reserve(out, size, &space);
    if (size > 0 && err == 0) {
        buf_commit(out, json_dumpb(root, (char *)space, size, JSON_INDENT(2)));
        err = buf_put_u8(out, '\n');
    }
    json_decref(root);
    return err;
}

static int save(const struct cli *cli, const struct diagnosis *d, struct redactor *r)
{
    CLEANUP(buf_release) struct buf text;
    const char *path = cli_text(cli, "save");
    struct diag problem = {0};
    buf_init(&text, REPORT_TEXT_MAX);
    int err = 0;
    if (cli->json) {
        err = json_text(d, r, &text);
    } else {
        err = report_text(d, r, &text);
        if (err == 0)
            err = buf_put_u8(&text, '\n');
        if (err == 0)
            err = report_facts_text(d, r, &text);
    }
    if (err < 0)
        return no_report(cli, err);
    if (small_file_create(path, buf_slice(&text), &problem) < 0)
        return cli_fail(cli, &problem);
    fprintf(stderr, "Saved to %s%s\n", path,
            r == NULL ? ", with names and addresses: --redact replaces them" : "");
    return CLI_OK;
}

static int show(const struct cli *cli, const struct diagnosis *d, struct redactor *r)
{
    CLEANUP(buf_release) struct buf text;
    int err = 0;
    if (cli->json) {
        json_t *root = report_json(d, r, false, &err);
        return root != NULL ? output_json(cli, root) : no_report(cli, err);
    }
    buf_init(&text, REPORT_TEXT_MAX);
    err = report_text(d, r, &text);
    if (err < 0)
        return no_report(cli, err);
    struct slice all = buf_slice(&text);
    (void)fwrite(all.data, 1, all.len, stdout); /* main looks for failures */
    return CLI_OK;
}

static int show_and_save(const struct cli *cli, const struct diagnosis *d)
{
    struct redactor *r = NULL;
    if (cli_flag(cli, "redact")) {
        int err = redactor_new(&r);
        if (err == 0)
            err = report_prepare_redactor(d, r);
        if (err < 0) {
            redactor_free(r);
            return no_report(cli, err);
        }
    }
    int status = show(cli, d, r);
    if (status == CLI_OK && cli_text(cli, "save") != NULL)
        status = save(cli, d, r);
    redactor_free(r);
    if (status == CLI_OK && diagnosis_count(d, SEVERITY_PROBLEM) > 0)
        status = CLI_FAILED;
    return status;
}

/* For the agent (diag/watcher.h). */
static int report_to(const struct cli *cli, const struct diagnosis *d, int fd)
{
    int err = 0;
    json_t *root = report_json(d, NULL, false, &err);
    if (root == NULL)
        return no_report(cli, err);
    int r = json_dumpfd(root, fd, JSON_COMPACT);
    json_decref(root);
    return r == 0 ? CLI_OK : CLI_FAILED;
}

static int run_diag(struct cli *cli)
{
    struct diagnosis d;
    secrets_guard_process();
    int err = diagnosis_run(cli->home, &d);
    if (err < 0)
        return no_report(cli, err);
    int fd = (int)cli_number(cli, "report-fd", 0);
    int status = fd > 0 ? report_to(cli, &d, fd) : show_and_save(cli, &d);
    diagnosis_release(&d);
    return status;
}

static const struct option options[] = {
    {.name = "save",
     .kind = OPTION_TEXT,
     .value_name = "FILE",
     .help = "Write the report and the facts behind it to a new file, to attach to a bug report"},
    {.name = "redact",
     .kind = OPTION_FLAG,
     .help = "Replace names and addresses, the same one always by the same word"},
    {.name = "report-fd",
     .kind = OPTION_NUMBER,
     .value_name = "FD",
     .help = "Write JSON to this descriptor alone",
     .hidden = true,
     .min = 3,
     .max = 1023},
    {.name = NULL},
};

const struct command command_diag = {
    .name = "diag",
    .group = "Using apps",
    .summary = "Find out what doesn't work, why, and what to do",
    .description =
        "Checks the service, the session's interface and routes, how names are resolved, what else "
        "may be in\nthe way, the gateways and the clock. Changes nothing. The exit status is 1 if "
        "there is a problem.\n\nA running stile up checks the same by itself, at its start and "
        "when "
        "the network changes.",
    .options = options,
    .shows_json = true,
    .run = run_diag,
};
