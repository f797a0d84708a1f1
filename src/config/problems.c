#include "config/problems.h"

#include "base/str.h"

/* The order of the file, whatever order they were found in. */
static size_t next_problem(const struct yaml_doc *doc, const bool *told)
{
    size_t best = YAML_PROBLEMS_MAX;
    const struct yaml_problem *first = NULL;
    const struct yaml_problem *p;
    for (size_t i = 0; (p = yaml_problem_get(doc, i)) != NULL; i++) {
        bool before = first == NULL || p->line < first->line ||
                      (p->line == first->line && p->column < first->column);
        if (!told[i] && before) {
            first = p;
            best = i;
        }
    }
    return best;
}

int config_tell_problems(const struct yaml_doc *doc, const char *path, const char *command,
                         config_problem_fn *on_problem, void *arg, struct diag *d)
{
    bool told[YAML_PROBLEMS_MAX] = {false};
    size_t count = yaml_problem_count(doc);
    char more[64] = "";
    if (count > 1)
        (void)str_format(more, sizeof(more), " (%zu more: see `%s`)", count - 1, command);
    for (size_t shown = 0; shown < MIN(count, YAML_PROBLEMS_MAX); shown++) {
        size_t i = next_problem(doc, told);
        const struct yaml_problem *p = yaml_problem_get(doc, i);
        if (p == NULL)
            break;
        char line[1024];
        told[i] = true;
        (void)str_format(line, sizeof(line), "%.500s:%u:%u: %s", path, p->line, p->column, p->text);
        if (shown == 0)
            (void)diag_set(d, ERR_FORMAT, 0, "%s%s", line, more);
        if (on_problem != NULL)
            on_problem(arg, line);
    }
    return count > 0 ? ERR_FORMAT : 0;
}
