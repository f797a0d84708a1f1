#include "policy_network.h"

#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "policy/namespace.h"

static struct container container;
static struct diag d;

static int make_container(void **state UNUSED)
{
    container = container_new();
    d = (struct diag){0};
    return 0;
}

static int end_container(void **state UNUSED)
{
    container_end(&container);
    return 0;
}

static bool is_container(int fd)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstat(container.netns_fd, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static void opens(const char *name)
{
    int fd = -1;

    if (namespace_open(name, false, &fd, &d) < 0)
        fail_msg("%s: %s", name, d.text);
    assert_true(is_container(fd));
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    (void)close(fd);
}

static void refuses(const char *name, int err)
{
    int fd = 4711;
    size_t before = open_fds();

    d = (struct diag){0};
    int r = namespace_open(name, false, &fd, &d);
    if (r != err)
        fail_msg("%s: %d instead of %d: %s", name, r, err, d.text);
    assert_int_equal(fd, 4711);
    assert_int_equal(open_fds(), before);
    assert_true(strlen(d.text) > 20);
}

/* ---- Names ---- */

static void a_namespace_opens_by_path_name_and_process(void **state UNUSED)
{
    char path[64], named[128];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)container.pid);
    opens(path);
    opens(container.name);
    assert_int_equal(namespace_name_of_pid(container.pid, named, sizeof(named), &d), 0);
    assert_non_null(strchr(named, '@'));
    opens(named);
    write_text("/run/netns/blue", "", 0444);
    assert_int_equal(mount(path, "/run/netns/blue", NULL, MS_BIND, NULL), 0);
    opens("blue");
    opens("/run/netns/blue");
    assert_int_equal(symlink("/run/netns/blue", "/run/netns/link"), 0);
    opens("link");
    assert_int_equal(umount("/run/netns/blue"), 0);
    refuses("blue", ERR_INVAL);
    assert_non_null(strstr(d.text, "plain file"));
    assert_int_equal(unlink("/run/netns/blue"), 0);
    refuses("blue", ERR_NOTFOUND);
    refuses("link", ERR_NOTFOUND);
    assert_int_equal(unlink("/run/netns/link"), 0);
}

static void what_is_no_network_namespace_is_refused_and_never_waited_for(void **state UNUSED)
{
    assert_int_equal(mkfifo("/run/netns/fifo", 0600), 0);
    refuses("fifo", ERR_INVAL);
    assert_int_equal(unlink("/run/netns/fifo"), 0);
    refuses("/dev/zero", ERR_INVAL);
    refuses("/dev/tty", ERR_INVAL);
    refuses("/etc/passwd", ERR_INVAL);
    refuses("/run", ERR_INVAL);
    refuses("/proc/self/ns/mnt", ERR_INVAL);
    refuses("/proc/self/ns/user", ERR_INVAL);
    refuses("/proc/self/stat", ERR_INVAL);
    refuses("", ERR_INVAL);
    refuses(".", ERR_INVAL);
    refuses("..", ERR_INVAL);
    refuses("nosuch", ERR_NOTFOUND);
    refuses("/nosuch/net", ERR_NOTFOUND);
    refuses("/etc/passwd/net", ERR_NOTFOUND);
}

static void a_damaged_name_of_a_process_is_refused(void **state UNUSED)
{
    static const char *const names[] = {
        "pid:",      "pid:0",  "pid:-1",          "pid:1x",
        "pid:x",     "pid: 1", "pid:99999999999", "pid:1@",
        "pid:1@x",   "pid:@5", "pid:1@-1",        "pid:1@99999999999999999999",
        "pid:1/../2"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        refuses(names[i], ERR_INVAL);
}

/* ---- The host ---- */

static void the_host_is_refused_by_every_name(void **state UNUSED)
{
    char own[64], inside[64];

    (void)snprintf(own, sizeof(own), "pid:%d", (int)getpid());
    refuses("/proc/self/ns/net", ERR_DENIED);
    assert_non_null(strstr(d.text, "--host"));
    refuses("/proc/thread-self/ns/net", ERR_DENIED);
    refuses(own, ERR_DENIED);
    write_text("/run/netns/host", "", 0444);
    assert_int_equal(mount("/proc/self/ns/net", "/run/netns/host", NULL, MS_BIND, NULL), 0);
    refuses("host", ERR_DENIED);
    assert_int_equal(umount("/run/netns/host"), 0);
    assert_int_equal(unlink("/run/netns/host"), 0);
    assert_int_equal(symlink("/proc/self/ns/net", "/run/netns/host"), 0);
    refuses("host", ERR_DENIED);
    assert_int_equal(unlink("/run/netns/host"), 0);
    /* Through another process of the same network. */
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    (void)snprintf(inside, sizeof(inside), "pid:%d", (int)pid);
    refuses(inside, ERR_DENIED);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void the_host_opens_when_it_is_meant(void **state UNUSED)
{
    struct stat a, b;
    int fd = -1;

    assert_int_equal(namespace_open("/proc/self/ns/net", true, &fd, &d), 0);
    assert_int_equal(fstat(fd, &a), 0);
    assert_int_equal(stat("/proc/self/ns/net", &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    (void)close(fd);
}

/* Process 1's is another than the test's own here, and may be out of the test's reach. */
static void the_network_of_process_1_is_refused_from_another(void **state)
{
    const int *first = *state;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *first);
    refuses(path, ERR_DENIED);
}

static int in_new_pid_namespace(int (*run)(void))
{
    int status;
    pid_t outer = fork();

    assert_true(outer >= 0);
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
            _exit(100);
        pid_t inner = fork();
        if (inner == 0) {
            if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                mount("proc", "/proc", "proc", 0, NULL) < 0)
                _exit(101);
            _exit(run());
        }
        if (inner < 0 || waitpid(inner, &status, 0) != inner)
            _exit(102);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 103);
    }
    assert_int_equal(waitpid(outer, &status, 0), outer);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Process 1 is this one's parent of another network, which can be looked at: by device and inode. */
static int refuse_first(void)
{
    int fd;
    struct diag e = {0};

    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNET) < 0)
            _exit(2);
        if (namespace_open("/proc/1/ns/net", false, &fd, &e) != ERR_DENIED)
            _exit(3);
        if (namespace_open("pid:1", false, &fd, &e) != ERR_DENIED)
            _exit(4);
        if (namespace_open("pid:1", true, &fd, &e) != 0)
            _exit(5);
        _exit(0);
    }
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void the_network_of_process_1_is_refused_by_its_inode(void **state UNUSED)
{
    assert_int_equal(in_new_pid_namespace(refuse_first), 0);
}

/* ---- Processes ---- */

static void a_process_that_was_started_at_another_time_is_another_one(void **state UNUSED)
{
    char named[128], wrong[160];

    assert_int_equal(namespace_name_of_pid(container.pid, named, sizeof(named), &d), 0);
    (void)snprintf(wrong, sizeof(wrong), "%s1", named);
    refuses(wrong, ERR_EXPIRED);
    assert_non_null(strstr(d.text, "another one"));
}

static void a_process_that_has_ended_is_expired(void **state UNUSED)
{
    char named[128], name[64];
    struct container other = container_new();

    assert_int_equal(namespace_name_of_pid(other.pid, named, sizeof(named), &d), 0);
    (void)kill(other.pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)other.pid, &info, WEXITED | WNOWAIT), 0);
    refuses(other.name, ERR_EXPIRED); /* not reaped yet */
    refuses(named, ERR_EXPIRED);
    (void)snprintf(name, sizeof(name), "%s", other.name);
    container_end(&other);
    refuses(name, ERR_EXPIRED);
    refuses(named, ERR_EXPIRED);
    assert_int_equal(namespace_name_of_pid(other.pid, named, sizeof(named), &d), ERR_EXPIRED);
    assert_int_equal(namespace_name_of_pid(0, named, sizeof(named), &d), ERR_EXPIRED);
}

/* A child with this pid, in its own network. */
static pid_t start_as(pid_t pid)
{
    struct clone_args args = {.exit_signal = SIGCHLD,
                              .flags = CLONE_NEWNET,
                              .set_tid = (uint64_t)(uintptr_t)&pid,
                              .set_tid_size = pid > 0 ? 1 : 0};
    pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (child == 0)
        for (;;)
            pause();
    return child;
}

static int reuse_pid(void)
{
    char named[128];
    struct diag e = {0};
    int fd;

    pid_t first = start_as(50);
    if (first != 50 || namespace_name_of_pid(50, named, sizeof(named), &e) < 0 ||
        namespace_open(named, false, &fd, &e) < 0)
        return 2;
    (void)close(fd);
    (void)kill(first, SIGKILL);
    if (waitpid(first, NULL, 0) != first)
        return 3;
    (void)usleep(30000); /* a start time has ticks of 10 ms */
    if (start_as(50) != 50)
        return 4;
    if (namespace_open(named, false, &fd, &e) != ERR_EXPIRED || strstr(e.text, "another") == NULL)
        return 5;
    if (namespace_open("pid:50", false, &fd, &e) != 0)
        return 6;
    (void)close(fd);
    (void)kill(50, SIGKILL);
    return 0;
}

static void a_pid_that_another_process_has_now_is_refused(void **state UNUSED)
{
    assert_int_equal(in_new_pid_namespace(reuse_pid), 0);
}

/* ---- A /proc that isn't what it should be ---- */

static int in_child(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        private_mounts();
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(const char *name, int err)
{
    int fd;
    struct diag e = {0};

    int r = namespace_open(name, false, &fd, &e);
    if (r == err)
        return;
    (void)fprintf(stderr, "%s: %d instead of %d: %s\n", name, r, err, e.text);
    _exit(10);
}

static void without_proc(void)
{
    if (mount("none", "/proc", "tmpfs", 0, NULL) < 0)
        _exit(2);
    expect(container.name, ERR_UNSUPPORTED);
    expect("/run/netns/red", ERR_UNSUPPORTED);
}

static void with_other_process_over_it(void)
{
    char own[64], theirs[64];

    (void)snprintf(own, sizeof(own), "/proc/%d", (int)getpid());
    (void)snprintf(theirs, sizeof(theirs), "/proc/%d", (int)container.pid);
    if (mount(own, theirs, NULL, MS_BIND, NULL) < 0)
        _exit(2);
    expect(container.name, ERR_PERM);
}

static void with_files_over_it(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)container.pid);
    if (mount("none", path, "tmpfs", 0, NULL) < 0)
        _exit(2);
    expect(container.name, ERR_PERM);
}

static void with_part_of_proc(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)container.pid);
    if (mount(path, "/proc", NULL, MS_BIND | MS_REC, NULL) < 0)
        _exit(2);
    expect("/run/netns/red", ERR_UNSUPPORTED);
}

/* The numbers in /proc are those of the outer processes. */
static void with_other_numbers(void)
{
    int status;

    if (unshare(CLONE_NEWPID) < 0)
        _exit(2);
    pid_t pid = fork();
    if (pid == 0) {
        expect(container.name, ERR_EXPIRED);
        expect("pid:1", ERR_EXPIRED); /* there, and here, but two */
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        _exit(3);
    _exit(WEXITSTATUS(status));
}

static void a_proc_that_is_not_what_it_should_be_is_not_believed(void **state UNUSED)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)container.pid);
    write_text("/run/netns/red", "", 0444);
    assert_int_equal(mount(path, "/run/netns/red", NULL, MS_BIND, NULL), 0);
    assert_int_equal(in_child(without_proc), 0);
    assert_int_equal(in_child(with_other_process_over_it), 0);
    assert_int_equal(in_child(with_files_over_it), 0);
    assert_int_equal(in_child(with_part_of_proc), 0);
    assert_int_equal(in_child(with_other_numbers), 0);
    assert_int_equal(umount("/run/netns/red"), 0);
    assert_int_equal(unlink("/run/netns/red"), 0);
}

/* ---- Sockets ---- */

static ino_t network_of(int socket)
{
    struct stat st = {0};
    int fd = ioctl(socket, 0x894C /* SIOCGSKNS */);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    (void)close(fd);
    return st.st_ino;
}

static void a_socket_is_made_inside_and_the_caller_stays_outside(void **state UNUSED)
{
    struct stat before, after, inside;
    int fd = -1;
    size_t fds = open_fds();

    assert_int_equal(stat("/proc/thread-self/ns/net", &before), 0);
    assert_int_equal(namespace_socket(container.netns_fd, AF_INET, SOCK_DGRAM, 0, &fd, &d), 0);
    assert_int_equal(open_fds(), fds + 1);
    assert_int_equal(stat("/proc/thread-self/ns/net", &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(fstat(container.netns_fd, &inside), 0);
    assert_int_equal(network_of(fd), inside.st_ino);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    (void)close(fd);
    assert_int_equal(namespace_socket(container.netns_fd, 4711, SOCK_DGRAM, 0, &fd, &d),
                     ERR_UNSUPPORTED);
    assert_int_equal(open_fds(), fds);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the container alone is our child */
}

static void unprivileged(void)
{
    int fd;
    struct diag e = {0};

    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(2);
    if (namespace_socket(container.netns_fd, AF_INET, SOCK_DGRAM, 0, &fd, &e) != ERR_PERM ||
        strstr(e.text, "root") == NULL)
        _exit(3);
    expect(container.name, ERR_PERM);
}

static void without_privilege_it_says_what_is_needed(void **state UNUSED)
{
    assert_int_equal(in_child(unprivileged), 0);
}

int main(void)
{
    int first = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_namespace_opens_by_path_name_and_process),
        cmocka_unit_test(what_is_no_network_namespace_is_refused_and_never_waited_for),
        cmocka_unit_test(a_damaged_name_of_a_process_is_refused),
        cmocka_unit_test(the_host_is_refused_by_every_name),
        cmocka_unit_test(the_host_opens_when_it_is_meant),
        cmocka_unit_test_prestate(the_network_of_process_1_is_refused_from_another, &first),
        cmocka_unit_test(the_network_of_process_1_is_refused_by_its_inode),
        cmocka_unit_test(a_process_that_was_started_at_another_time_is_another_one),
        cmocka_unit_test(a_process_that_has_ended_is_expired),
        cmocka_unit_test(a_pid_that_another_process_has_now_is_refused),
        cmocka_unit_test(a_proc_that_is_not_what_it_should_be_is_not_believed),
        cmocka_unit_test(a_socket_is_made_inside_and_the_caller_stays_outside),
        cmocka_unit_test(without_privilege_it_says_what_is_needed),
    };

    network_enter();
    private_mounts();
    assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=755"), 0);
    assert_int_equal(mkdir("/run/netns", 0755), 0);
    return cmocka_run_group_tests(tests, make_container, end_container);
}
