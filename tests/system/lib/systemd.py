"""A host whose first process is systemd (host.py, init.py), with journald, dbus and resolved as its units, and stile as
`make install` installs it.
"""

import contextlib
import glob
import json
import os
import subprocess
import tempfile
import time

from common.process import Skip, wait_until

UNIT = "stile-broker.service"
PREFIX = "stile-test-"
OLD_S = 1800


def _sweep(path):
    """What tests that were killed have left. Those that begin now are young; one that ends now takes its own away."""
    for old in glob.glob(os.path.join(path, PREFIX + "*")):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(old).st_mtime > OLD_S:
                remove_group(old)


def make_group():
    """A control group for a host; Skip where there can be none."""
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("there is no systemd")
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    for path in mounts:
        with contextlib.suppress(OSError):
            _sweep(path)
            group = tempfile.mkdtemp(prefix=PREFIX, dir=path)
            os.chmod(group, 0o755)
            return group
    raise Skip("a control group (cgroup2) can't be made here")


def remove_group(path):
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.exists(path)


def wait_booted(host):
    state = [""]

    def booted():
        state[0] = host.command("systemctl", "is-system-running").out.strip()
        return state[0] in ("running", "degraded")
    wait_until(booted, "systemd has started its units")
    if state[0] == "degraded":
        raise Skip("units of systemd's don't start here: " + host.check("systemctl", "--failed", "--plain", "--no-legend"))


def save_journal(host):
    """To the other logs of the host."""
    with open(host.log_path("journal"), "wb") as log:
        process = host.spawn(["journalctl", "--no-pager", "-o", "short-monotonic"], stdout=log, stderr=subprocess.STDOUT)
        process.wait(60)


def show(host, unit, *properties):
    """Properties of a unit, as text."""
    out = host.check("systemctl", "show", unit, "-p", ",".join(properties))
    return dict(line.split("=", 1) for line in out.splitlines())


def journal(host, *words):
    """Entries of the journal, as objects."""
    host.check("journalctl", "--sync")
    return [json.loads(line) for line in host.check("journalctl", "-o", "json", "--no-pager", *words).splitlines()]


class BrokerUnit:
    """The broker as a unit; what tests ask of a Broker (stile.py)."""

    def __init__(self, host):
        self.host = host
        host.check("systemctl", "start", UNIT)

    def wait_for_socket(self):
        """It has one when it has told systemd that it is ready."""

    def show(self, *properties):
        return show(self.host, UNIT, *properties)

    def messages(self):
        return self.host.command("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").out

    def proper(self):
        pids = self.host.processes("stile", "broker")
        return pids[0] if pids else 0

    def engines(self):
        return self.host.processes("stile", "engine")

    def stop(self):
        return self.host.command("systemctl", "stop", UNIT).status
