#include "platform/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define SELF "/proc/self/exe"

struct process {
    uv_process_t uv;
    process_ended_fn *ended;
    void *arg;
    bool running;
};

static void on_ended(uv_process_t *uv, int64_t status, int signal)
{
    struct process *p = CONTAINER_OF(uv, struct process, uv);

    p->running = false;
    if (p->ended != NULL)
        p->ended(p->arg, signal != 0 ? 128 + signal : (int)status, signal);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF((uv_process_t *)(void *)handle, struct process, uv));
}

static size_t fill_stdio(const struct process_config *config, uv_stdio_container_t *stdio)
{
    for (int i = 0; i < PROCESS_FIRST_FD; i++) {
        bool inherit = !config->own_session || i == 2;
        stdio[i] =
            (uv_stdio_container_t){.flags = inherit ? UV_INHERIT_FD : UV_IGNORE, .data.fd = i};
    }
    for (size_t i = 0; i < config->fd_count; i++)
        stdio[PROCESS_FIRST_FD + i] =
            (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = config->fds[i]};
    return PROCESS_FIRST_FD + config->fd_count;
}

/* Our environment with one more, the pointers alone copied. NULL when memory runs out. */
static const char **environment_with(const char *more)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    const char **env = mem_array(count + 2, sizeof(*env));
    if (env == NULL)
        return NULL;
    env[0] = more; /* the first of one name counts */
    for (size_t i = 0; i < count; i++)
        env[i + 1] = environ[i];
    return env;
}

int process_start(struct loop *loop, const struct process_config *config, process_ended_fn *ended,
                  void *arg, struct process **ret, struct diag *d)
{
    uv_stdio_container_t stdio[PROCESS_FIRST_FD + PROCESS_FDS_MAX];
    union {
        const char *const *in;
        char **out; /* libuv's type; it only reads */
    } argv = {.in = config->argv}, env = {.in = NULL};

    if (config->fd_count > PROCESS_FDS_MAX)
        return diag_set(d, ERR_INVAL, 0, "Failed to start the %s: too many descriptors",
                        config->role);
    struct process *p = NEW(struct process);
    if (p == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to start the %s: out of memory", config->role);
    CLEANUP(mem_freep) const char **with = NULL;
    if (config->env != NULL && (with = environment_with(config->env)) == NULL) {
        mem_free(p);
        return diag_set(d, ERR_NOMEM, 0, "Failed to start the %s: out of memory", config->role);
    }
    env.in = with;
    p->ended = ended;
    p->arg = arg;
    uv_process_options_t options = {
        .file = SELF,
        .args = argv.out,
        .env = env.out,
        .exit_cb = on_ended,
        .flags = config->own_session ? UV_PROCESS_DETACHED : 0,
        .stdio = stdio,
    };
    options.stdio_count = (int)fill_stdio(config, stdio);
    int code = uv_spawn(&loop->uv, &p->uv, &options);
    if (code < 0) {
        uv_close((uv_handle_t *)&p->uv, on_closed);
        return diag_set(d, loop_err(code), code, "Failed to start the %s: %s", config->role,
                        uv_strerror(code));
    }
    p->running = true;
    *ret = p;
    return 0;
}

int process_kill(struct process *p, int signal)
{
    return p->running ? loop_err(uv_process_kill(&p->uv, signal)) : 0;
}

void process_free(struct process *p)
{
    if (p == NULL)
        return;
    (void)process_kill(p, SIGKILL);
    p->ended = NULL;
    uv_close((uv_handle_t *)&p->uv, on_closed);
}

int process_end_with_parent(uint32_t parent)
{
    pid_t before = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_from_errno(errno);
    if (getppid() != before || (parent != 0 && (uint32_t)before != parent))
        return ERR_CLOSED;
    return 0;
}

int process_wait_end(uint32_t pid, int timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

    if (fd < 0)
        return errno == ESRCH ? ERR_NOTFOUND : err_from_errno(errno);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, timeout_ms);
    int e = errno;
    (void)close(fd);
    if (n < 0)
        return err_from_errno(e);
    return n == 0 ? ERR_TIMEOUT : 0;
}

void process_set_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name);
}
