/* stile gateway user …: who may log in. Works on the state of a gateway that runs, or doesn't. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/gateway_config.h"
#include "cli/output.h"
#include "cli/password_prompt.h"
#include "gateway/config.h"
#include "gateway/password.h"
#include "gateway/state.h"
#include "loop/loop.h"
#include "platform/secrets.h"

/* One request to the state, waited for. */
struct call {
    struct loop loop;
    struct state *state;
    struct gateway_config *config;
    struct cli *cli;
    int err;    /* of the request */
    int status; /* of the command */
};

static void on_done(void *arg, int err)
{
    struct call *c = arg;
    c->err = err;
    state_close(STEAL(c->state), NULL, NULL);
}

static int call_open(struct call *c, struct cli *cli, struct diag *d)
{
    c->cli = cli;
    int r = gateway_config_load(gateway_config_path(cli), NULL, NULL, &c->config, d);
    if (r < 0)
        return r;
    r = loop_init(&c->loop);
    if (r == 0)
        r = state_open(&c->loop, c->config->state_path, &c->state, d);
    return r;
}

/* Runs what was asked for. `asked` is what asking gave. */
static int call_wait(struct call *c, int asked)
{
    if (asked < 0)
        on_done(c, asked);
    int r = loop_run(&c->loop);
    return r < 0 ? r : c->err;
}

static void call_close(struct call *c)
{
    state_close(STEAL(c->state), NULL, NULL);
    if (c->loop.scratch != NULL) {
        (void)loop_run(&c->loop);
        (void)loop_release(&c->loop);
    }
    gateway_config_free(c->config);
}

static int fail(struct call *c, int err, const char *name)
{
    switch (err) {
    case ERR_EXISTS:
        return cli_fail_text(c->cli, "User %s exists already; see `stile gateway user list`", name);
    case ERR_NOTFOUND:
        return cli_fail_text(c->cli, "There is no user %s; see `stile gateway user list`", name);
    case ERR_BUSY:
        return cli_fail_text(
            c->cli, "The state %s is locked by another program (a backup?); end it and try again",
            c->config->state_path);
    default:
        return cli_fail_text(c->cli, "Failed to use the state %s: %s", c->config->state_path,
                             err_text(err));
    }
}

/* ---- words from the command line ---- */

static int check_name(const char *kind, const char *name, struct diag *d)
{
    if (config_is_principal(slice_str(name)))
        return 0;
    return diag_set(
        d, ERR_INVAL, 0,
        "%s name \"%s\" is not allowed; use letters, digits and . _ @ + - (not first), at most 64",
        kind, name);
}

static int read_groups(struct cli *cli, struct texts *ret, struct diag *d)
{
    const char *group;
    int r = 0;
    for (size_t i = 0; r == 0 && (group = options_text_at(&cli->options, "group", i)) != NULL;
         i++) {
        r = check_name("Group", group, d);
        if (r == 0 && str_eq(group, CONFIG_GROUP_EVERYONE))
            r = diag_set(d, ERR_INVAL, 0, "Every user is in the group %s; leave it out", group);
        if (r == 0 && !texts_have(ret, group))
            r = texts_add(ret, group);
    }
    return r;
}

static int read_hash(struct cli *cli, char hash[STATE_HASH_SIZE], struct diag *d)
{
    CLEANUP(buf_release_wiped) struct buf password;
    secrets_guard_process();
    buf_init(&password, PASSWORD_PROMPT_MAX);
    char prompt[128];
    (void)str_format(prompt, sizeof(prompt), "New password for %s: ", cli_arg(cli, 0));
    int r = password_prompt(cli_text(cli, "password-file"), prompt, true, &password, d);
    if (r == 0)
        r = password_check_rules(buf_slice(&password), d);
    if (r < 0)
        return r;
    r = password_hash(buf_slice(&password), hash);
    return r < 0 ? diag_set(d, r, 0, "Failed to hash the password: %s", err_text(r)) : 0;
}

/* ---- commands ---- */

static int run_add(struct cli *cli)
{
    struct diag d = {0};
    char hash[STATE_HASH_SIZE];
    const char *name = cli_arg(cli, 0);
    CLEANUP(texts_release) struct texts groups = {0};
    CLEANUP(call_close) struct call c = {0};
    int r = check_name("User", name, &d);
    if (r == 0)
        r = read_groups(cli, &groups, &d);
    if (r == 0)
        r = call_open(&c, cli, &d);
    if (r == 0)
        r = read_hash(cli, hash, &d);
    if (r < 0)
        return cli_fail(cli, &d);
    r = call_wait(&c, state_add_user(c.state, name, hash, &groups, on_done, &c));
    if (r < 0)
        return fail(&c, r, name);
    printf("Added user %s.\n", name);
    return CLI_OK;
}

static int run_remove(struct cli *cli)
{
    struct diag d = {0};
    const char *name = cli_arg(cli, 0);
    CLEANUP(call_close) struct call c = {0};
    if (call_open(&c, cli, &d) < 0)
        return cli_fail(cli, &d);
    int r = call_wait(&c, state_remove_user(c.state, name, on_done, &c));
    if (r < 0)
        return fail(&c, r, name);
    printf("Removed user %s; new connections are refused from now on.\n", name);
    return CLI_OK;
}

static int run_passwd(struct cli *cli)
{
    struct diag d = {0};
    char hash[STATE_HASH_SIZE];
    const char *name = cli_arg(cli, 0);
    CLEANUP(call_close) struct call c = {0};
    int r = call_open(&c, cli, &d);
    if (r == 0)
        r = read_hash(cli, hash, &d);
    if (r < 0)
        return cli_fail(cli, &d);
    r = call_wait(&c, state_set_password(c.state, name, hash, on_done, &c));
    if (r < 0)
        return fail(&c, r, name);
    printf("Changed the password of %s; the user has to log in again.\n", name);
    return CLI_OK;
}

static json_t *user_json(const struct state_user *u)
{
    json_t *groups = json_array();
    for (size_t i = 0; i < u->groups.count; i++)
        (void)json_array_append_new(groups, json_string(u->groups.items[i]));
    return json_pack("{s:s, s:o, s:I}", "name", u->name, "groups", groups, "created",
                     (json_int_t)u->created_s);
}

static int list_json(struct cli *cli, const struct state_user *users, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, user_json(&users[i]));
    return output_json(cli, json_pack("{s:o}", "users", list));
}

struct user_row {
    char groups[512];
    char created[CLOCK_TEXT_SIZE];
};

static void fill_row(struct user_row *row, const struct state_user *u)
{
    size_t used = 0;
    for (size_t i = 0; i < u->groups.count && used < sizeof(row->groups); i++) {
        int n = snprintf(row->groups + used, sizeof(row->groups) - used, "%s%s", i > 0 ? "," : "",
                         u->groups.items[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    clock_format(u->created_s * 1000000, row->created);
    row->created[10] = '\0'; /* the day is enough */
}

static int list_table(struct cli *cli, const struct state_user *users, size_t count)
{
    struct user_row *rows = mem_array(count + 1, sizeof(*rows));
    const char **cells = mem_array((count + 1) * 3, sizeof(*cells));
    int status = CLI_OK;
    if (rows == NULL || cells == NULL) {
        status = cli_fail_text(cli, "Out of memory");
    } else {
        cells[0] = "USER";
        cells[1] = "ADDED";
        cells[2] = "GROUPS";
        for (size_t i = 0; i < count; i++) {
            fill_row(&rows[i], &users[i]);
            cells[3 * (i + 1)] = users[i].name;
            cells[3 * (i + 1) + 1] = rows[i].created;
            cells[3 * (i + 1) + 2] = rows[i].groups;
        }
        output_table(cells, count + 1, 3);
    }
    mem_free(rows);
    mem_free(cells);
    return status;
}

static void on_users(void *arg, int err, const struct state_user *users, size_t count)
{
    struct call *c = arg;
    if (err == 0)
        c->status =
            c->cli->json ? list_json(c->cli, users, count) : list_table(c->cli, users, count);
    on_done(c, err);
}

static int run_list(struct cli *cli)
{
    struct diag d = {0};
    CLEANUP(call_close) struct call c = {0};
    if (call_open(&c, cli, &d) < 0)
        return cli_fail(cli, &d);
    int r = call_wait(&c, state_list_users(c.state, on_users, &c));
    return r < 0 ? fail(&c, r, "") : c.status;
}

/* ---- tables ---- */

#define PASSWORD_OPTION                                                                            \
    {                                                                                              \
        .name = "password-file", .kind = OPTION_TEXT, .value_name = "FILE",                        \
        .help = "Read the password from this file's first line, - for standard input"              \
    }

static const struct option add_options[] = {
    {.name = "group",
     .letter = 'g',
     .kind = OPTION_TEXT,
     .value_name = "GROUP",
     .repeatable = true,
     .help = "Put the user into this group"},
    PASSWORD_OPTION,
    GATEWAY_CONFIG_OPTION,
    {.name = NULL},
};

static const struct option passwd_options[] = {
    PASSWORD_OPTION,
    GATEWAY_CONFIG_OPTION,
    {.name = NULL},
};

static const struct option config_options[] = {
    GATEWAY_CONFIG_OPTION,
    {.name = NULL},
};

const struct command command_gateway_user_add = {
    .name = "gateway user add",
    .group = "Gateway",
    .summary = "Add a user, asking for a password",
    .arguments = "NAME",
    .min_args = 1,
    .max_args = 1,
    .options = add_options,
    .run = run_add,
};

const struct command command_gateway_user_remove = {
    .name = "gateway user remove",
    .group = "Gateway",
    .summary = "Remove a user; new connections are refused at once",
    .arguments = "NAME",
    .min_args = 1,
    .max_args = 1,
    .options = config_options,
    .run = run_remove,
};

const struct command command_gateway_user_passwd = {
    .name = "gateway user passwd",
    .group = "Gateway",
    .summary = "Change a user's password, which ends the user's log-ins",
    .arguments = "NAME",
    .min_args = 1,
    .max_args = 1,
    .options = passwd_options,
    .run = run_passwd,
};

const struct command command_gateway_user_list = {
    .name = "gateway user list",
    .group = "Gateway",
    .summary = "Show the users and their groups",
    .options = config_options,
    .shows_json = true,
    .run = run_list,
};
