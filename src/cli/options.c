#include "cli/options.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "cli/word_distance.h"

/* What is parsed at the moment. */
struct parse {
    const struct options_spec *spec;
    char **argv;
    int argc;
    int next; /* first word not looked at */
    struct options *out;
    struct diag *diag;
};

static const struct option *find_in(const struct option *table, const char *name, size_t len)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return table;
    return NULL;
}

static const struct option *find_letter_in(const struct option *table, char letter)
{
    for (; table != NULL && table->name != NULL; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

static bool choice_has(const char *choices, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, word, len) == 0 && (at[len] == '|' || at[len] == '\0'))
            return true;
    }
    return false;
}

static int check_number(const struct option *o, const char *text, uint64_t *ret_v, struct diag *d)
{
    uint64_t max = o->max == 0 ? UINT16_MAX : o->max;
    uint64_t v = 0;
    if (str_to_u64(text, max, &v) < 0 || v < o->min)
        return diag_set(d, ERR_INVAL, 0,
                        "--%s needs a number from %llu to %llu, and \"%s\" isn't one", o->name,
                        (unsigned long long)o->min, (unsigned long long)max, text);
    *ret_v = v;
    return 0;
}

static int add_value(struct parse *p, const struct option *o, const char *text)
{
    struct option_value v = {.option = o, .text = text};
    if (!o->repeatable && o->kind != OPTION_FLAG && options_count(p->out, o->name) > 0)
        return diag_set(p->diag, ERR_INVAL, 0, "--%s was given twice; give it once", o->name);
    if (o->kind != OPTION_FLAG && str_is_empty(text))
        return diag_set(p->diag, ERR_INVAL, 0, "--%s is empty; it needs %s", o->name,
                        o->value_name);
    if (o->kind == OPTION_NUMBER) {
        int r = check_number(o, text, &v.number, p->diag);
        if (r < 0)
            return r;
    }
    if (o->kind == OPTION_CHOICE && !choice_has(o->value_name, text))
        return diag_set(p->diag, ERR_INVAL, 0, "--%s can't be \"%s\"; it is one of %s", o->name,
                        text, o->value_name);
    if (p->out->count == OPTIONS_MAX)
        return diag_set(p->diag, ERR_LIMIT, 0, "Too many options; at most %d can be given",
                        OPTIONS_MAX);
    p->out->values[p->out->count++] = v;
    return 0;
}

/* The value that stands in the next word. */
static int take_value(struct parse *p, const struct option *o)
{
    if (p->next >= p->argc)
        return diag_set(p->diag, ERR_INVAL, 0, "--%s needs a value: --%s %s", o->name, o->name,
                        o->value_name);
    return add_value(p, o, p->argv[p->next++]);
}

#define OPTION_NAME_SIZE 32

static void find_near(const struct option *table, const char *name, const char **best,
                      size_t *distance)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        size_t d = word_distance(name, o->name);
        if (!o->hidden && d < *distance) {
            *best = o->name;
            *distance = d;
        }
    }
}

/* given: "--nmae", "-name"; perhaps with a value. */
static int unknown(struct parse *p, const char *given)
{
    const char *best = NULL;
    char name[OPTION_NAME_SIZE];
    size_t len = strcspn(given, "=");
    (void)str_format(name, sizeof(name), "%.*s", (int)len, given + strspn(given, "-"));
    name[strcspn(name, "=")] = '\0';
    /* "--host" isn't "--port". */
    size_t distance = MIN(WORD_DISTANCE_NEAR, MAX(strlen(name) / 3, (size_t)1)) + 1;
    find_near(p->spec->own, name, &best, &distance);
    find_near(p->spec->shared, name, &best, &distance);
    return diag_set(p->diag, ERR_INVAL, 0, "There is no option %.*s%s%s%s", (int)len, given,
                    best != NULL ? "; is it --" : "", best != NULL ? best : "",
                    best != NULL ? "?" : "");
}

/* word: "-port" is a mistyped "--port". */
static int unknown_letter(struct parse *p, const char *word, char letter)
{
    size_t len = strcspn(word + 1, "=");
    if (find_in(p->spec->own, word + 1, len) != NULL ||
        find_in(p->spec->shared, word + 1, len) != NULL)
        return unknown(p, word);
    return diag_set(p->diag, ERR_INVAL, 0, "There is no option -%c", letter);
}

static int parse_long(struct parse *p, const char *word)
{
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option *o = find_in(p->spec->own, name, len);
    if (o == NULL)
        o = find_in(p->spec->shared, name, len);
    if (o == NULL)
        return unknown(p, word);
    if (o->kind == OPTION_FLAG && equals != NULL)
        return diag_set(p->diag, ERR_INVAL, 0, "--%s takes no value; leave out \"%s\"", o->name,
                        equals);
    if (o->kind == OPTION_FLAG)
        return add_value(p, o, "");
    return equals != NULL ? add_value(p, o, equals + 1) : take_value(p, o);
}

static int parse_letters(struct parse *p, const char *word)
{
    for (const char *at = word + 1; *at != '\0'; at++) {
        const struct option *o = find_letter_in(p->spec->own, *at);
        if (o == NULL)
            o = find_letter_in(p->spec->shared, *at);
        if (o == NULL)
            return unknown_letter(p, word, *at);
        if (o->kind != OPTION_FLAG)
            return at[1] != '\0' ? add_value(p, o, at + 1) : take_value(p, o);
        int r = add_value(p, o, "");
        if (r < 0)
            return r;
    }
    return 0;
}

/* The words from here on are arguments whatever they look like. */
static void take_rest(struct parse *p)
{
    while (p->next < p->argc)
        p->out->args[p->out->arg_count++] = p->argv[p->next++];
}

static int parse_words(struct parse *p)
{
    while (p->next < p->argc) {
        char *word = p->argv[p->next];
        bool is_option = word[0] == '-' && word[1] != '\0';
        if (!is_option && p->spec->stop_at_argument)
            break;
        p->next++;
        if (!is_option) {
            p->out->args[p->out->arg_count++] = word;
            continue;
        }
        if (str_eq(word, "--"))
            break;
        int r = word[1] == '-' ? parse_long(p, word) : parse_letters(p, word);
        if (r < 0)
            return r;
    }
    take_rest(p);
    return 0;
}

int options_parse(const struct options_spec *spec, int argc, char **argv, struct options *ret,
                  struct diag *d)
{
    *ret = (struct options){.args = argv};
    struct parse p = {.spec = spec, .argv = argv, .argc = argc, .out = ret, .diag = d};
    return parse_words(&p);
}

int options_check(const struct options_spec *spec, const struct options *o, struct diag *d)
{
    for (const struct option *t = spec->own; t != NULL && t->name != NULL; t++)
        if (t->required && options_count(o, t->name) == 0)
            return diag_set(d, ERR_INVAL, 0, "--%s is missing; give --%s %s", t->name, t->name,
                            t->value_name);
    return 0;
}

static const struct option_value *last_value(const struct options *o, const char *name)
{
    for (size_t i = o->count; i > 0; i--)
        if (str_eq(o->values[i - 1].option->name, name))
            return &o->values[i - 1];
    return NULL;
}

const char *options_text(const struct options *o, const char *name)
{
    const struct option_value *v = last_value(o, name);
    return v == NULL ? NULL : v->text;
}

bool options_flag(const struct options *o, const char *name)
{
    return last_value(o, name) != NULL;
}

uint64_t options_number(const struct options *o, const char *name, uint64_t otherwise)
{
    const struct option_value *v = last_value(o, name);
    return v == NULL ? otherwise : v->number;
}

size_t options_count(const struct options *o, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        n += str_eq(o->values[i].option->name, name);
    return n;
}

const char *options_text_at(const struct options *o, const char *name, size_t index)
{
    for (size_t i = 0; i < o->count; i++)
        if (str_eq(o->values[i].option->name, name) && index-- == 0)
            return o->values[i].text;
    return NULL;
}
