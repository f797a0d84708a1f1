#include "config/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libfyaml.h>

#include "base/mem.h"
#include "base/str.h"

struct yaml_doc {
    struct fy_parser *parser;
    struct fy_document *document; /* NULL if the text is no YAML */
    struct fy_diag *diag; /* freed by fy_diag_destroy alone: unref leaks what it has collected */
    char *text;           /* owned; the parser refers to it */
    struct yaml_problem problems[YAML_PROBLEMS_MAX];
    size_t problem_count;
};

/* ---- problems ---- */

PRINTF_LIKE(4, 0)
static void add_problem_v(struct yaml_doc *doc, unsigned line, unsigned column, const char *fmt,
                          va_list args)
{
    if (doc->problem_count < YAML_PROBLEMS_MAX) {
        struct yaml_problem *p = &doc->problems[doc->problem_count];
        p->line = line;
        p->column = column;
        vsnprintf(p->text, sizeof(p->text), fmt, args);
    }
    doc->problem_count++;
}

PRINTF_LIKE(4, 5)
static void add_problem(struct yaml_doc *doc, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_problem_v(doc, line, column, fmt, args);
    va_end(args);
}

void yaml_problem(struct yaml_value at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_problem_v(at.doc, at.line, at.column, fmt, args);
    va_end(args);
}

size_t yaml_problem_count(const struct yaml_doc *doc)
{
    return doc->problem_count;
}

const struct yaml_problem *yaml_problem_get(const struct yaml_doc *doc, size_t i)
{
    return i < MIN(doc->problem_count, YAML_PROBLEMS_MAX) ? &doc->problems[i] : NULL;
}

/* ---- the document ---- */

/* What the library found wrong with the text itself. Its lines and columns count from 1 here. */
static void take_syntax_errors(struct yaml_doc *doc)
{
    void *iter = NULL;
    struct fy_diag_error *e;
    while ((e = fy_diag_errors_iterate(doc->diag, &iter)) != NULL)
        add_problem(doc, e->line > 0 ? (unsigned)e->line : 1,
                    e->column > 0 ? (unsigned)e->column : 1, "%s",
                    e->msg != NULL ? e->msg : "not valid YAML");
    if (doc->problem_count == 0)
        add_problem(doc, 1, 1, "the file has no YAML document: nothing is configured in it");
}

static bool starts_line(struct slice text, size_t i)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf}; /* UTF-8's byte order mark */
    if (i >= sizeof(mark) && memcmp(text.data + i - sizeof(mark), mark, sizeof(mark)) == 0)
        i -= sizeof(mark);
    return i == 0 || text.data[i - 1] == '\n' || text.data[i - 1] == '\r';
}

/* What is refused before the library sees it: control characters, which end C strings early, and directives (%YAML, %TAG),
 * which have no use here and on which libfyaml 0.7.12 can loop for ever. */
static bool check_bytes(struct yaml_doc *doc, struct slice text)
{
    unsigned line = 1;
    unsigned column = 1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        const char *what = NULL;
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            what = "a control character";
        else if (c == '%' && starts_line(text, i))
            what = "a YAML directive (a line that begins with %)";
        if (what != NULL) {
            add_problem(doc, line, column, "%s is in the file; remove it", what);
            return false;
        }
        column = c == '\n' ? 1 : column + 1;
        line += c == '\n';
    }
    return true;
}

static bool has_second_document(struct yaml_doc *doc)
{
    struct fy_document *second = fy_parse_load_document(doc->parser);
    if (second == NULL)
        return false;
    fy_parse_document_destroy(doc->parser, second);
    return true;
}

static int load(struct yaml_doc *doc, size_t len)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.level = FYET_ERROR;
    doc->diag = fy_diag_create(&diag_cfg);
    if (doc->diag == NULL)
        return ERR_NOMEM;
    fy_diag_set_collect_errors(doc->diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
                               .diag = doc->diag};
    doc->parser = fy_parser_create(&cfg);
    if (doc->parser != NULL && fy_parser_set_string(doc->parser, doc->text, len) == 0) {
        doc->document = fy_parse_load_document(doc->parser);
        if (doc->document == NULL)
            take_syntax_errors(doc);
        else if (has_second_document(doc))
            add_problem(doc, 1, 1,
                        "the file holds more than one YAML document (a line \"---\"); keep one");
        else if (fy_parser_get_stream_error(doc->parser))
            take_syntax_errors(doc);
    }
    return doc->parser == NULL ? ERR_NOMEM : 0;
}

int yaml_parse(struct slice text, struct yaml_doc **ret_doc)
{
    struct yaml_doc *doc = NEW(struct yaml_doc);
    if (doc == NULL)
        return ERR_NOMEM;
    int r = 0;
    if (text.len > YAML_TEXT_MAX)
        add_problem(doc, 1, 1, "the file is larger than %u bytes", YAML_TEXT_MAX);
    else if (check_bytes(doc, text)) {
        doc->text = mem_strndup((const char *)text.data, text.len);
        r = doc->text == NULL ? ERR_NOMEM : load(doc, text.len);
    }
    if (r < 0) {
        yaml_free(doc);
        return r;
    }
    *ret_doc = doc;
    return 0;
}

void yaml_free(struct yaml_doc *doc)
{
    if (doc == NULL)
        return;
    if (doc->document != NULL)
        fy_parse_document_destroy(doc->parser, doc->document);
    if (doc->parser != NULL)
        fy_parser_destroy(doc->parser);
    if (doc->diag != NULL)
        fy_diag_destroy(doc->diag);
    mem_free(doc->text);
    mem_free(doc);
}

/* ---- values ---- */

/* The first token of a node; NULL for one that has none, such as {}. */
static struct fy_token *first_token(struct fy_node *node)
{
    for (int depth = 0; node != NULL && depth < FYPCF_GUARANTEED_MINIMUM_DEPTH_LIMIT; depth++) {
        void *iter = NULL;
        if (fy_node_is_mapping(node)) {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &iter);
            node = pair != NULL ? fy_node_pair_key(pair) : NULL;
        } else if (fy_node_is_sequence(node)) {
            node = fy_node_sequence_iterate(node, &iter);
        } else {
            return fy_node_get_scalar_token(node);
        }
    }
    return NULL;
}

/* The library's mark is behind the sign that opens these. */
static bool has_opening_sign(struct fy_token *token)
{
    enum fy_scalar_style style = fy_token_scalar_style(token);
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
}

/* Where it has no place of its own, it stands where what it belongs to stands. */
static struct yaml_value value_at(struct yaml_value parent, struct fy_node *node)
{
    struct yaml_value v = {parent.doc, node, parent.line, parent.column};
    struct fy_token *token = first_token(node);
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark != NULL) {
        v.line = (unsigned)mark->line + 1;
        v.column = (unsigned)mark->column + 1;
        if (v.column > 1 && (has_opening_sign(token) || fy_node_is_alias(node)))
            v.column--;
    }
    return v;
}

struct yaml_value yaml_root(struct yaml_doc *doc)
{
    struct yaml_value top = {doc, NULL, 1, 1};
    if (doc->document == NULL)
        return top;
    return value_at(top, fy_document_root(doc->document));
}

bool yaml_present(struct yaml_value v)
{
    return v.node != NULL;
}

/* Anchors make one text mean several things, tags another type: neither has a place here. */
static bool is_plain(struct yaml_value v)
{
    const char *sign = NULL;
    if (fy_node_is_alias(v.node))
        sign = "an alias (*)";
    else if (fy_node_get_tag_token(v.node) != NULL)
        sign = "a tag (!)";
    if (sign != NULL)
        yaml_problem(v, "%s has no meaning here; write the value itself", sign);
    return sign == NULL;
}

/* ---- mappings ---- */

static void unknown_key(struct yaml_value at, struct slice name, const char *what,
                        const struct yaml_key *keys, size_t count)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof(known); i++) {
        int n =
            snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", keys[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    yaml_problem(at, "unknown key \"%.*s\" in %s; it can have: %s", (int)MIN(name.len, 64),
                 (const char *)name.data, what, known);
}

static void take_pair(struct yaml_value map, struct fy_node_pair *pair, const char *what,
                      const struct yaml_key *keys, size_t count, struct yaml_value *values)
{
    struct yaml_value key = value_at(map, fy_node_pair_key(pair));
    struct slice name;
    if (!yaml_present(key)) {
        yaml_problem(map, "an empty key in %s; write a name before the colon", what);
        return;
    }
    if (!yaml_text(key, "a key", &name))
        return;
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq_str(name, keys[i].name))
            continue;
        struct fy_node *node = fy_node_pair_value(pair);
        values[i] = value_at(key, node);
        if (node == NULL || (fy_node_is_scalar(node) && fy_node_is_null(node))) {
            yaml_problem(key, "\"%s\" has no value; write one or remove the key", keys[i].name);
            values[i].node = NULL;
        }
        return;
    }
    unknown_key(key, name, what, keys, count);
}

/* A key that is there without a value has been told already: its line is set. */
static void require_keys(struct yaml_value map, const char *what, const struct yaml_key *keys,
                         size_t count, const struct yaml_value *values)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].required && values[i].line == 0)
            yaml_problem(map, "%s has no \"%s\"; add %s", what, keys[i].name, keys[i].hint);
    }
}

bool yaml_mapping(struct yaml_value v, const char *what, const struct yaml_key *keys, size_t count,
                  struct yaml_value *values)
{
    memset(values, 0, count * sizeof(*values));
    if (!yaml_present(v) || !is_plain(v))
        return false;
    if (!fy_node_is_mapping(v.node)) {
        yaml_problem(v, "%s must be a mapping (lines of \"key: value\")", what);
        return false;
    }
    void *iter = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(v.node, &iter)) != NULL)
        take_pair(v, pair, what, keys, count, values);
    require_keys(v, what, keys, count, values);
    return true;
}

/* ---- lists ---- */

bool yaml_is_list(struct yaml_value v)
{
    return yaml_present(v) && fy_node_is_sequence(v.node);
}

size_t yaml_list_count(struct yaml_value v)
{
    int n = yaml_is_list(v) ? fy_node_sequence_item_count(v.node) : 0;
    return n > 0 ? (size_t)n : 0;
}

bool yaml_next(struct yaml_value v, const char *what, void **iter, struct yaml_value *ret_item)
{
    if (!yaml_present(v))
        return false;
    if (!yaml_is_list(v)) {
        yaml_problem(v, "%s must be a list, such as [a, b]", what);
        return false;
    }
    struct fy_node *item = fy_node_sequence_iterate(v.node, iter);
    if (item == NULL)
        return false;
    *ret_item = value_at(v, item);
    return true;
}

/* ---- scalars ---- */

static bool is_shown(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == 0x7f)
            return false;
    }
    return true;
}

bool yaml_text(struct yaml_value v, const char *what, struct slice *ret_text)
{
    if (!yaml_present(v) || !is_plain(v))
        return false;
    size_t len = 0;
    const char *data = fy_node_is_scalar(v.node) ? fy_node_get_scalar(v.node, &len) : NULL;
    if (data == NULL) {
        yaml_problem(v, "%s must be one word or text, not a list or mapping", what);
        return false;
    }
    struct slice text = slice_of(data, len);
    if (len == 0) {
        yaml_problem(v, "%s is empty; write a value", what);
        return false;
    }
    if (!is_shown(text)) {
        yaml_problem(v, "%s has control characters or a line break; remove them", what);
        return false;
    }
    *ret_text = text;
    return true;
}

bool yaml_bool(struct yaml_value v, const char *what, bool *ret_b)
{
    struct slice text;
    if (!yaml_text(v, what, &text))
        return false;
    bool yes = slice_eq_str(text, "true");
    if (!yes && !slice_eq_str(text, "false")) {
        yaml_problem(v, "%s must be true or false, not \"%.*s\"", what, (int)MIN(text.len, 40),
                     (const char *)text.data);
        return false;
    }
    *ret_b = yes;
    return true;
}

bool yaml_number(struct yaml_value v, const char *what, uint64_t min, uint64_t max, uint64_t *ret_n)
{
    struct slice text;
    if (!yaml_text(v, what, &text))
        return false;
    char digits[24];
    uint64_t n = 0;
    if (str_copy_slice(digits, sizeof(digits), text) < 0 || str_to_u64(digits, max, &n) < 0 ||
        n < min) {
        yaml_problem(v, "%s must be a number from %llu to %llu, not \"%.*s\"", what,
                     (unsigned long long)min, (unsigned long long)max, (int)MIN(text.len, 40),
                     (const char *)text.data);
        return false;
    }
    *ret_n = n;
    return true;
}
