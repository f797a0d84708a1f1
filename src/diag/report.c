#include "diag/report.h"

#include "base/str.h"

#define WIDTH  98
#define INDENT 11 /* of a finding's text; its severity stands before it */

static int name_zones(struct redactor *r, const struct facts *f)
{
    int err = 0;
    for (size_t s = 0; s < f->session_count; s++)
        for (size_t z = 0; err == 0 && z < f->sessions[s].zone_count; z++)
            err = redact_name(r, f->sessions[s].zones[z]);
    return err;
}

static int name_gateway(struct redactor *r, const struct gateway_facts *g)
{
    int err = redact_name(r, g->profile);
    if (err == 0)
        err = redact_name(r, g->user);
    if (err == 0)
        err = redact_name(r, g->cluster);
    if (err == 0)
        err = redact_name(r, g->gateway_name);
    for (size_t z = 0; err == 0 && z < g->zone_count; z++)
        err = redact_name(r, g->zones[z]);
    return err;
}

int report_prepare_redactor(const struct diagnosis *d, struct redactor *r)
{
    const struct facts *f = &d->facts;
    int err = redact_name(r, f->host.host_name);
    if (err == 0)
        err = redact_name(r, f->host.user);
    if (err == 0)
        err = name_zones(r, f);
    for (size_t i = 0; err == 0 && i < f->gateways.count; i++)
        err = name_gateway(r, &f->gateways.items[i]);
    return err;
}

const char *report_shown(struct redactor *r, const char *text, struct buf *memory)
{
    if (r == NULL)
        return text;
    buf_clear(memory);
    return redact_text(r, slice_str(text), memory) < 0 ? NULL : buf_cstr(memory);
}

static void count_text(size_t count, const char *noun, char *text, size_t size)
{
    (void)str_format(text, size, "%zu %s%s", count, noun, count == 1 ? "" : "s");
}

void report_summary(const struct diagnosis *d, char text[REPORT_SUMMARY_SIZE])
{
    char problems[40] = "No problem found", notices[40] = "";
    size_t notice_count = diagnosis_count(d, SEVERITY_NOTICE);
    size_t problem_count = diagnosis_count(d, SEVERITY_PROBLEM);
    if (problem_count > 0)
        count_text(problem_count, "problem", problems, sizeof(problems));
    if (notice_count > 0)
        count_text(notice_count, "notice", notices, sizeof(notices));
    (void)str_format(text, REPORT_SUMMARY_SIZE, "%s%s%s", problems, notice_count > 0 ? ", " : "",
                     notices);
}

/* ---- text ---- */

/* The first word comes behind what stands on the line; the others wrap to the indent. */
static int put_wrapped(struct buf *out, const char *text)
{
    struct slice left = slice_str(text);
    size_t column = INDENT;
    int err = 0;
    for (bool first = true; err == 0 && left.len > 0; first = false) {
        size_t len = 0;
        while (len < left.len && left.data[len] != ' ')
            len++;
        bool wraps = !first && column + 1 + len > WIDTH;
        if (wraps)
            err = buf_printf(out, "\n%*s", INDENT, "");
        else if (!first)
            err = buf_put_u8(out, ' ');
        column = (wraps ? INDENT : column + !first) + len;
        if (err == 0)
            err = buf_put(out, slice_first(left, len));
        left = slice_from(left, len + 1);
    }
    return err < 0 ? err : buf_put_u8(out, '\n');
}

static int put_line(struct buf *out, const char *mark, struct redactor *r, const char *text)
{
    CLEANUP(buf_release) struct buf memory;
    buf_init(&memory, REPORT_TEXT_MAX);
    if (text[0] == '\0')
        return 0;
    const char *shown = report_shown(r, text, &memory);
    if (shown == NULL)
        return ERR_LIMIT;
    int err = buf_printf(out, "  %-*s", INDENT - 2, mark);
    return err < 0 ? err : put_wrapped(out, shown);
}

static int put_finding(struct buf *out, struct redactor *r, const struct finding *f)
{
    char remedy[FINDING_TEXT_SIZE + 8] = "";
    const char *mark = f->severity == SEVERITY_PROBLEM ? "PROBLEM" : severity_name(f->severity);
    if (f->remedy[0] != '\0')
        (void)str_format(remedy, sizeof(remedy), "-> %s", f->remedy);
    int err = put_line(out, mark, r, f->title);
    if (err == 0)
        err = put_line(out, "", r, f->detail);
    return err < 0 ? err : put_line(out, "", r, remedy);
}

static int put_group(struct buf *out, struct redactor *r, const char *heading,
                     const struct findings *f)
{
    int err = buf_printf(out, "%s\n", heading);
    for (int severity = SEVERITY_PROBLEM; severity >= SEVERITY_OK; severity--)
        for (size_t i = 0; err == 0 && i < f->count; i++)
            if ((int)f->items[i].severity == severity)
                err = put_finding(out, r, &f->items[i]);
    return err < 0 ? err : buf_put_u8(out, '\n');
}

int report_text(const struct diagnosis *d, struct redactor *r, struct buf *out)
{
    char summary[REPORT_SUMMARY_SIZE];
    int err = 0;
    for (int worst = SEVERITY_PROBLEM; worst >= SEVERITY_OK; worst--)
        for (size_t i = 0; err == 0 && i < CHECKS_COUNT; i++)
            if (d->findings[i].count > 0 && (int)findings_worst(&d->findings[i]) == worst)
                err = put_group(out, r, checks[i]->heading, &d->findings[i]);
    report_summary(d, summary);
    return err < 0 ? err : buf_printf(out, "%s.\n", summary);
}
