#!/usr/bin/python3
"""The user unit: what was started once starts again at log-in, until `stile down`."""

import contextlib
import os
import signal
import subprocess

from lib.harness import main
from lib.host import USERS
from common.process import wait_until

MARKER = "/home/alice/.config/stile/autostart"
RUNTIME_DIR = f"/run/user/{USERS['alice']}"
MANAGER = f"user@{USERS['alice']}.service"


def prepared(lan):
    """A host where alice can log in; when she logs out, her user manager ends at once."""
    host = lan.host(dns="resolved", systemd=True)
    host.write("/etc/systemd/logind.conf", "[Login]\nUserStopDelaySec=0\n")
    host.check("systemctl", "start", "systemd-logind.service")
    host.log_in("alice", "a")
    return host


@contextlib.contextmanager
def logged_in(host):
    """A log-in of alice's, through PAM and logind, which starts her user manager."""
    process = host.spawn(["runuser", "-l", "alice", "-c", "exec cat"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: systemctl(host, "is-system-running").out.strip() in ("running", "degraded"), "the user manager")
        yield
    finally:
        process.stdin.close()
        process.wait()
        wait_until(lambda: host.command("systemctl", "is-active", MANAGER).out.strip() == "inactive", "the log-out")
        # logind took it away; processes that aren't of a log-in want it.
        host.check("install", "-d", "-m", "700", "-o", "alice", "-g", "alice", RUNTIME_DIR)


def systemctl(host, *words):
    return host.as_user("alice", "systemctl", "--user", *words)


def active(host):
    return systemctl(host, "is-active", "stile-up.service").out.strip()


def is_up(host):
    return host.command("ip", "link", "show", "stile0").status == 0


def started_once_it_starts_at_log_in_until_down(lan):
    host = prepared(lan)
    before = host.settle()
    host.start_broker()
    with logged_in(host):
        assert active(host) == "inactive", active(host)
    up = host.up("alice")
    assert up.kill(signal.SIGTERM) == 0
    assert os.path.exists(host.path(MARKER))
    with logged_in(host):
        wait_until(lambda: active(host) == "active", "the unit is active")
        wait_until(lambda: is_up(host), "the session is up")
        assert host.stile("status", "--json").json()["sessions"][0]["mode"] == "up"
        assert host.program().call("connect", host="echo.a.stile.test", port=7001, timeout=5)["verdict"] == "ok"
    host.assert_restored(before)
    with logged_in(host):
        wait_until(lambda: is_up(host), "the session is up")
        assert host.down().status == 0
        wait_until(lambda: active(host) == "inactive", "the unit has ended")
    assert not os.path.exists(host.path(MARKER))
    with logged_in(host):
        assert active(host) == "inactive", active(host)
    host.assert_restored(before)


def the_units_are_such_that_systemd_understands(lan):
    host = lan.host(systemd=True)
    for user, words in (("root", ["stile-broker.service"]), ("alice", ["--user", "stile-up.service"])):
        out = host.command("systemd-analyze", "verify", *words, user=user)
        assert out.status == 0 and "stile" not in out.err, out


if __name__ == "__main__":
    main(__file__, started_once_it_starts_at_log_in_until_down, the_units_are_such_that_systemd_understands, clusters=("a",))
