/* The system's service (broker) and the user's sessions: there, allowed, of one version, working. */
#include "agent/versions.h"
#include "base/str.h"
#include "diag/check.h"

/* Without it there is no `stile up`; `stile run` needs none. */
static enum severity if_needed(const struct facts *f)
{
    return facts_up_session(f) != NULL ? SEVERITY_PROBLEM : SEVERITY_NOTICE;
}

static void judge_absent(const struct facts *f, struct findings *ret)
{
    struct finding *n = findings_add(ret, if_needed(f), "service-absent", "");
    finding_title(n, "The system's stile service can't be reached");
    finding_remedy(n, "%s", f->broker.diag.text);
}

static void judge_refusal(const struct facts *f, struct findings *ret)
{
    struct finding *n = findings_add(ret, if_needed(f), "service-not-allowed", "");
    finding_title(n, "You may not use the system's stile service");
    finding_detail(n, "%s", f->broker.diag.text);
    finding_remedy(n, "For stile up, ask the administrator to add you to allow_users in "
                      "/etc/stile/broker.yaml. stile run needs no permission");
}

static void judge_version(const char *what, const char *subject, const char *version,
                          struct findings *ret)
{
    struct diag d = {0};
    if (versions_check(what, version, &d) == 0)
        return;
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "version-differs", subject);
    finding_title(n, "The %s is of version %s; this command is of version %s", what, version,
                  STILE_VERSION);
    finding_remedy(n, "%s", d.text);
}

static void judge_broker(const struct facts *f, struct findings *ret)
{
    const struct broker_facts *b = &f->broker;
    if (b->err == ERR_DENIED || b->err == ERR_PERM) {
        judge_refusal(f, ret);
        return;
    }
    if (b->err == ERR_VERSION) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "version-differs", "service");
        finding_title(n, "The system's stile service is of another version than this command");
        finding_detail(n, "%s", b->diag.text);
        finding_remedy(n, "Update the older of the two, and restart the service");
        return;
    }
    if (b->err < 0) {
        judge_absent(f, ret);
        return;
    }
    judge_version("service", "service", b->status.version, ret);
    struct finding *n = findings_add(ret, SEVERITY_OK, "service", "");
    finding_title(n, "The system's stile service runs (version %s, DNS by %s)", b->status.version,
                  b->status.dns_backend);
    if (str_is_empty(b->status.last_recovery))
        return;
    n = findings_add(ret, SEVERITY_NOTICE, "service-recovered", "");
    finding_title(n, "When the service started, it put back what an earlier one had left");
    finding_detail(n, "%s", b->status.last_recovery);
    finding_remedy(n,
                   "Nothing needs to be done; if it happens again, look at the service's log for "
                   "why it ended");
}

static void session_name(const struct session_facts *s, char text[32])
{
    (void)str_format(text, 32, "session %u", (unsigned)s->pid);
}

static void judge_state(const struct session_facts *s, const char *name, struct findings *ret)
{
    if (!s->up || s->state[0] == '\0' || str_eq(s->state, "up")) {
        struct finding *n = findings_add(ret, SEVERITY_OK, "session", name);
        finding_title(n, "A session of stile %s runs (pid %u)", s->up ? "up" : "run",
                      (unsigned)s->pid);
        return;
    }
    /* Having logged in nowhere is no fault. */
    bool waits = str_eq(s->state, "waiting for a log-in");
    struct finding *n =
        findings_add(ret, waits ? SEVERITY_NOTICE : SEVERITY_PROBLEM, "session-not-up", name);
    finding_title(n, "stile up (pid %u) isn't up: %s", (unsigned)s->pid, s->state);
    finding_detail(n, "%s", s->state_detail);
    finding_remedy(n,
                   "It goes on by itself when that is settled; if it should log in: stile login. "
                   "To start anew: stile down, then stile up");
}

static void judge_session(const struct session_facts *s, struct findings *ret)
{
    char name[32];
    session_name(s, name);
    if (s->err < 0) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "session-silent", name);
        finding_title(n, "The agent with pid %u doesn't answer", (unsigned)s->pid);
        finding_detail(n, "%s", s->diag.text);
        finding_remedy(n, "End it (kill %u) and start the session again", (unsigned)s->pid);
        return;
    }
    judge_version("agent", name, s->version, ret);
    judge_state(s, name, ret);
}

static void run(const struct facts *f, struct findings *ret)
{
    judge_broker(f, ret);
    if (f->home_err < 0) {
        struct finding *n = findings_add(ret, SEVERITY_NOTICE, "home-unreadable", "");
        finding_title(n, "Profiles and sessions couldn't be looked at");
        finding_detail(n, "%s", f->home_diag.text);
        finding_remedy(n, "Inside stile run that is so by design: run stile diag outside of it");
        return;
    }
    for (size_t i = 0; i < f->session_count; i++)
        judge_session(&f->sessions[i], ret);
    if (f->session_count > 0)
        return;
    uint32_t others = f->broker.status.session_count + f->broker.status.other_sessions;
    struct finding *n = findings_add(ret, SEVERITY_NOTICE, "no-session", "");
    finding_title(n, "No session of yours runs: its network and its names couldn't be checked");
    if (others > 0)
        finding_detail(n, "Sessions of other users: %u", (unsigned)others);
    finding_remedy(n, "Start one with stile up, then run stile diag again%s",
                   others > 0 ? "; a session is checked by the user who has it" : "");
}

const struct check check_service = {.id = "service", .heading = "Service and sessions", .run = run};
