/* Command-line options, declared once: parsing, error texts and the help text come from the same
 * table.
 *
 * Accepted are --name VALUE, --name=VALUE, -x VALUE, -xVALUE and flags joined as in -vx; `--` ends
 * the options. Nothing is copied: values point into argv, which lives as long as the process.
 */
#ifndef STILE_CLI_OPTIONS_H
#define STILE_CLI_OPTIONS_H

#include "base/err.h"

enum option_kind {
    OPTION_FLAG,   /* no value */
    OPTION_TEXT,   /* any text that is not empty */
    OPTION_NUMBER, /* decimal, min to max */
    OPTION_CHOICE, /* one of the words in value_name: "text|json" */
};

struct option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* of the short form, 0 if none */
    enum option_kind kind;
    const char *value_name; /* "HOST:PORT" as shown in help; NULL for flags */
    const char *help;       /* one sentence without the full stop */
    bool required;
    bool repeatable; /* else a second one is refused */
    bool hidden;     /* not in the help text */
    uint64_t min;    /* OPTION_NUMBER; max 0 means 65535 */
    uint64_t max;
};

/* Most options given in one call: a bound on mistakes, not on use. */
#define OPTIONS_MAX 64

struct option_value {
    const struct option *option;
    const char *text;
    uint64_t number;
};

/* What was given. Plain memory: nothing to release. */
struct options {
    struct option_value values[OPTIONS_MAX];
    size_t count;
    char **args; /* arguments that are not options, in order: a part of argv, which was reordered */
    size_t arg_count;
};

struct options_spec {
    const struct option *own;    /* of the command; ends with a NULL name; may be NULL */
    const struct option *shared; /* of every command; the same */
    bool stop_at_argument;       /* the first argument ends the options: `run CMD --its-option` */
};

/* Parses argv[0..argc), which is what follows the command's name. ERR_INVAL with a text that names
 * the option and the remedy. Required options are not checked here (help must win over them), but
 * by options_check. */
int options_parse(const struct options_spec *spec, int argc, char **argv, struct options *ret,
                  struct diag *d);
int options_check(const struct options_spec *spec, const struct options *o, struct diag *d);

/* NULL, 0 or false when it was not given. The last one given counts. */
const char *options_text(const struct options *o, const char *name);
bool options_flag(const struct options *o, const char *name);
size_t options_count(const struct options *o, const char *name);
uint64_t options_number(const struct options *o, const char *name, uint64_t otherwise);
/* The index-th value of a repeatable option, NULL past the last. */
const char *options_text_at(const struct options *o, const char *name, size_t index);

#endif
