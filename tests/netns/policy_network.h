/* Network namespaces of a policy test: the test stands in one of its own (its "host"), containers are processes in others. */
#ifndef STILE_TESTS_NETNS_POLICY_NETWORK_H
#define STILE_TESTS_NETNS_POLICY_NETWORK_H

#include "network.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define COMMAND_OUTPUT (256 * 1024)

/* A process that does nothing in a network of its own. */
struct container {
    pid_t pid;
    int netns_fd;
    char name[64]; /* "pid:1234" */
};

/* A program with these arguments, separated by single spaces, in a network namespace (-1: the test's). Its exit code; what it wrote to both its
 * outputs goes to out (COMMAND_OUTPUT; may be NULL). */
static inline int command_in(int netns_fd, const char *words, char *out)
{
    char copy[1024];
    char *argv[IP_ARGS_MAX + 1] = {NULL};
    char *save;
    size_t count = 0, len = 0;
    char rest[4096];
    int fds[2], status;

    (void)snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, " ", &save); word != NULL && count < IP_ARGS_MAX;
         word = strtok_r(NULL, " ", &save))
        argv[count++] = word;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)dup2(fds[1], STDERR_FILENO);
        if (argv[0] != NULL && (netns_fd < 0 || setns(netns_fd, CLONE_NEWNET) == 0))
            (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(fds[1]);
    for (ssize_t n = 1; n > 0; len += n > 0 ? (size_t)n : 0) {
        bool keep = out != NULL && len < COMMAND_OUTPUT - 1;
        n = read(fds[0], keep ? out + len : rest, keep ? COMMAND_OUTPUT - 1 - len : sizeof(rest));
        if (!keep)
            n = n > 0 ? 1 : n, len -= n > 0 ? 1 : 0;
    }
    if (out != NULL)
        out[len] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void must_in(int netns_fd, const char *words)
{
    static char out[COMMAND_OUTPUT];

    if (command_in(netns_fd, words, out) != 0)
        fail_msg("%s: %s", words, out);
}

static inline bool says_in(int netns_fd, const char *words, const char *text)
{
    static char out[COMMAND_OUTPUT];

    return command_in(netns_fd, words, out) == 0 && strstr(out, text) != NULL;
}

/* flags: more namespaces than the one of the network. */
static inline struct container container_with(int flags)
{
    struct container c;
    char path[64], byte;
    int ready[2];

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        if (unshare(CLONE_NEWNET | flags) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)snprintf(c.name, sizeof(c.name), "pid:%d", (int)c.pid);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c.pid);
    c.netns_fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(c.netns_fd >= 0);
    must_in(c.netns_fd, "ip link set lo up");
    return c;
}

static inline struct container container_new(void)
{
    return container_with(0);
}

static inline void container_end(struct container *c)
{
    (void)kill(c->pid, SIGKILL);
    (void)waitpid(c->pid, NULL, 0);
    (void)close(c->netns_fd);
}

/* How many descriptors the test has open. */
static inline size_t open_fds(void)
{
    size_t count = 0;
    DIR *fds = opendir("/proc/self/fd");

    assert_non_null(fds);
    while (readdir(fds) != NULL)
        count++;
    (void)closedir(fds);
    return count;
}

/* A private view of the file system: what is mounted from here on ends with the test. Without the privilege it is skipped. */
static inline void private_mounts(void)
{
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        return;
    printf("1..0 # SKIP needs root: no mount namespace (%s)\n", strerror(errno));
    exit(SKIPPED);
}

static inline void write_text(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

#endif
