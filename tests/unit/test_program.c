/* Programs that are run: what they get, what they say, and that none stays. */
#include "testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "netcfg/program.h"
#include "temp_dir.h"

static int run(const char *script, const char *input, uint64_t timeout_ms, const char *lock,
               struct buf *out, int *ret_exit, struct diag *d)
{
    struct program p = {.path = "/bin/sh",
                        .args = (const char *const[]){"sh", "-c", script, NULL},
                        .input = slice_str(input),
                        .timeout_ms = timeout_ms,
                        .lock = lock};
    buf_init(out, PROGRAM_OUTPUT_MAX);
    return program_run(&p, out, ret_exit, d);
}

static void it_gets_our_text_and_an_environment_of_its_own(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    assert_int_equal(setenv("IF_EXCLUSIVE", "1", 1), 0);
    assert_int_equal(run("cat; echo \"$PATH|$IF_EXCLUSIVE|$HOME|$(pwd)\"; exit 7", "a\nb\n", 5000,
                         NULL, &out, &code, NULL),
                     0);
    assert_int_equal(code, 7);
    assert_string_equal(buf_cstr(&out), "a\nb\n/usr/sbin:/usr/bin:/sbin:/bin|||/\n");
    buf_release(&out);
}

static void it_gets_no_descriptor_of_ours(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd > 2);
    assert_int_equal(run("ls /proc/self/fd | wc -l", "", 5000, NULL, &out, &code, NULL), 0);
    close(fd);
    /* 0, 1, 2, and the one of the directory that ls reads. */
    assert_string_equal(buf_cstr(&out), "4\n");
    buf_release(&out);
}

/* 1 to 31. Two of the others are the C library's own: whoever started the test may have left them ignored, and no program can
 * change that. */
#define STANDARD_SIGNALS 0x7fffffffull

static void signals_are_as_for_any_program(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    signal(SIGPIPE, SIG_IGN);
    int err = run("sed -nE 's/^Sig(Blk|Ign):\\t//p' /proc/self/status", "", 5000, NULL, &out, &code,
                  NULL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(err, 0);
    char *rest;
    assert_int_equal(strtoull(buf_cstr(&out), &rest, 16) & STANDARD_SIGNALS, 0);
    assert_int_equal(strtoull(rest, &rest, 16) & STANDARD_SIGNALS, 0);
    assert_string_equal(rest, "\n");
    buf_release(&out);
}

/* Also if nobody has waited for it yet. */
static bool has_ended(uint64_t pid)
{
    char path[64], text[512] = "";
    assert_int_equal(str_format(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid), 0);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    close(fd);
    return n <= 0 || strstr(text, ") Z ") != NULL;
}

static void one_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    struct diag d = {0};
    uint64_t start = clock_mono_ns();
    assert_int_equal(run("trap '' TERM; sleep 61 & echo $!; wait", "", 1500, NULL, &out, &code, &d),
                     ERR_TIMEOUT);
    assert_true(clock_mono_ns() - start < 20 * NS_PER_S);
    assert_non_null(strstr(d.text, "killed"));
    uint64_t pid = 0;
    char *line = buf_steal_cstr(&out);
    line[strcspn(line, "\n")] = '\0';
    assert_int_equal(str_to_u64(line, INT32_MAX, &pid), 0);
    mem_free(line);
    for (int i = 0; i < 3000 && !has_ended(pid); i++)
        usleep(10 * 1000);
    assert_true(has_ended(pid));
}

static void much_output_is_cut_not_waited_for(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    assert_int_equal(run("head -c 3000000 /dev/zero", "", 5000, NULL, &out, &code, NULL), 0);
    assert_int_equal(code, 0);
    assert_true(buf_len(&out) > 0 && buf_len(&out) <= PROGRAM_OUTPUT_MAX);
    buf_release(&out);
}

static void a_child_that_stays_is_not_waited_for(void **state)
{
    (void)state;
    struct buf out;
    int code = -1;
    uint64_t start = clock_mono_ns();
    assert_int_equal(run("sleep 12 & exit 3", "", 12000, NULL, &out, &code, NULL), 0);
    assert_int_equal(code, 3);
    assert_true(clock_mono_ns() - start < 10 * NS_PER_S);
    buf_release(&out);
}

static void one_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct diag d = {0};
    int code = -1;
    struct program p = {.path = "/nonexistent/program",
                        .args = (const char *const[]){"program", NULL},
                        .timeout_ms = 1000};
    assert_int_equal(program_run(&p, NULL, &code, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "/nonexistent/program"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void an_end_that_cannot_be_learned_is_no_success(void **state)
{
    (void)state;
    struct buf out;
    struct diag d = {0};
    int code = -1;
    (void)signal(SIGCHLD, SIG_IGN);
    assert_int_equal(run("exit 0", "", 5000, NULL, &out, &code, &d), ERR_IO);
    (void)signal(SIGCHLD, SIG_DFL);
    assert_non_null(strstr(d.text, "SIGCHLD"));
    assert_int_equal(code, -1);
    buf_release(&out);
}

/* Children with copies of whatever is open, as another thread may begin them at any moment. They end after some seconds. */
static void *fork_on(void *done)
{
    for (int i = 0; i < 100 && !atomic_load((atomic_bool *)done); i++) {
        if (fork() == 0) {
            (void)sleep(3);
            _exit(0);
        }
        (void)usleep(500);
    }
    return NULL;
}

static void what_another_thread_forks_is_not_waited_for(void **state)
{
    (void)state;
    atomic_bool done = false;
    pthread_t thread;
    struct buf out;
    int code = -1;
    assert_int_equal(pthread_create(&thread, NULL, fork_on, &done), 0);
    uint64_t before = clock_mono_ns();
    int r = 0;
    for (int i = 0; i < 10 && r == 0; i++) {
        r = run("echo a", "", 5000, NULL, &out, &code, NULL);
        buf_release(&out);
    }
    uint64_t took = clock_mono_ns() - before;
    atomic_store(&done, true);
    (void)pthread_join(thread, NULL);
    while (wait(NULL) > 0)
        ;
    assert_int_equal(r, 0);
    assert_int_equal(code, 0);
    assert_true(took < 3 * NS_PER_S);
}

static void a_run_that_was_left_behind_is_waited_for(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], lock[TEMP_DIR_SIZE + 16], script[256];
    char started[TEMP_DIR_SIZE + 16];
    struct buf out;
    int code = -1;
    temp_dir_make(dir);
    assert_int_equal(str_format(lock, sizeof(lock), "%s/sub/lock", dir), 0);
    assert_int_equal(str_format(script, sizeof(script),
                                "echo >%s/started; sleep 1; echo done >%s/done", dir, dir),
                     0);
    assert_int_equal(str_format(started, sizeof(started), "%s/started", dir), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)run(script, "", 30000, lock, &out, &code, NULL);
        _exit(0);
    }
    for (int i = 0; i < 3000 && access(started, F_OK) < 0; i++)
        usleep(10 * 1000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(str_format(script, sizeof(script), "cat %s/done", dir), 0);
    assert_int_equal(run(script, "", 30000, lock, &out, &code, NULL), 0);
    assert_string_equal(buf_cstr(&out), "done\n");
    buf_release(&out);
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gets_our_text_and_an_environment_of_its_own),
        cmocka_unit_test(it_gets_no_descriptor_of_ours),
        cmocka_unit_test(signals_are_as_for_any_program),
        cmocka_unit_test(one_that_hangs_is_killed_with_its_children),
        cmocka_unit_test(much_output_is_cut_not_waited_for),
        cmocka_unit_test(a_child_that_stays_is_not_waited_for),
        cmocka_unit_test(one_that_is_not_there_is_said),
        cmocka_unit_test(an_end_that_cannot_be_learned_is_no_success),
        cmocka_unit_test(what_another_thread_forks_is_not_waited_for),
        cmocka_unit_test(a_run_that_was_left_behind_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
