/* usage: runtime_driver lookup RUNTIME CONTAINER
 *        runtime_driver watch RUNTIME             until it is killed; "ask ID" on standard input asks about a container
 *
 * What the library says of a runtime's containers, one line each; RUNTIME "-" is the usual places. Errors: "NAME: text", exit status 1.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "policy/lookup.h"
#include "policy/runtime.h"

static int fail(const struct diag *d)
{
    printf("%s: %s\n", err_name(d->err), d->text);
    return 1;
}

static const char *runtime_of(const char *word)
{
    return str_eq(word, "-") ? NULL : word;
}

static int look_up(const char *runtime, const char *container)
{
    struct lookup_result result;
    struct diag d = {0};
    if (lookup_container(runtime_of(runtime), container, &result, &d) < 0)
        return fail(&d);
    for (size_t i = 0; i < result.count; i++)
        puts(result.names[i]);
    return 0;
}

static void print_pairs(const char *what, const struct runtime_label *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf(" %s:%s=%s", what, pairs[i].key, pairs[i].value);
}

static void print_container(const char *event, const struct runtime_container *c)
{
    printf("%s %s in %s %s %s%s network:%s", event, c->id, c->sandbox_id, c->name,
           c->running ? "running" : "ended", c->host_network ? " host" : "", c->network_path);
    print_pairs("label", c->labels, c->label_count);
    print_pairs("annotation", c->annotations, c->annotation_count);
    puts(c->network_problem[0] != '\0' ? " problem" : "");
}

static int on_container(void *arg, const struct runtime_container *c)
{
    (void)arg;
    print_container("container", c);
    return 0;
}

static void on_listed(void *arg)
{
    (void)arg;
    puts("listed");
}

static void on_gone(void *arg, const char *id)
{
    (void)arg;
    printf("gone %s\n", id);
}

static void on_state(void *arg, bool connected, const char *text)
{
    (void)arg;
    printf("%s %s\n", connected ? "connected" : "disconnected", text);
}

static void on_problem(void *arg, const char *id, const char *text)
{
    (void)arg;
    printf("problem %s %s\n", id, text);
}

static void on_answer(void *arg, int err, const struct runtime_container *c, const struct diag *d)
{
    (void)arg;
    if (err == 0)
        print_container("answer", c);
    else
        printf("answer %s: %s\n", err_name(err), d->text);
}

struct input {
    struct runtime *runtime;
    uv_poll_t poll;
};

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct input *i = poll->data;
    char line[256];
    (void)status;
    (void)events;
    if (fgets(line, sizeof(line), stdin) == NULL) {
        uv_poll_stop(poll);
        return;
    }
    line[strcspn(line, "\n")] = '\0';
    if (str_starts(line, "ask ") &&
        runtime_ask(i->runtime, line + strlen("ask "), on_answer, NULL) < 0)
        puts("answer none");
}

static int watch(const char *runtime)
{
    static const struct runtime_events events = {
        .on_container = on_container,
        .on_listed = on_listed,
        .on_gone = on_gone,
        .on_problem = on_problem,
        .on_state = on_state,
    };
    struct loop loop;
    struct input input = {NULL};
    struct diag d = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    if (loop_init(&loop) < 0)
        return 2;
    if (runtime_start(&loop, runtime_of(runtime), &events, NULL, &input.runtime, &d) < 0)
        return fail(&d);
    input.poll.data = &input;
    if (uv_poll_init(&loop.uv, &input.poll, 0) == 0)
        uv_poll_start(&input.poll, UV_READABLE, on_input);
    return loop_run(&loop) < 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && str_eq(argv[1], "lookup"))
        return look_up(argv[2], argv[3]);
    if (argc == 3 && str_eq(argv[1], "watch"))
        return watch(argv[2]);
    return 2;
}
