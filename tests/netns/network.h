/* A network namespace of the test's own, and `ip` as the administrator who changes things meanwhile. */
#ifndef STILE_TESTS_NETNS_NETWORK_H
#define STILE_TESTS_NETNS_NETWORK_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/testing.h"

#include "net/prefix.h"
#include "platform/tun.h"

enum { SKIPPED = 77, IP_ARGS_MAX = 32 };

/* Without the privilege the whole test is skipped. */
static inline void network_enter(void)
{
    if (unshare(CLONE_NEWNET) == 0)
        return;
    printf("1..0 # SKIP needs root: no network namespace (%s)\n", strerror(errno));
    exit(SKIPPED);
}

/* `ip` with these arguments, separated by single spaces. Returns its exit code; its output goes to `out`, if that isn't NULL. */
static inline int network_ip_output(const char *arguments, char *out, size_t out_size)
{
    char copy[512];
    char program[] = "ip";
    char *argv[IP_ARGS_MAX + 1] = {program};
    size_t count = 1;
    char *save;
    int fds[2];
    int status;

    assert_true(strlen(arguments) < sizeof(copy));
    (void)snprintf(copy, sizeof(copy), "%s", arguments);
    for (char *word = strtok_r(copy, " ", &save); word != NULL && count < IP_ARGS_MAX;
         word = strtok_r(NULL, " ", &save))
        argv[count++] = word;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        if (out == NULL)
            (void)dup2(fds[1], STDERR_FILENO);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(fds[1]);
    char text[8192];
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<sizeof(text) - 1; len += n> 0 ? (size_t)n : 0)
        n = read(fds[0], text + len, sizeof(text) - 1 - len);
    text[len] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (out != NULL)
        (void)snprintf(out, out_size, "%s", text);
    else if (status != 0)
        print_message("ip %s: %s", arguments, text);
    return WEXITSTATUS(status);
}

static inline void network_ip(const char *arguments)
{
    assert_int_equal(network_ip_output(arguments, NULL, 0), 0);
}

static inline bool network_ip_says(const char *arguments, const char *words)
{
    char text[8192];

    return network_ip_output(arguments, text, sizeof(text)) == 0 && strstr(text, words) != NULL;
}

/* false: the file isn't there or can't be written (a container). */
static inline bool network_sysctl(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

    if (fd >= 0)
        (void)close(fd);
    return done;
}

/* Without the address that the kernel makes up after a moment. */
static inline struct tun network_tun(const char *name)
{
    struct tun tun;
    struct diag d = {0};
    char words[64];

    if (tun_open(name, 1, &tun, &d) < 0)
        fail_msg("%s", d.text);
    (void)snprintf(words, sizeof(words), "link set %s addrgenmode none", name);
    network_ip(words);
    return tun;
}

static inline struct prefix prefix_from(const char *text)
{
    struct prefix p;

    assert_int_equal(prefix_parse(text, &p), 0);
    return p;
}

static inline struct ip_addr addr_from(const char *text)
{
    struct ip_addr a;

    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

#endif
