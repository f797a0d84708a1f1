#include "policy/l4_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "base/str.h"
#include "policy/l4_value.h"

/* The root of the hierarchy, where distributions mount it: alone, or beside the first version. -1:
 * nowhere. */
static int open_root(void)
{
    static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    struct statfs fs;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        int fd = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
            return fd;
        fd_closep(&fd);
    }
    return -1;
}

static int check(int root, const char *path, struct diag *d)
{
    char parsed[L4_CGROUP_SIZE];
    struct stat st;

    int err = l4_cgroup_parse(path, parsed, d);
    if (err < 0)
        return err;
    if (!str_eq(parsed, path))
        return diag_set(d, ERR_FORMAT, 0, "The cgroup %s begins with a slash", path);
    if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return diag_set(d, err_from_errno(errno), errno,
                        "There is no cgroup %s (%s): it must exist when a policy names it. When it "
                        "was made anew, `stile policy reconcile` renews the policy",
                        path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return diag_set(d, ERR_INVAL, 0, "%s is not a cgroup, but a file of one", path);
    return 0;
}

int l4_cgroup_check(const struct l4_policies *l, struct diag *d)
{
    CLEANUP(fd_closep) int root = -1;
    int err = 0;

    for (size_t i = 0; i < l->count && err == 0; i++) {
        const char *path = l->items[i].guard.cgroup;
        if (path[0] == '\0')
            continue;
        if (root < 0)
            root = open_root();
        if (root < 0)
            return diag_set(
                d, ERR_UNSUPPORTED, 0,
                "cgroup v2 is not mounted here (looked at /sys/fs/cgroup): use a uid or "
                "gid as loop guard, or mount it (mount -t cgroup2 cgroup2 "
                "/sys/fs/cgroup/unified)");
        err = check(root, path, d);
    }
    return err;
}
