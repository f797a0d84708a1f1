/* nft itself, and in its place this very program, which looks at how it was started. */
#include "policy_network.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "policy/endpoint_lock.h"
#include "policy/nft_program.h"

#define REPORT "/run/report"
#define MODE   "/run/mode"
/* Directories: that it has begun, and that it may end. */
#define LATE_BEGAN   "/run/late-began"
#define LATE_MAY_END "/run/late-may-end"

static struct container container;
static struct diag d;
static char own_path[4096];
static bool placed; /* this program stands in nft's place */

/* ---- In place of nft ---- */

static void report_line(FILE *f, const char *path, const char *word)
{
    char line[1024];
    FILE *in = fopen(path, "re");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        if (strncmp(line, word, strlen(word)) == 0)
            (void)fputs(line, f);
    if (in != NULL)
        (void)fclose(in);
}

static int report_start(char **argv, char **environment)
{
    FILE *f = fopen(REPORT, "we");
    struct stat st;

    if (f == NULL)
        return 9;
    for (int fd = 0; fd < 1024; fd++)
        if (fd != fileno(f) && fcntl(fd, F_GETFD) >= 0)
            (void)fprintf(f, "fd %d\n", fd);
    for (int i = 0; argv[i] != NULL; i++)
        (void)fprintf(f, "arg %s\n", argv[i]);
    for (int i = 0; environment[i] != NULL; i++)
        (void)fprintf(f, "env %s\n", environment[i]);
    (void)fprintf(f, "alarm %u\n", alarm(0));
    if (stat("/proc/self/ns/net", &st) == 0)
        (void)fprintf(f, "net %llu\n", (unsigned long long)st.st_ino);
    report_line(f, "/proc/self/status", "SigBlk");
    report_line(f, "/proc/self/status", "SigIgn");
    (void)fputs("oom ", f);
    report_line(f, "/proc/self/oom_score_adj", "");
    (void)fclose(f);
    return 0;
}

static int flood(int fd)
{
    char text[4096];

    memset(text, 'x', sizeof(text));
    while (write(fd, text, sizeof(text)) > 0)
        ;
    return 1;
}

static int say(const char *text, int code)
{
    (void)fputs(text, stderr);
    return code;
}

static bool wait_for_file(const char *path)
{
    for (int i = 0; i < 3000 && access(path, F_OK) < 0; i++)
        (void)usleep(10000);
    return access(path, F_OK) == 0;
}

static int wait_to_be_let_go(void)
{
    if (mkdir(LATE_BEGAN, 0755) < 0)
        return 9;
    return !wait_for_file(LATE_MAY_END);
}

static int pretend(char **argv, char **environment)
{
    char mode[32] = "";
    int fd = open(MODE, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, mode, sizeof(mode) - 1) <= 0)
        return 9;
    (void)close(fd);
    switch (mode[0]) {
    case 's':
        return report_start(argv, environment);
    case 'v':
        return puts(mode + 1) < 0;
    case 'a':
        (void)alarm(1);
        return pause();
    case 'c':
        return raise(SIGKILL);
    case 'o':
        return flood(STDOUT_FILENO);
    case 'e':
        (void)signal(SIGPIPE, SIG_IGN);
        (void)say("Error: it said\n", 0);
        for (int i = 0; i < 1000; i++)
            (void)say("and more, and more, and more, and more, and more\n", 0);
        return 1;
    case 'h':
        if (fork() == 0)
            (void)sleep(20);
        return puts("held") < 0;
    case 'l':
        return wait_to_be_let_go();
    case 'n':
        return say("utils.c:38: Memory allocation failure\n", 2);
    case 'q':
        return 3;
    case 'p':
        return say("netlink: Error: cache initialization failed: Operation not permitted\n", 1);
    case 'k':
        return say("/dev/stdin:3:1-2: Error: Could not process rule: Operation not supported\n", 1);
    case 'm':
        return say("/dev/stdin:3:1-2: Error: Could not process rule: Message too long\n", 1);
    default:
        return 9;
    }
}

static void in_place(const char *mode)
{
    write_text(MODE, mode, 0600);
    if (!placed)
        assert_int_equal(mount(own_path, "/usr/sbin/nft", NULL, MS_BIND, NULL), 0);
    placed = true;
}

static void real_again(void)
{
    if (placed)
        (void)umount("/usr/sbin/nft");
    placed = false;
}

static int make_container(void **state UNUSED)
{
    container = container_new();
    d = (struct diag){0};
    return 0;
}

static int end_container(void **state UNUSED)
{
    real_again();
    container_end(&container);
    return 0;
}

static int run(const char *text)
{
    return nft_run(container.netns_fd, -1, slice_str(text), &d);
}

/* ---- nft itself ---- */

static void a_document_is_done_whole_or_not_at_all(void **state UNUSED)
{
    assert_int_equal(run("add table inet one\nadd chain inet one c\n"), 0);
    assert_true(says_in(container.netns_fd, "nft list ruleset", "table inet one"));
    assert_false(says_in(-1, "nft list ruleset", "table inet one"));
    assert_int_equal(run("add table inet two\nadd rule inet two nosuch accept\n"), ERR_UNSUPPORTED);
    assert_non_null(strstr(d.text, "No such file"));
    assert_false(says_in(container.netns_fd, "nft list ruleset", "table inet two"));
    assert_int_equal(run("table inet one { this is no language }\n"), ERR_IO);
    assert_non_null(strstr(d.text, "nft says"));
}

static void a_table_is_listed_and_one_that_is_not_there_is_empty(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, 1024 * 1024);
    assert_int_equal(buf_put_str(&text, "rest"), 0);
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_int_equal(buf_len(&text), 0);
    assert_int_equal(run("add table inet one\nadd chain inet one some_chain\n"), 0);
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_non_null(strstr(buf_cstr(&text), "some_chain"));
}

static void input_and_output_may_be_larger_than_any_pipe(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf text;
    enum { CHAINS = 20000 };

    buf_init(&text, 16 * 1024 * 1024);
    assert_int_equal(buf_put_str(&text, "add table inet one\n"), 0);
    for (int i = 0; i < CHAINS; i++)
        assert_int_equal(buf_printf(&text, "add chain inet one a_chain_with_a_number_%d\n", i), 0);
    assert_int_equal(nft_run(container.netns_fd, -1, buf_slice(&text), &d), 0);
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_true(buf_len(&text) > (size_t)512 * 1024);
    assert_non_null(strstr(buf_cstr(&text), "a_chain_with_a_number_19999"));
    assert_true(buf_cstr(&text)[buf_len(&text) - 2] == '}');
}

/* For those that list: nobody asks nft about a table that isn't there. */
static void a_table_is_there(void)
{
    assert_int_equal(run("add table inet one\n"), 0);
}

static void a_listing_over_its_cap_is_refused(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, 64 * 1024);
    a_table_is_there();
    in_place("o");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), ERR_TOOBIG);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
}

static void a_listing_that_takes_all_memory_is_nfts_end_and_a_damaged_table(void **state UNUSED)
{
    static char out[COMMAND_OUTPUT];
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, 64 * 1024);
    a_table_is_there();
    in_place("start");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_int_equal(command_in(-1, "cat " REPORT, out), 0);
    assert_non_null(strstr(out, "oom 1000\n"));
    assert_int_equal(run("x"), 0);
    assert_int_equal(command_in(-1, "cat " REPORT, out), 0);
    assert_null(strstr(out, "oom 1000\n"));
    in_place("c");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), ERR_TOOBIG);
    in_place("n");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), ERR_TOOBIG);
    assert_int_equal(run("x"), ERR_IO);
}

/* ---- How it is started ---- */

static bool report_has(const char *text)
{
    return says_in(-1, "cat " REPORT, text);
}

static void ignore_what_glibc_keeps(void)
{
    const uint64_t action[8] = {
        (uint64_t)(uintptr_t)SIG_IGN}; /* the kernel's struct, its handler first */

    assert_int_equal(syscall(SYS_rt_sigaction, 32, action, NULL, sizeof(uint64_t)), 0);
}

static void it_has_no_descriptor_no_environment_no_signal_of_ours(void **state UNUSED)
{
    static char out[COMMAND_OUTPUT], net[64];
    struct stat st;
    sigset_t some, before;
    int leaky = open("/proc/self/ns/net", O_RDONLY); /* without O_CLOEXEC, on purpose */
    int high = dup2(leaky, 900);

    in_place("start");
    (void)setenv("LD_PRELOAD_OF_TEST", "x", 1);
    (void)sigfillset(&some);
    (void)pthread_sigmask(SIG_BLOCK, &some, &before);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    ignore_what_glibc_keeps(); /* as some parents do */
    assert_int_equal(run("x"), 0);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(leaky);
    (void)close(high);
    assert_int_equal(command_in(-1, "cat " REPORT, out), 0);
    assert_non_null(strstr(out, "fd 0\nfd 1\nfd 2\narg nft\narg -f\narg -\nalarm "));
    assert_non_null(strstr(out, "SigBlk:\t0000000000000000"));
    if (strstr(out, "SigIgn:\t0000000000000000") == NULL)
        fail_msg("nft ignores signals, or its report is cut: %s", out);
    assert_true(report_has("alarm 30") || report_has("alarm 29"));
    assert_int_equal(fstat(container.netns_fd, &st), 0);
    (void)snprintf(net, sizeof(net), "net %llu\n", (unsigned long long)st.st_ino);
    assert_true(report_has(net));
}

static void no_descriptor_is_left_whatever_happens(void **state UNUSED)
{
    static const char *const modes[] = {"start", "c", "o", "e", "q", "a"};
    CLEANUP(buf_release) struct buf text;
    size_t before = open_fds();

    buf_init(&text, 1000);
    a_table_is_there();
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        in_place(modes[i]);
        (void)nft_list(container.netns_fd, "one", &text, &d);
        assert_int_equal(open_fds(), before);
    }
}

static void standard_descriptors_may_be_closed(void **state UNUSED)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(0);
        (void)close(1);
        (void)close(2);
        CLEANUP(buf_release) struct buf text;
        buf_init(&text, 100000);
        int err = nft_run(container.netns_fd, -1, SLICE_LIT("add table inet one\n"), &d);
        if (err == 0)
            err = nft_list(container.netns_fd, "one", &text, &d);
        _exit(err == 0 && strstr(buf_cstr(&text), "one") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- In a program that does as it likes with signals and children ---- */

static void ignored_ends_of_children_lose_nothing(void **state UNUSED)
{
    (void)signal(SIGCHLD, SIG_IGN);
    int good = run("add table inet one\n"), bad = run("nonsense\n");
    (void)signal(SIGCHLD, SIG_DFL);
    assert_int_equal(good, 0);
    assert_int_equal(bad, ERR_IO);
}

static volatile sig_atomic_t children_ended;
static volatile bool over;

static void on_child(int number UNUSED)
{
    children_ended++;
}

static void *wait_for_any(void *arg UNUSED)
{
    intptr_t taken = 0;

    while (!over) {
        taken += waitpid(-1, NULL, WNOHANG) > 0;
        (void)usleep(500);
    }
    return (void *)taken;
}

static void a_program_that_waits_for_any_child_sees_none_of_ours(void **state UNUSED)
{
    pthread_t thread;
    void *taken;

    (void)signal(SIGCHLD, on_child);
    over = false;
    children_ended = 0;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_any, NULL), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(run("add table inet one\n"), 0);
        assert_int_equal(run("nonsense\n"), ERR_IO);
    }
    over = true;
    assert_int_equal(pthread_join(thread, &taken), 0);
    (void)signal(SIGCHLD, SIG_DFL);
    assert_int_equal((intptr_t)taken, 0);
    assert_int_equal(children_ended, 0);
}

static void *run_some(void *arg)
{
    struct diag e;
    char text[64];
    intptr_t failed = 0;

    (void)snprintf(text, sizeof(text), "add table inet t%d\n", *(const int *)arg);
    for (int i = 0; i < 10; i++) {
        failed += nft_run(container.netns_fd, -1, slice_str(text), &e) != 0;
        failed += nft_run(container.netns_fd, -1, SLICE_LIT("nonsense\n"), &e) != ERR_IO;
    }
    return (void *)failed;
}

static void threads_do_not_disturb_each_other(void **state UNUSED)
{
    pthread_t threads[8];
    int numbers[ARRAY_LEN(threads)];
    void *failed;

    for (int i = 0; i < (int)ARRAY_LEN(threads); i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_some, &numbers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_int_equal((intptr_t)failed, 0);
    }
    assert_true(says_in(container.netns_fd, "nft list ruleset", "table inet t7"));
}

/* ---- What goes wrong ---- */

/* It tells this as its version from now on, and isn't the file that it was. */
static void tells(const char *version)
{
    write_text(MODE, version, 0600);
    assert_int_equal(utimensat(AT_FDCWD, "/usr/sbin/nft", NULL, 0), 0);
}

static void nft_must_be_there_and_new_enough(void **state UNUSED)
{
    char version[NFT_VERSION_SIZE];

    assert_int_equal(nft_check(&d), 0);
    assert_int_equal(nft_version(version, &d), 0);
    assert_true(version[0] >= '1' && version[0] <= '9');
    in_place("vnftables v1.0.1 (Fearless Fosdick #3)");
    assert_int_equal(nft_check(&d), ERR_VERSION);
    assert_non_null(strstr(d.text, "1.0.1"));
    assert_int_equal(nft_version(version, &d), 0);
    assert_string_equal(version, "1.0.1");
    tells("vnftables v0.9.8 (E.D.S.)");
    assert_int_equal(nft_check(&d), ERR_VERSION);
    tells("vnftables v1.0.2 (Lester)");
    assert_int_equal(nft_check(&d), 0);
    tells("vnftables v1.1 (Later)");
    assert_int_equal(nft_check(&d), 0);
    tells("vnftables v10.0.0 (Later)");
    assert_int_equal(nft_check(&d), 0);
    tells("vnothing of the kind");
    assert_int_equal(nft_check(&d), ERR_VERSION);
    tells("o"); /* another program, which has much to say */
    assert_int_equal(nft_check(&d), ERR_VERSION);
    assert_non_null(strstr(d.text, "does not tell its version"));
    real_again();
    assert_int_equal(mount("/dev/null", "/usr/sbin/nft", NULL, MS_BIND, NULL), 0);
    placed = true;
    assert_int_equal(nft_check(&d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "install nftables"));
    assert_int_equal(run("add table inet one\n"), ERR_NOTFOUND);
}

static void nft_is_not_started_to_say_that_there_is_no_table(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, 4096);
    in_place("9"); /* whoever starts it gets an error */
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_int_equal(buf_len(&text), 0);
    real_again();
    assert_int_equal(run("add table inet one\n"), 0);
    in_place("9");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), ERR_IO);
    assert_int_equal(nft_list(container.netns_fd, "on", &text, &d), 0);
    assert_int_equal(nft_list(container.netns_fd, "one ", &text, &d), 0);
    real_again();
    assert_int_equal(run("delete table inet one\nadd table ip one\n"), 0);
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_int_equal(buf_len(&text), 0);
    assert_int_equal(run("delete table ip one\n"), 0);
}

static void nft_is_asked_its_version_until_it_is_another(void **state UNUSED)
{
    in_place("vnftables v1.0.2 (Lester)");
    tells("vnftables v1.0.2 (Lester)");
    assert_int_equal(nft_check(&d), 0);
    write_text(MODE, "vnftables v0.9.8 (E.D.S.)", 0600); /* who asked would notice */
    assert_int_equal(nft_check(&d), 0);
    tells("vnftables v0.9.8 (E.D.S.)");
    assert_int_equal(nft_check(&d), ERR_VERSION);
    assert_int_equal(nft_check(&d), ERR_VERSION);
    tells("vnftables v1.0.6 (Lester)");
    assert_int_equal(nft_check(&d), 0);
    real_again();
    assert_int_equal(nft_check(&d), 0);
}

static atomic_bool asking;

static void *ask_on(void *arg UNUSED)
{
    while (atomic_load(&asking))
        (void)nft_check(NULL);
    return NULL;
}

/* As the library's, so whatever it knows of nft: a program with threads may be forked in the middle of looking. */
static void a_child_forked_at_any_moment_can_ask(void **state UNUSED)
{
    pthread_t threads[2];
    int failed = 0;

    assert_int_equal(nft_check(&d), 0);
    atomic_store(&asking, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, NULL), 0);
    for (int i = 0; i < 500 && failed == 0; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            (void)alarm(20);
            _exit(nft_check(NULL) < 0);
        }
        (void)waitpid(pid, &status, 0);
        failed = status;
    }
    atomic_store(&asking, false);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(failed, 0);
}

static void each_failure_has_its_words(void **state UNUSED)
{
    static const struct {
        const char *mode, *words;
        int err;
    } cases[] = {{"a", "did not end within", ERR_TIMEOUT},
                 {"c", "signal 9", ERR_IO},
                 {"e", "it said", ERR_IO},
                 {"q", "code 3", ERR_IO},
                 {"p", "root", ERR_PERM},
                 {"k", "modprobe", ERR_UNSUPPORTED},
                 {"m", "wmem_max", ERR_LIMIT}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        in_place(cases[i].mode);
        assert_int_equal(run("x"), cases[i].err);
        if (strstr(d.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].mode, d.text);
    }
}

static void what_keeps_its_output_open_is_not_waited_for(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf text;
    uint64_t before = clock_mono_ns();

    buf_init(&text, 1000);
    a_table_is_there();
    in_place("h");
    assert_int_equal(nft_list(container.netns_fd, "one", &text, &d), 0);
    assert_string_equal(buf_cstr(&text), "held\n");
    assert_true(clock_mono_ns() - before < 5 * NS_PER_S);
}

/* ---- The lock ---- */

static void a_lock_excludes_writers_of_the_same_endpoint_alone(void **state UNUSED)
{
    struct container other = container_new();
    int a = -1, b = -1, c = -1;

    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &a, &d), 0);
    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &b, &d), ERR_BUSY);
    assert_non_null(strstr(d.text, "another thread of this program"));
    assert_int_equal(endpoint_lock(other.netns_fd, 100, NULL, &c, &d), 0);
    (void)close(a);
    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &b, &d), 0);
    (void)close(b);
    (void)close(c);
    container_end(&other);
}

/* As another thread of a program may do at any time: with every descriptor, and without becoming another program. */
static void a_child_that_has_a_copy_of_the_lock_does_not_keep_it(void **state UNUSED)
{
    int fd = -1, again = -1;

    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    endpoint_unlock(&fd);
    assert_int_equal(fd, -1);
    int err = endpoint_lock(container.netns_fd, 100, NULL, &again, &d);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(err, 0);
    endpoint_unlock(&again);
}

static void a_lock_that_others_could_hold_is_refused(void **state UNUSED)
{
    int fd = -1;

    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d), 0);
    (void)close(fd);
    assert_int_equal(chmod("/run/stile-policy", 0777), 0);
    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d), ERR_PERM);
    assert_int_equal(chmod("/run/stile-policy", 0755), 0);
    assert_int_equal(chmod("/run/stile-policy/policy.lock", 0666), 0);
    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d), ERR_PERM);
    assert_int_equal(unlink("/run/stile-policy/policy.lock"), 0);
    assert_int_equal(symlink("/run/other", "/run/stile-policy/policy.lock"), 0);
    assert_true(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d) < 0);
    assert_int_equal(access("/run/other", F_OK), -1);
    assert_int_equal(unlink("/run/stile-policy/policy.lock"), 0);
    assert_int_equal(mkfifo("/run/stile-policy/policy.lock", 0600), 0);
    assert_int_equal(endpoint_lock(container.netns_fd, 100, NULL, &fd, &d), ERR_PERM);
    assert_int_equal(unlink("/run/stile-policy/policy.lock"), 0);
}

static void a_killed_writer_holds_the_lock_until_its_nft_has_ended(void **state UNUSED)
{
    int fd = -1, ready[2];
    char byte;

    in_place("late");
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (endpoint_lock(container.netns_fd, 100, NULL, &fd, &d) < 0 ||
            write(ready[1], "", 1) != 1)
            _exit(1);
        _exit(nft_run(container.netns_fd, fd, SLICE_LIT("x"), &d) < 0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(wait_for_file(LATE_BEGAN));
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(endpoint_lock(container.netns_fd, 50, NULL, &fd, &d), ERR_BUSY);
    assert_int_equal(mkdir(LATE_MAY_END, 0755), 0);
    assert_int_equal(endpoint_lock(container.netns_fd, 30000, NULL, &fd, &d), 0);
    (void)close(fd);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* ---- */

int main(int argc UNUSED, char **argv, char **environment)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_done_whole_or_not_at_all),
        cmocka_unit_test(a_table_is_listed_and_one_that_is_not_there_is_empty),
        cmocka_unit_test(input_and_output_may_be_larger_than_any_pipe),
        cmocka_unit_test(a_listing_over_its_cap_is_refused),
        cmocka_unit_test(a_listing_that_takes_all_memory_is_nfts_end_and_a_damaged_table),
        cmocka_unit_test(it_has_no_descriptor_no_environment_no_signal_of_ours),
        cmocka_unit_test(no_descriptor_is_left_whatever_happens),
        cmocka_unit_test(standard_descriptors_may_be_closed),
        cmocka_unit_test(ignored_ends_of_children_lose_nothing),
        cmocka_unit_test(a_program_that_waits_for_any_child_sees_none_of_ours),
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(nft_must_be_there_and_new_enough),
        cmocka_unit_test(nft_is_not_started_to_say_that_there_is_no_table),
        cmocka_unit_test(nft_is_asked_its_version_until_it_is_another),
        cmocka_unit_test(a_child_forked_at_any_moment_can_ask),
        cmocka_unit_test(each_failure_has_its_words),
        cmocka_unit_test(what_keeps_its_output_open_is_not_waited_for),
        cmocka_unit_test(a_lock_excludes_writers_of_the_same_endpoint_alone),
        cmocka_unit_test(a_child_that_has_a_copy_of_the_lock_does_not_keep_it),
        cmocka_unit_test(a_lock_that_others_could_hold_is_refused),
        cmocka_unit_test(a_killed_writer_holds_the_lock_until_its_nft_has_ended),
    };

    if (strcmp(argv[0], "nft") == 0)
        return pretend(argv, environment);
    assert_true(readlink("/proc/self/exe", own_path, sizeof(own_path) - 1) > 0);
    network_enter();
    private_mounts();
    assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=755"), 0);
    struct CMUnitTest each[ARRAY_LEN(tests)];
    memcpy(each, tests, sizeof(each));
    for (size_t i = 0; i < ARRAY_LEN(each); i++) {
        each[i].setup_func = make_container;
        each[i].teardown_func = end_container;
    }
    return cmocka_run_group_tests(each, NULL, NULL);
}
