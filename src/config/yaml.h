/* A YAML document read by a strict schema: every problem is kept with its line and column, so that one run tells a person
 * everything that is wrong with a file.
 *
 * Theory of operation: yaml_parse builds the whole document (libfyaml). A reader then asks for what it expects, mapping by
 * mapping; whatever doesn't fit is recorded by the question itself and the reader goes on with what it has. At the end
 * yaml_problem_count says whether the result may be used. Anchors, aliases, tags and further documents are refused: a
 * configuration has no use for them.
 *
 * Lines and columns count from 1. Nothing here blocks.
 */
#ifndef STILE_CONFIG_YAML_H
#define STILE_CONFIG_YAML_H

#include "base/err.h"
#include "base/slice.h"

struct yaml_doc;
struct fy_node;

#define YAML_TEXT_MAX     (1024u * 1024u) /* bytes of one file */
#define YAML_PROBLEMS_MAX 20u             /* kept; more are counted */

/* A value and where it is. Valid as long as its document. An absent value has node NULL. */
struct yaml_value {
    struct yaml_doc *doc;
    struct fy_node *node;
    unsigned line;
    unsigned column;
};

struct yaml_problem {
    unsigned line;
    unsigned column;
    char text[400];
};

/* One key a mapping may have. */
struct yaml_key {
    const char *name;
    bool required;
    const char *hint; /* what to write, for a missing key: "target: \"10.1.2.3:5432\"" */
};

/* Always gives a document to free, even one that holds nothing but problems; ERR_NOMEM alone gives none. */
int yaml_parse(struct slice text, struct yaml_doc **ret_doc);
void yaml_free(struct yaml_doc *doc); /* NULL is fine */
struct yaml_value yaml_root(struct yaml_doc *doc);

/* Records what is wrong with this value and what to do about it. */
PRINTF_LIKE(2, 3) void yaml_problem(struct yaml_value at, const char *fmt, ...);
size_t yaml_problem_count(const struct yaml_doc *doc); /* including those not kept */
const struct yaml_problem *yaml_problem_get(const struct yaml_doc *doc,
                                            size_t i); /* NULL: no more are kept */

bool yaml_present(struct yaml_value v);

/* Reads a mapping: values[i] is what keys[i] has, or absent. Unknown keys and missing ones are recorded. False if v is no
 * mapping (recorded too) or absent. `what` names it in messages: "an app". */
bool yaml_mapping(struct yaml_value v, const char *what, const struct yaml_key *keys, size_t count,
                  struct yaml_value *values);

/* Iterates over a list: `*iter` starts as NULL. False at the end, or if v is no list (recorded) or absent. */
bool yaml_next(struct yaml_value v, const char *what, void **iter, struct yaml_value *ret_item);
bool yaml_is_list(struct yaml_value v);
size_t yaml_list_count(struct yaml_value v); /* 0 unless a list */

/* Scalars. False if the value is absent, or is not one of these (recorded). Text is borrowed from the document; it is never
 * empty and has no control characters. */
bool yaml_text(struct yaml_value v, const char *what, struct slice *ret_text);
bool yaml_bool(struct yaml_value v, const char *what, bool *ret_b);
bool yaml_number(struct yaml_value v, const char *what, uint64_t min, uint64_t max,
                 uint64_t *ret_n);

#endif
