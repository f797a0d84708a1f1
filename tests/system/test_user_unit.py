#!/usr/bin/python3
"""The user unit: what was started once starts again at log-in, by systemd's own user manager, until `stile down`."""

import contextlib
import os
import shutil
import signal
import subprocess

from lib.harness import main
from lib.host import STILE, USERS
from common.process import PYTHON, Skip, wait_until

MARKER = "/home/alice/.config/stile/autostart"
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")


def install_unit(host):
    with open(os.environ["STILE_UP_UNIT"], encoding="ascii") as file:
        unit = file.read()
    lines = [f"ExecStart={STILE} up --at-login" if line.startswith("ExecStart=") else line for line in unit.splitlines()
             if not line.startswith("Documentation=")]  # the man page isn't installed here
    host.write("/etc/systemd/user/stile-up.service", "\n".join(lines) + "\n")
    os.makedirs(host.path("/etc/systemd/user/default.target.wants"))
    os.symlink("../stile-up.service", host.path("/etc/systemd/user/default.target.wants/stile-up.service"))


@contextlib.contextmanager
def delegated_group(uid):
    """A control group that a user manager may divide up, removed with what is in it."""
    path = ""
    for hierarchy in HIERARCHIES:
        if os.path.exists(os.path.join(hierarchy, "cgroup.procs")):
            path = os.path.join(hierarchy, f"stile-test-{os.getpid()}")
            break
    try:
        os.mkdir(path)
    except OSError as error:
        raise Skip(f"a control group can't be made here: {error}") from None
    try:
        for name in (".", "cgroup.procs", "tasks"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(os.path.join(path, name), uid, uid)
        yield path
    finally:
        wait_until(lambda: remove_groups(path), "the control group is empty")


def show_groups(host):
    """The host's own /sys shows none. And a user manager runs only where systemd says it was booted."""
    host.check("mkdir", "-p", "/run/systemd/system")
    if os.path.exists(os.path.join(HIERARCHIES[0], "cgroup.procs")):
        host.check("sh", "-c", "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd && "
                   "mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd")
    else:
        host.check("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")


def remove_groups(path):
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


@contextlib.contextmanager
def logged_in(host):
    """A user manager of alice's, as logind starts one at her log-in."""
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("there is no systemd")
    with delegated_group(USERS["alice"]) as group:
        # Into the group first, then systemd: it takes the group it finds itself in for its own.
        script = f"echo $$ >{group}/cgroup.procs && exec /lib/systemd/systemd --user --log-target=console"
        with open(host.log_path("user-manager"), "ab") as log:
            manager = host.spawn(["sh", "-c", script], "alice", stdout=log, stderr=log)
        try:
            wait_until(lambda: systemctl(host, "is-system-running").out.strip() in ("running", "degraded"), "the user manager")
            yield manager
        finally:
            manager.send_signal(signal.SIGTERM)
            try:
                manager.wait(20)
            except subprocess.TimeoutExpired:
                manager.kill()
                manager.wait()


def systemctl(host, *words):
    return host.as_user("alice", "systemctl", "--user", *words)


def active(host):
    return systemctl(host, "is-active", "stile-up.service").out.strip()


def started_once_it_starts_at_log_in_until_down(lan):
    host = lan.host()
    install_unit(host)
    show_groups(host)
    host.log_in("alice", "a")
    host.start_broker()
    before = host.settle()
    with logged_in(host):
        assert active(host) == "inactive", active(host)
    up = host.up("alice")
    assert up.kill(signal.SIGTERM) == 0
    assert os.path.exists(host.path(MARKER))
    with logged_in(host):
        wait_until(lambda: active(host) == "active", "the unit is active")
        wait_until(lambda: host.command("ip", "link", "show", "stile0").status == 0, "the session is up")
        assert host.stile("status", "--json").json()["sessions"][0]["mode"] == "up"
    host.assert_restored(before)
    with logged_in(host):
        wait_until(lambda: host.command("ip", "link", "show", "stile0").status == 0, "the session is up")
        assert host.down().status == 0
        wait_until(lambda: active(host) == "inactive", "the unit has ended")
    assert not os.path.exists(host.path(MARKER))
    with logged_in(host):
        assert active(host) == "inactive", active(host)
    host.assert_restored(before)


def the_unit_is_one_that_systemd_understands(lan):
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    host = lan.host()
    install_unit(host)
    out = host.as_user("alice", "systemd-analyze", "--user", "verify", "/etc/systemd/user/stile-up.service")
    assert out.status == 0 and "stile-up" not in out.err, out


if __name__ == "__main__":
    main(__file__, started_once_it_starts_at_log_in_until_down, the_unit_is_one_that_systemd_understands)
