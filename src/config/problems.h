/* The problems of a configuration file, told to a person line by line in the order of the file. */
#ifndef STILE_CONFIG_PROBLEMS_H
#define STILE_CONFIG_PROBLEMS_H

#include "config/yaml.h"

/* One problem, "FILE:LINE:COLUMN: text". */
typedef void config_problem_fn(void *arg, const char *line);

/* on_problem may be NULL. d has the first one, and how many more there are (command shows them: "stile gateway check"). Returns
 * ERR_FORMAT, or 0 if there are none. */
int config_tell_problems(const struct yaml_doc *doc, const char *path, const char *command,
                         config_problem_fn *on_problem, void *arg, struct diag *d);

#endif
