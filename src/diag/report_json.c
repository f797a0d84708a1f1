/* A report as JSON: a list of checks, each with its findings. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "diag/report.h"

/* Each text goes through here. NULL becomes a missing member, and sets err. */
struct writer {
    struct redactor *redactor;
    struct buf memory;
    int err;
};

static json_t *text_json(struct writer *w, const char *text)
{
    const char *shown = report_shown(w->redactor, text, &w->memory);
    json_t *value = shown != NULL ? json_string(shown) : NULL;
    if (value == NULL)
        w->err = ERR_LIMIT;
    return value;
}

static json_t *finding_json(struct writer *w, const struct finding *f)
{
    return json_pack("{s:s, s:o*, s:s, s:o*, s:o*, s:o*}", "id", f->id, "subject",
                     text_json(w, f->subject), "severity", severity_name(f->severity), "title",
                     text_json(w, f->title), "detail", text_json(w, f->detail), "remedy",
                     text_json(w, f->remedy));
}

static json_t *checks_json(struct writer *w, const struct diagnosis *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < CHECKS_COUNT; i++) {
        json_t *findings = json_array();
        for (size_t j = 0; j < d->findings[i].count; j++)
            json_array_append_new(findings, finding_json(w, &d->findings[i].items[j]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "id", checks[i]->id, "heading",
                                              checks[i]->heading, "findings", findings));
    }
    return list;
}

/* The same text as in the readable report: programs want the findings, people the facts. */
static json_t *facts_json(struct writer *w, const struct diagnosis *d)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, REPORT_TEXT_MAX);
    int err = report_facts_text(d, w->redactor, &text);
    const char *all = err == 0 ? buf_cstr(&text) : NULL;
    json_t *lines = json_array();
    if (all == NULL)
        w->err = err < 0 ? err : ERR_NOMEM;
    while (all != NULL && *all != '\0') {
        size_t len = strcspn(all, "\n");
        /* What isn't UTF-8 (resolv.conf may hold anything) is left out. */
        json_t *line = json_stringn(all, len);
        json_array_append_new(lines, line != NULL ? line : json_string("?"));
        all += len + (all[len] == '\n');
    }
    return lines;
}

json_t *report_json(const struct diagnosis *d, struct redactor *r, bool with_facts, int *ret_err)
{
    struct writer w = {.redactor = r};
    const struct facts *f = &d->facts;
    char when[CLOCK_TEXT_SIZE];
    buf_init(&w.memory, REPORT_TEXT_MAX);
    clock_format(f->taken_us, when);
    const char *backend = f->broker.err == 0 ? f->broker.status.dns_backend : "";
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o}", "version", STILE_VERSION, "taken",
                  when, "kernel", f->host.kernel, "system", f->host.os, "dns_backend", backend,
                  "problems", (int)diagnosis_count(d, SEVERITY_PROBLEM), "notices",
                  (int)diagnosis_count(d, SEVERITY_NOTICE), "checks", checks_json(&w, d));
    if (with_facts && root != NULL && json_object_set_new(root, "facts", facts_json(&w, d)) < 0)
        w.err = ERR_NOMEM;
    buf_release(&w.memory);
    if (root == NULL)
        w.err = ERR_NOMEM;
    if (w.err == 0)
        return root;
    json_decref(root);
    *ret_err = w.err;
    return NULL;
}

/* ---- back ---- */

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static int parse_finding(json_t *object, struct findings *ret)
{
    const char *name = text_of(object, "severity");
    for (int s = SEVERITY_OK; s <= SEVERITY_PROBLEM; s++) {
        if (!str_eq(name, severity_name((enum severity)s)))
            continue;
        struct finding *f =
            findings_add(ret, (enum severity)s, text_of(object, "id"), text_of(object, "subject"));
        finding_title(f, "%s", text_of(object, "title"));
        finding_detail(f, "%s", text_of(object, "detail"));
        finding_remedy(f, "%s", text_of(object, "remedy"));
        return 0;
    }
    return ERR_FORMAT;
}

static int parse_check(json_t *object, struct findings ret[CHECKS_COUNT])
{
    json_t *list = json_object_get(object, "findings");
    json_t *one = NULL;
    size_t i = 0, check = 0;
    int err = json_is_array(list) ? 0 : ERR_FORMAT;
    while (check < CHECKS_COUNT && !str_eq(checks[check]->id, text_of(object, "id")))
        check++;
    if (check == CHECKS_COUNT)
        return err;
    json_array_foreach(list, i, one)
    {
        if (err == 0)
            err = parse_finding(one, &ret[check]);
    }
    return err;
}

int report_parse(struct slice json, struct findings ret[CHECKS_COUNT])
{
    json_t *root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *list = json_object_get(root, "checks");
    json_t *one = NULL;
    size_t i = 0;
    int err = json_is_array(list) ? 0 : ERR_FORMAT;
    json_array_foreach(list, i, one)
    {
        if (err == 0)
            err = parse_check(one, ret);
    }
    json_decref(root);
    return err;
}
