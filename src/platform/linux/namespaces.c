#include "platform/namespaces.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/str.h"

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int code = n < 0 ? -errno : 0;
    (void)close(fd);
    return code;
}

/* One line of a map: this id to itself. */
static int write_map(const char *path, unsigned id)
{
    char line[64];

    (void)str_format(line, sizeof(line), "%u %u 1\n", id, id);
    return write_file(path, line);
}

static int map_self(unsigned uid, unsigned gid, struct diag *d)
{
    int code = write_file("/proc/self/setgroups", "deny");

    if (code == 0)
        code = write_map("/proc/self/uid_map", uid);
    if (code == 0)
        code = write_map("/proc/self/gid_map", gid);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to map user %u into a new user namespace: %s. A security module "
                        "may forbid it; see "
                        "user_namespaces(7)",
                        uid, strerror(-code));
    return 0;
}

static int explain_unshare(struct diag *d, int code)
{
    if (code == ENOSPC || code == EUSERS)
        return diag_set(d, ERR_LIMIT, code,
                        "User namespaces are switched off or used up: as root, raise "
                        "user.max_user_namespaces (sysctl -w user.max_user_namespaces=10000)");
    if (code == EPERM || code == EACCES)
        return diag_set(d, ERR_PERM, code,
                        "Not permitted to create a user namespace: as root, allow it (sysctl -w "
                        "kernel.unprivileged_userns_clone=1 on Debian, "
                        "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, or a "
                        "container's seccomp profile)");
    return diag_set(d, err_from_errno(code), code, "Failed to create namespaces: %s",
                    strerror(code));
}

int namespaces_enter(struct diag *d)
{
    unsigned uid = geteuid();
    unsigned gid = getegid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return explain_unshare(d, errno);
    return map_self(uid, gid, d);
}

int namespaces_confine(struct diag *d)
{
    unsigned uid = geteuid();
    unsigned gid = getegid();

    if (unshare(CLONE_NEWUSER) < 0)
        return explain_unshare(d, errno);
    int err = map_self(uid, gid, d);
    if (err < 0)
        return err;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(CAPNG_SELECT_ALL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return diag_set(d, ERR_PERM, errno, "Failed to drop capabilities: %s", strerror(errno));
    return 0;
}
