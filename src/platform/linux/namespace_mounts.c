/* What a program in its own mount namespace sees instead of the host's files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "platform/namespaces.h"

#define RESOLV_CONF "/etc/resolv.conf"

enum { TMPFS_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC };

/* How the cover of a hidden directory is known again: nobody else makes a file system that small. */
enum { COVER_INODES = 16 };
#define COVER_OPTIONS "mode=0755,size=64k,nr_inodes=16"

static int explain(struct diag *d, int code, const char *what, const char *path)
{
    return diag_set(d, err_from_errno(code), code, "Failed to %s %s: %s", what, path,
                    strerror(code));
}

static int hide(const char *path, struct diag *d)
{
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (mount("stile", path, "tmpfs", TMPFS_FLAGS, COVER_OPTIONS) < 0)
        return explain(d, errno, "hide directory", path);
    return 0;
}

bool namespaces_is_hidden(int directory)
{
    struct statfs fs;

    return fstatfs(directory, &fs) == 0 && fs.f_type == TMPFS_MAGIC && fs.f_files == COVER_INODES;
}

int namespaces_hide(const char *const *directories, struct diag *d)
{
    /* What is mounted here must not reach the host, whatever it shares. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return explain(d, errno, "make private", "/");
    for (size_t i = 0; directories[i] != NULL; i++) {
        int err = hide(directories[i], d);
        if (err < 0)
            return err;
    }
    return 0;
}

static int write_new(const char *path, const char *text, struct diag *d)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    size_t len = strlen(text);

    if (fd < 0)
        return explain(d, errno, "create", path);
    ssize_t n = write(fd, text, len);
    int code = errno;
    (void)close(fd);
    return n == (ssize_t)len ? 0 : explain(d, code, "write", path);
}

/* A file of ours over the one that is there. It is made in a tmpfs over /tmp that is gone again at once: only the bind
 * mount holds it. */
static int cover(const char *target, const char *text, struct diag *d)
{
    static const char file[] = "/tmp/resolv.conf";

    if (mount("stile", "/tmp", "tmpfs", TMPFS_FLAGS, "mode=0755,size=64k") < 0)
        return explain(d, errno, "mount a file system on", "/tmp");
    int err = write_new(file, text, d);
    if (err == 0 && mount(file, target, NULL, MS_BIND, NULL) < 0)
        err = explain(d, errno, "cover", target);
    if (umount2("/tmp", MNT_DETACH) < 0 && err == 0)
        err = explain(d, errno, "unmount", "/tmp");
    return err;
}

/* Where the link points, though nothing may be there any more. */
static int read_target(char target[PATH_MAX])
{
    char link[PATH_MAX];
    ssize_t n = readlink(RESOLV_CONF, link, sizeof(link) - 1);

    if (n < 0)
        return ERR_NOTFOUND;
    link[n] = '\0';
    return str_format(target, PATH_MAX, "%s%s", link[0] == '/' ? "" : "/etc/", link);
}

int namespaces_resolv_conf(const char *text, struct diag *d)
{
    char target[PATH_MAX];
    struct stat st;

    if (stat(RESOLV_CONF, &st) == 0)
        return cover(RESOLV_CONF, text, d);
    if (read_target(target) < 0)
        return diag_set(d, ERR_NOTFOUND, ENOENT,
                        "There is no " RESOLV_CONF
                        " to stand in for: as root, create one (touch " RESOLV_CONF ")");
    return write_new(target, text, d);
}
