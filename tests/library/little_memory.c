/* usage: little_memory
 *
 * Asks libstile-policy, as a program linked with it does, while less and less memory is to be had: every allocation of the calling thread is
 * counted, whoever makes it (the library, libuv, jansson, nghttp2, the C library), and those over the budget fail. Each budget has a
 * process of its own, which must end by itself. Prints how many budgets were too small.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stile/policy.h>

#define STEP 512

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static _Thread_local bool counted;
static size_t used, budget, most;

static bool refused(size_t size)
{
    if (!counted || used + size <= budget)
        return false;
    errno = ENOMEM;
    return true;
}

static void *took(void *p)
{
    if (counted && p != NULL)
        used += malloc_usable_size(p);
    most = used > most ? used : most;
    return p;
}

static void gave(void *p)
{
    size_t size = counted && p != NULL ? malloc_usable_size(p) : 0;

    used -= size < used ? size : used;
}

void *malloc(size_t size)
{
    return refused(size) ? NULL : took(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return refused(count * size) ? NULL : took(__libc_calloc(count, size));
}

void *realloc(void *p, size_t size)
{
    if (refused(size))
        return NULL;
    gave(p);
    return took(__libc_realloc(p, size));
}

void free(void *p)
{
    gave(p);
    __libc_free(p);
}

/* A runtime that takes calls and ends them at once. */
static void *serve(void *arg)
{
    char bytes[64];

    for (;;) {
        int fd = accept(*(int *)arg, NULL, NULL);
        (void)!read(fd, bytes, sizeof(bytes));
        (void)close(fd);
    }
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 8) < 0)
        return -1;
    return fd;
}

static int make_policies(struct stile_policy_error *error)
{
    static const char text[] =
        "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"Port\":\"8000\",\"UserID\":\"1\"}}";
    /* Not by name: the C library's look-up of names doesn't survive this. */
    const struct stile_policy_setting setting = {"uid", "1337"};
    struct stile_policies *p = NULL;
    char *json = NULL;
    int r = stile_policies_new(&p, error);

    if (r == 0)
        r = stile_policies_read_json(p, text, sizeof(text) - 1, error);
    if (r == 0)
        r = stile_policies_add(p, &setting, 1, error);
    if (r == 0)
        r = stile_policies_write_json(p, &json, error);
    stile_policy_free(json);
    stile_policies_free(p);
    return r;
}

/* 0: all went as with enough memory; 1: it ran out, and that was said; 2: anything else. */
static int ask(const char *path, size_t most_allowed)
{
    struct stile_endpoint_names names;
    struct stile_policy_error error = {0};

    budget = most_allowed;
    counted = true;
    int made = make_policies(&error);
    int found = made == 0 ? stile_endpoint_find(path, "0123456789ab", &names, &error) : 0;
    counted = false;
    if (made == 0 && found == STILE_POLICY_EUNREACHABLE && strstr(error.text, "memory") == NULL)
        return 0;
    if (made == STILE_POLICY_ENOMEM || found == STILE_POLICY_ENOMEM ||
        strstr(error.text, "memory") != NULL)
        return 1;
    fprintf(stderr, "with %zu bytes: %d %d %s\n", most_allowed, made, found, error.text);
    return 2;
}

static int in_child(const char *path, int listener, size_t most_allowed, int report)
{
    pthread_t thread;
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        (void)alarm(30);
        if (pthread_create(&thread, NULL, serve, &listener) != 0)
            _exit(3);
        int r = ask(path, most_allowed);
        (void)!write(report, &most, sizeof(most));
        _exit(r);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 3;
    if (WIFSIGNALED(status))
        fprintf(stderr, "with %zu bytes: killed by signal %d\n", most_allowed, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char **argv)
{
    int listener = argc == 2 ? listen_at(argv[1]) : -1, report[2], failed = 0;
    size_t enough = 0, short_of = 0;

    if (listener < 0 || pipe(report) < 0)
        return 2;
    if (in_child(argv[1], listener, SIZE_MAX / 2, report[1]) != 0 ||
        read(report[0], &enough, sizeof(enough)) != sizeof(enough))
        return 2;
    for (size_t size = 0; size < enough; size += STEP) {
        int r = in_child(argv[1], listener, size, report[1]);
        short_of += r == 1;
        failed += r > 1;
    }
    printf("%zu budgets below %zu bytes were too small\n", short_of, enough);
    return failed > 0;
}
