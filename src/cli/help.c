#include "cli/help.h"

#include <string.h>

#include "base/str.h"
#include "cli/word_distance.h"

/* Column where the explanations begin. */
#define HELP_COLUMN 32
#define WORDS_SIZE  64

#define SHARED_OPTIONS                                                                             \
    {.name = "home",                                                                               \
     .kind = OPTION_TEXT,                                                                          \
     .value_name = "DIR",                                                                          \
     .help = "Where profiles are kept (else $STILE_HOME, else ~/.config/stile)"},                  \
        {.name = "verbose", .letter = 'v', .kind = OPTION_FLAG, .help = "Log what is done"},       \
        {.name = "log-format",                                                                     \
         .kind = OPTION_CHOICE,                                                                    \
         .value_name = "text|json|journal",                                                        \
         .help = "Form of the log on standard error"},                                             \
        {.name = "help", .letter = 'h', .kind = OPTION_FLAG, .help = "Show this text"},            \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const struct option cli_shared_options[] = {SHARED_OPTIONS};
const struct option cli_shared_options_json[] = {
    {.name = "json", .kind = OPTION_FLAG, .help = "Print JSON instead of a table"}, SHARED_OPTIONS};

static void print_row(FILE *out, const char *left, const char *right)
{
    if (strlen(left) + 2 <= HELP_COLUMN)
        fprintf(out, "%-*s%s\n", HELP_COLUMN, left, right);
    else
        fprintf(out, "%s\n%*s%s\n", left, HELP_COLUMN, "", right);
}

static void print_option(FILE *out, const struct option *o)
{
    char left[96];
    char shown[8] = "    ";
    if (o->letter != 0)
        (void)str_format(shown, sizeof(shown), "-%c, ", o->letter);
    (void)str_format(left, sizeof(left), "  %s--%s%s%s", shown, o->name,
                     o->value_name != NULL ? " " : "", o->value_name != NULL ? o->value_name : "");
    char right[256];
    const char *note = o->required && o->repeatable ? " (required; may be repeated)"
                       : o->required                ? " (required)"
                       : o->repeatable              ? " (may be repeated)"
                                                    : "";
    (void)str_format(right, sizeof(right), "%s%s", o->help, note);
    print_row(out, left, right);
}

static void print_options(FILE *out, const struct option *table)
{
    for (; table != NULL && table->name != NULL; table++)
        if (!table->hidden)
            print_option(out, table);
}

static void print_group(FILE *out, const char *group)
{
    fprintf(out, "\n%s:\n", group);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct command *c = cli_commands[i];
        if (c->hidden || !str_eq(c->group, group))
            continue;
        char left[64];
        (void)str_format(left, sizeof(left), "  stile %s", c->name);
        print_row(out, left, c->summary);
    }
}

/* True if an earlier visible command has the same group: its heading is out already. */
static bool group_seen(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (!cli_commands[i]->hidden && str_eq(cli_commands[i]->group, cli_commands[index]->group))
            return true;
    return false;
}

void help_overview(FILE *out)
{
    fputs("stile lets ordinary programs reach private TCP applications by their own names.\n\n"
          "Usage: stile COMMAND [OPTION…] [ARGUMENT…]\n",
          out);
    for (size_t i = 0; cli_commands[i] != NULL; i++)
        if (!cli_commands[i]->hidden && !group_seen(i))
            print_group(out, cli_commands[i]->group);
    fputs("\nOptions of every command:\n", out);
    print_options(out, cli_shared_options);
    fputs("\n`stile help COMMAND` tells more. "
          "Exit status: 0 done, 1 failed, 2 not understood.\n",
          out);
}

static void print_usage(FILE *out, const struct command *c)
{
    fprintf(out, "Usage: %s %s", command_program(c), c->name);
    for (const struct option *o = c->options; o != NULL && o->name != NULL; o++)
        if (o->required)
            fprintf(out, " --%s %s", o->name, o->value_name);
    fprintf(out, " [OPTION…]%s%s\n\n", c->arguments != NULL ? " " : "",
            c->arguments != NULL ? c->arguments : "");
}

/* Its examples in the words of the program that it is a command of. */
static void print_description(FILE *out, const struct command *c)
{
    const char *at = c->description, *found;
    fputc('\n', out);
    while (c->replaces != NULL && (found = strstr(at, c->replaces)) != NULL) {
        fprintf(out, "%.*s%s", (int)(found - at), at, command_program(c));
        at = found + strlen(c->replaces);
    }
    fprintf(out, "%s\n", at);
}

void help_command(FILE *out, const struct command *c)
{
    print_usage(out, c);
    fprintf(out, "%s.\n", c->summary);
    if (c->description != NULL)
        print_description(out, c);
    if (c->options != NULL) {
        fputs("\nOptions:\n", out);
        print_options(out, c->options);
    }
    fputs("\nOptions of every command:\n", out);
    print_options(out, c->shows_json ? cli_shared_options_json : cli_shared_options);
}

/* Whether name is words, or begins with words and a space. */
static bool begins_with_words(const char *name, const char *words)
{
    size_t len = strlen(words);
    return strncmp(name, words, len) == 0 && name[len] == ' ';
}

bool help_group(FILE *out, const char *words)
{
    bool found = false;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct command *c = cli_commands[i];
        if (c->hidden || !begins_with_words(c->name, words))
            continue;
        if (!found)
            fprintf(out, "Usage: stile %s COMMAND [OPTION…] [ARGUMENT…]\n\n", words);
        found = true;
        char left[64];
        (void)str_format(left, sizeof(left), "  stile %s", c->name);
        print_row(out, left, c->summary);
    }
    return found;
}

/* How many words of argv the name consists of; 0 if it isn't what argv starts with. */
static size_t match_words(const char *name, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        size_t len = strlen(argv[i]);
        if (strncmp(name, argv[i], len) != 0)
            return 0;
        if (name[len] == '\0')
            return (size_t)i + 1;
        if (name[len] != ' ')
            return 0;
        name += len + 1;
    }
    return 0;
}

const struct command *help_find(int argc, char *const *argv, size_t *ret_words)
{
    const struct command *best = NULL;
    size_t best_words = 0;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        size_t words = match_words(cli_commands[i]->name, argc, argv);
        if (words > best_words) {
            best = cli_commands[i];
            best_words = words;
        }
    }
    if (best != NULL)
        *ret_words = best_words;
    return best;
}

/* The visible command whose name is nearest to a mistyped one; NULL if none is near. */
static const char *nearest(const char *word)
{
    const char *best = NULL;
    size_t best_distance = WORD_DISTANCE_NEAR + 1;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        size_t d = word_distance(word, cli_commands[i]->name);
        if (!cli_commands[i]->hidden && d < best_distance) {
            best = cli_commands[i]->name;
            best_distance = d;
        }
    }
    return best;
}

void help_join(int argc, char *const *argv, size_t count, char *ret, size_t size)
{
    size_t len = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < count && i < (size_t)argc && argv[i][0] != '-' && len < size; i++) {
        (void)str_format(ret + len, size - len, "%s%s", i > 0 ? " " : "", argv[i]);
        len = strlen(ret);
    }
}

static bool is_group(const char *words)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++)
        if (!cli_commands[i]->hidden && begins_with_words(cli_commands[i]->name, words))
            return true;
    return false;
}

/* How many of the first words are known: "gateway user" of "gateway user ad". */
static size_t known_words(int argc, char *const *argv)
{
    char words[WORDS_SIZE];
    size_t count = 0;
    do
        help_join(argc, argv, ++count, words, sizeof(words));
    while (count <= (size_t)argc && is_group(words));
    return count - 1;
}

int help_unknown(int argc, char *const *argv)
{
    struct cli none = {0};
    char group[WORDS_SIZE], words[WORDS_SIZE];
    size_t known = known_words(argc, argv);
    help_join(argc, argv, known, group, sizeof(group));
    help_join(argc, argv, (size_t)argc, words, sizeof(words));
    const char *near = nearest(words);
    if (near == NULL) { /* what follows may be its arguments */
        help_join(argc, argv, known + 1, words, sizeof(words));
        near = nearest(words);
    }
    (void)cli_fail_text(&none, "There is no command \"%s\"%s%s%s", words,
                        near != NULL ? "; is it \"" : "", near != NULL ? near : "",
                        near != NULL ? "\"?" : "");
    if (known > 0)
        fprintf(stderr, "See `stile %s --help`.\n", group);
    else
        fputs("See `stile help`.\n", stderr);
    return CLI_USAGE;
}

static int run_help(struct cli *cli)
{
    if (cli->options.arg_count == 0) {
        help_overview(stdout);
        return CLI_OK;
    }
    size_t words = 0;
    const struct command *c = help_find((int)cli->options.arg_count, cli->options.args, &words);
    if (c != NULL && words == cli->options.arg_count) {
        help_command(stdout, c);
        return CLI_OK;
    }
    int count = (int)cli->options.arg_count;
    char name[WORDS_SIZE];
    help_join(count, cli->options.args, cli->options.arg_count, name, sizeof(name));
    return help_group(stdout, name) ? CLI_OK : help_unknown(count, cli->options.args);
}

const struct command command_help = {
    .name = "help",
    .group = "More",
    .summary = "Show what stile can do, or how a command is used",
    .arguments = "[COMMAND]",
    .max_args = 4,
    .run = run_help,
};
