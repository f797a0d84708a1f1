/* Each check runs in a child: entering is for good. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/sandbox.h"

/* What the child's exit says; a signal is negative. */
static int run_sandboxed(int (*check)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct diag d = {0};
        _exit(sandbox_enter(&d) < 0 ? 100 : check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int check_files(void)
{
    return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES && access("/", F_OK) < 0 ? 0 : 1;
}

static void test_files_cannot_be_opened(void **state)
{
    (void)state;
    assert_int_equal(run_sandboxed(check_files), 0);
}

static int check_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int check_connect(void)
{
    struct sockaddr to = {.sa_family = AF_UNSPEC};
    return connect(0, &to, sizeof(to));
}

static int check_exec(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int check_fork(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int check_trace(void)
{
    return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void test_sockets_programs_and_tracing_end_the_process(void **state)
{
    (void)state;
    int (*const checks[])(void) = {check_socket, check_connect, check_exec, check_fork,
                                   check_trace};

    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        assert_int_equal(run_sandboxed(checks[i]), -SIGSYS);
}

static void *write_byte(void *arg)
{
    return write(*(int *)arg, "x", 1) == 1 ? arg : NULL;
}

/* Descriptors that are there, memory and threads are all an engine needs. */
static int check_work(void)
{
    int fds[2];
    char byte;
    pthread_t thread;

    if (pipe2(fds, O_CLOEXEC) < 0 || pthread_create(&thread, NULL, write_byte, &fds[1]) != 0)
        return 1;
    if (read(fds[0], &byte, 1) != 1 || pthread_join(thread, NULL) != 0)
        return 2;
    return mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? 3
               : 0;
}

static void test_threads_memory_and_open_descriptors_still_work(void **state)
{
    (void)state;
    assert_int_equal(run_sandboxed(check_work), 0);
}

static int check_privileges(void)
{
    return setuid(getuid() + 1); /* not in the list */
}

static void test_identity_cannot_be_changed(void **state)
{
    (void)state;
    assert_int_equal(run_sandboxed(check_privileges), -SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_cannot_be_opened),
        cmocka_unit_test(test_sockets_programs_and_tracing_end_the_process),
        cmocka_unit_test(test_threads_memory_and_open_descriptors_still_work),
        cmocka_unit_test(test_identity_cannot_be_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
