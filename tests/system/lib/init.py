"""The first process of a host: makes its file system, says "up", then reaps.

usage: init.py JSON      in new network, mount, pid and uts namespaces

{"name": …, "dir": a directory on a tmpfs that is the host's alone, "trees": [root directories of merged-/usr form laid over the
machine's], "users": {name: uid}, "group": the control group in which systemd becomes the first process instead, or ""}
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

# What a host has to itself, empty at first. /var/run is /run.
OWN = ["/run", "/tmp", "/root", "/home", "/opt", "/var/lib", "/var/log", "/var/cache", "/var/tmp", "/dev/shm"]
MODES = {"/tmp": 0o1777, "/var/tmp": 0o1777, "/dev/shm": 0o1777, "/root": 0o700}
# Users and groups that the packages of laid-over trees would have made.
SYSTEM_USERS = {"systemd-resolve": 981, "messagebus": 982, "sshd": 983}
# A host with systemd has these units of the machine's, as far as there are such, and no others: none that sets what isn't the
# host's alone. Its generators aren't run.
UNITS = ["basic.target", "sysinit.target", "sockets.target", "paths.target", "timers.target", "slices.target", "multi-user.target",
         "shutdown.target", "umount.target", "network.target", "network-pre.target", "nss-lookup.target", "dbus.service",
         "dbus.socket", "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
         "systemd-logind.service", "dbus-org.freedesktop.login1.service", "user.slice", "user@.service",
         "user-runtime-dir@.service", "systemd-resolved.service"]
WANTED = ["dbus.socket", "dbus.service", "systemd-journald.service"]
RESOLVED = "dbus-org.freedesktop.resolve1.service"  # by which the bus starts it, once it is enabled
DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "net/tun"]
SYSTEMD = "/lib/systemd/systemd"
CLONE_NEWCGROUP = 0x02000000


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def lay_trees(trees):
    if trees:
        lower = ":".join([*(os.path.join(tree, "usr") for tree in trees), "/usr"])
        mount("-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", "/usr")


def own_etc(directory, trees):
    etc = os.path.join(directory, "etc")
    shutil.copytree("/etc", etc, symlinks=True)
    for tree in trees:
        if os.path.isdir(os.path.join(tree, "etc")):
            shutil.copytree(os.path.join(tree, "etc"), etc, symlinks=True, dirs_exist_ok=True)
    # copytree keeps modes but not owners.
    for path, _, names in os.walk("/etc"):
        for name in (".", *names):
            status = os.lstat(os.path.join(path, name))
            if status.st_uid or status.st_gid:
                os.lchown(os.path.join(etc, os.path.relpath(path, "/etc"), name), status.st_uid, status.st_gid)
    mount("--bind", etc, "/etc")


def own_directories(directory):
    for path in OWN:
        own = os.path.join(directory, path.strip("/").replace("/", "-"))
        os.mkdir(own, 0o755)
        os.chmod(own, MODES.get(path, 0o755))
    # /run last: the directory itself may lie there.
    for path in [p for p in OWN if p != "/run"] + ["/run"]:
        mount("--bind", os.path.join(directory, path.strip("/").replace("/", "-")), path)
    for path in ("/run/user", "/run/lock", "/run/dbus", "/run/systemd", "/var/lib/dbus"):
        os.mkdir(path, 0o755)


def add_user(name, uid, home):
    with open("/etc/passwd", encoding="utf-8") as file:
        if any(line.startswith(name + ":") for line in file):
            return
    for path, line in (("/etc/passwd", f"{name}:x:{uid}:{uid}::{home}:/bin/sh"), ("/etc/group", f"{name}:x:{uid}:"),
                       ("/etc/shadow", f"{name}:*:19000:0:99999:7:::")):
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def add_users(users):
    for name, uid in SYSTEM_USERS.items():
        add_user(name, uid, "/nonexistent")
    for name, uid in users.items():
        add_user(name, uid, f"/home/{name}")
        for path in (f"/home/{name}", f"/run/user/{uid}"):
            os.mkdir(path, 0o700)
            os.chown(path, uid, uid)


def identity(name):
    socket.sethostname(name)
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "w", encoding="ascii") as file:
            file.write(name.encode().hex().ljust(32, "0")[:32] + "\n")
    with open("/etc/hosts", "w", encoding="ascii") as file:
        file.write(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n")
    with open("/etc/hostname", "w", encoding="ascii") as file:
        file.write(name + "\n")


def no_resolv_conf():
    """The machine's resolver is not for the host: its owner of the file makes one (daemons.py)."""
    if os.path.lexists("/etc/resolv.conf"):
        os.unlink("/etc/resolv.conf")


def own_group(group):
    """The control group is the host's whole tree of them."""
    with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write("0")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWCGROUP) != 0:
        sys.exit(f"a namespace of control groups: {os.strerror(ctypes.get_errno())}")


def own_devices(directory):
    dev = os.path.join(directory, "dev")
    for name in ("", "net", "pts", "shm"):
        os.mkdir(os.path.join(dev, name), 0o755)
    for name in DEVICES:
        status = os.stat(os.path.join("/dev", name))
        os.mknod(os.path.join(dev, name), status.st_mode, status.st_rdev)
        os.chmod(os.path.join(dev, name), 0o666)
    mount("--bind", dev, "/dev")
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", "/dev/pts")
    os.symlink("pts/ptmx", "/dev/ptmx")


def protect_sysctls():
    """systemd sets some at its start. Those of the network are the host's own."""
    mount("--bind", "/proc/sys", "/proc/sys")
    mount("-o", "remount,bind,ro", "/proc/sys")
    mount("--bind", "/proc/sys/net", "/proc/sys/net")
    mount("-o", "remount,bind,rw", "/proc/sys/net")


def own_units(directory):
    units, none = os.path.join(directory, "units"), os.path.join(directory, "none")
    os.mkdir(units)
    os.mkdir(none)
    for name in UNITS:
        path = os.path.join("/usr/lib/systemd/system", name)
        if os.path.lexists(path):
            shutil.copy(path, units, follow_symlinks=False)
    os.mkdir(os.path.join(units, "basic.target.wants"))
    for name in WANTED:
        os.symlink(f"../{name}", os.path.join(units, "basic.target.wants", name))
    if os.path.exists(os.path.join(units, "systemd-resolved.service")):
        os.symlink("systemd-resolved.service", os.path.join(units, RESOLVED))
    mount("--bind", units, "/usr/lib/systemd/system")
    mount("--bind", none, "/usr/lib/systemd/system-generators")
    shutil.rmtree("/etc/systemd/system")
    os.mkdir("/etc/systemd/system")


def become_systemd():
    """What is at the descriptors goes with it: it says nothing there."""
    os.closerange(3, 1024)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    os.execve(SYSTEMD, [SYSTEMD, "--system", "--unit=multi-user.target"], {"container": "stile-test", "PATH": os.environ["PATH"]})


def reap():
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass
        signal.sigwait([signal.SIGCHLD])


def make_ready_for_systemd(config):
    mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    protect_sysctls()
    own_devices(config["dir"])
    own_units(config["dir"])


def main(config):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    mount("--make-rprivate", "/")
    if config["group"]:
        own_group(config["group"])
    mount("-t", "proc", "proc", "/proc")
    # Read-only, by which NetworkManager knows that there is no udev to wait for.
    mount("-t", "sysfs", "-o", "ro", "sysfs", "/sys")
    lay_trees(config["trees"])
    own_etc(config["dir"], config["trees"])
    if config["group"]:
        make_ready_for_systemd(config)
    own_directories(config["dir"])
    identity(config["name"])
    no_resolv_conf()
    add_users(config["users"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print("up", flush=True)
    if config["group"]:
        become_systemd()
    reap()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
