#include "diag/host_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "diag/small_file.h"

#define FILE_CAP ((size_t)16 * 1024)

/* ---- the system ---- */

static void load_kernel(struct host_facts *h)
{
    struct utsname u;
    if (uname(&u) < 0)
        return;
    (void)str_format(h->kernel, sizeof(h->kernel), "%s %s %s", u.sysname, u.release, u.machine);
    (void)str_format(h->host_name, sizeof(h->host_name), "%s", u.nodename);
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" */
static void load_os(struct host_facts *h)
{
    static const char key[] = "\nPRETTY_NAME=";
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, FILE_CAP);
    if (buf_put_u8(&text, '\n') < 0 || (small_file_read("/etc/os-release", &text) < 0 &&
                                        small_file_read("/usr/lib/os-release", &text) < 0))
        return;
    const char *all = buf_cstr(&text);
    const char *value = all != NULL ? strstr(all, key) : NULL;
    if (value == NULL)
        return;
    value += sizeof(key) - 1;
    value += *value == '"';
    size_t len = strcspn(value, "\"\n");
    if (str_copy_slice(h->os, sizeof(h->os), slice_of(value, len)) < 0)
        h->os[0] = '\0';
}

static void load_user(struct host_facts *h)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char memory[4096];
    if (getpwuid_r(getuid(), &entry, memory, sizeof(memory), &found) == 0 && found != NULL)
        (void)str_format(h->user, sizeof(h->user), "%s", entry.pw_name);
}

/* ---- for `stile run` ---- */

static void check_tun(struct host_facts *h)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    h->tun_errno = fd < 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
}

static bool setting_is(const char *path, const char *value)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, FILE_CAP);
    if (small_file_read(path, &text) < 0)
        return false;
    struct slice s = buf_slice(&text);
    while (s.len > 0 && s.data[s.len - 1] == '\n')
        s.len--;
    return slice_eq_str(s, value);
}

static void find_why(struct host_facts *h)
{
    static const struct {
        const char *path, *value, *text;
    } settings[] = {
        {"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=0"},
        {"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=0"},
        {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
         "kernel.apparmor_restrict_unprivileged_userns=1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (setting_is(settings[i].path, settings[i].value))
            (void)str_format(h->namespaces_why, sizeof(h->namespaces_why), "%s", settings[i].text);
}

/* Tried, as no setting says it all; by a child, as it can't be undone. The child does nothing that a thread of ours could have
 * left half done. */
static void check_namespaces(struct host_facts *h)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : errno);
    if (pid < 0)
        return;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return;
    h->namespaces_errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
    if (h->namespaces_errno != 0)
        find_why(h);
}

void host_facts_load(struct host_facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    load_kernel(ret);
    load_os(ret);
    load_user(ret);
    check_tun(ret);
    check_namespaces(ret);
    ret->caches[CACHE_NSCD] = access("/run/nscd/socket", F_OK) == 0;
    ret->caches[CACHE_SSSD] = access("/var/lib/sss/pipes/nss", F_OK) == 0;
    resolver_facts_load(&ret->resolver);
    ret->view_err = host_view_load(&ret->view, &ret->view_diag);
}

void host_facts_release(struct host_facts *h)
{
    resolver_facts_release(&h->resolver);
    if (h->view_err == 0)
        host_view_release(&h->view);
    memset(h, 0, sizeof(*h));
}
