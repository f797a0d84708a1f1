/* stile login: who is the user? Keeps the answer as a profile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/login.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/password_prompt.h"
#include "loop/loop.h"
#include "platform/secrets.h"
#include "tls/certs.h"

#define CA_FILE_CAP ((size_t)256 * 1024)

/* What the command works with, to be released in one place. */
struct session {
    const struct cli *cli;
    struct home home;
    struct profile *old; /* the log-in to be renewed, or NULL */
    struct buf ca;
    struct buf password; /* wiped */
    struct login_request request;
};

static void session_release(struct session *s)
{
    buf_release_wiped(&s->password);
    buf_release(&s->ca);
    profile_free(s->old);
    home_close(&s->home);
}

/* At most size bytes of a file. */
static int read_file(const char *path, uint8_t *bytes, size_t size, size_t *ret_len, struct diag *d)
{
    CLEANUP(fd_closep)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t len = 0;
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open %s: %s", path,
                        strerror(errno));
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_set(d, err_from_errno(errno), errno, "Failed to read %s: %s", path,
                            strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len == size)
        return diag_set(d, ERR_TOOBIG, 0, "%s is too large for what it should hold", path);
    *ret_len = len;
    return 0;
}

static int get_password(struct session *s, struct diag *d)
{
    const char *file = cli_text(s->cli, "password-file");
    char prompt[PROFILE_HOST_SIZE + PROFILE_NAME_SIZE + 32];
    (void)str_format(prompt, sizeof(prompt), "Password of %s at %s: ", s->request.user,
                     s->request.gateway);
    int r = password_prompt(file, prompt, false, &s->password, d);
    if (r < 0)
        return r;
    s->request.password = buf_cstr(&s->password);
    return s->request.password == NULL ? diag_set(d, ERR_NOMEM, 0, "Out of memory") : 0;
}

static int get_ca(struct session *s, struct diag *d)
{
    const char *path = cli_text(s->cli, "ca");
    uint8_t *space = NULL;
    size_t len = 0;
    s->request.ca_pin = cli_text(s->cli, "ca-pin");
    if (s->request.ca_pin != NULL)
        return 0;
    if (path == NULL) {
        s->request.ca_pem = buf_slice(&s->old->ca_pem);
        return 0;
    }
    int r = buf_reserve(&s->ca, CA_FILE_CAP, &space);
    if (r < 0)
        return diag_set(d, r, 0, "Out of memory");
    r = read_file(path, space, CA_FILE_CAP, &len, d);
    if (r < 0)
        return r;
    buf_commit(&s->ca, len);
    s->request.ca_pem = buf_slice(&s->ca);
    CLEANUP(certs_freep) STACK_OF(X509) *certs = NULL;
    r = certs_from_pem(s->request.ca_pem, &certs, d);
    return r < 0 ? diag_prefix(d, "%s can't be the gateway's CA; give its ca.pem: ", path) : 0;
}

/* Options that weren't given are taken from the profile that is to be renewed. */
static int fill_request(struct session *s)
{
    const struct cli *cli = s->cli;
    struct login_request *q = &s->request;
    char name[PROFILE_NAME_SIZE];
    q->gateway = cli_text(cli, "gateway");
    q->user = cli_text(cli, "user");
    q->profile = cli_text(cli, "profile");
    bool trusts = cli_text(cli, "ca") != NULL || cli_text(cli, "ca-pin") != NULL;
    if (cli_text(cli, "ca") != NULL && cli_text(cli, "ca-pin") != NULL)
        return cli_usage(cli, "Give --ca or --ca-pin, not both");
    if (profile_choose(&s->home, q->profile, name, NULL) == 0)
        (void)profile_load(&s->home, name, &s->old, NULL);
    /* Another gateway: nothing known of the old one counts. */
    if (s->old != NULL && q->gateway != NULL && !str_eq(q->gateway, s->old->gateway)) {
        profile_free(STEAL(s->old));
    }
    if (s->old != NULL) {
        q->profile = s->old->name;
        q->gateway = s->old->gateway;
        q->user = q->user != NULL ? q->user : s->old->user;
    }
    if (q->gateway == NULL)
        return cli_usage(cli, "--gateway is missing; give --gateway HOST:PORT");
    if (q->user == NULL)
        return cli_usage(cli, "--user is missing; give --user NAME");
    if (s->old == NULL && !trusts)
        return cli_usage(cli, "Say how to know the gateway: --ca FILE (its ca.pem) or --ca-pin "
                              "sha256:… (`stile gateway init` prints it)");
    return CLI_OK;
}

static int show(const struct cli *cli, const struct profile *p)
{
    char until[CLOCK_TEXT_SIZE];
    clock_format(p->expires_s * 1000000, until);
    if (cli->json)
        return output_json(cli, json_pack("{s:s, s:s, s:s, s:s, s:s}", "profile", p->name, "user",
                                          p->user, "cluster", p->cluster.name, "gateway",
                                          p->gateway, "expires", until));
    printf("Logged in to %s as %s until %.16sZ (profile %s).\n", p->cluster.name, p->user, until,
           p->name);
    return CLI_OK;
}

static int run_login(struct cli *cli)
{
    CLEANUP(session_release) struct session s = {.cli = cli, .home = HOME_NONE};
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct loop loop;
    struct diag d = {0};
    secrets_guard_process();
    buf_init(&s.ca, CA_FILE_CAP);
    buf_init(&s.password, PASSWORD_PROMPT_MAX + 1);
    if (home_open(cli->home, &s.home, &d) < 0)
        return cli_fail(cli, &d);
    int status = fill_request(&s);
    if (status != CLI_OK)
        return status;
    if (get_ca(&s, &d) < 0 || get_password(&s, &d) < 0)
        return cli_fail(cli, &d);
    if (loop_init(&loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    int r = login(&loop, &s.home, &s.request, &p, &d);
    loop_release(&loop);
    return r < 0 ? cli_fail(cli, &d) : show(cli, p);
}

static const struct option options[] = {
    {.name = "gateway",
     .kind = OPTION_TEXT,
     .value_name = "HOST:PORT",
     .help = "The gateway's address"},
    {.name = "user", .kind = OPTION_TEXT, .value_name = "NAME", .help = "Your name there"},
    {.name = "profile",
     .kind = OPTION_TEXT,
     .value_name = "NAME",
     .help = "What to call this log-in (else as the cluster is called)"},
    {.name = "ca",
     .kind = OPTION_TEXT,
     .value_name = "FILE",
     .help = "The CA certificate (PEM) by which the gateway is known"},
    {.name = "ca-pin",
     .kind = OPTION_TEXT,
     .value_name = "sha256:HEX",
     .help = "Instead of --ca: the digest of the CA's public key"},
    {.name = "password-file",
     .kind = OPTION_TEXT,
     .value_name = "FILE",
     .help = "The password is its first line; - for standard input (else you are asked)"},
    {.name = NULL},
};

const struct command command_login = {
    .name = "login",
    .group = "Using apps",
    .summary = "Log in to a gateway",
    .description =
        "Makes a new key, has the gateway certify it, and keeps both as a profile in the home\n"
        "directory. To renew a log-in give its --profile alone, or nothing if there is only one:\n"
        "gateway, user and CA are remembered. Programs inside a running `stile run` go on working.",
    .options = options,
    .shows_json = true,
    .run = run_login,
};
