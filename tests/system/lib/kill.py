"""Killing a process before each of its system calls in turn (tests/tools/kill_at.c), and letting each fail (strace)."""

import json
import os
import shutil
import subprocess

from common.process import PATIENCE_S, PYTHON, Failed, wait_until
from lib import snapshot

# What the operations and the journal are made of.
FAILING = ["write", "pwrite64", "fdatasync", "fsync", "ftruncate", "openat", "renameat2", "rename", "renameat", "unlink",
           "unlinkat", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "sendto", "sendmsg", "recvmsg", "recvfrom",
           "socket", "connect", "fchmod", "fchown", "flock", "fsetxattr", "copy_file_range"]


class Point:
    """Where a process was killed: before the number-th call that counts. name is None if it ended before."""

    def __init__(self, line):
        words = line.split()
        self.number, self.name = int(words[0]), None if words[1] == "ended" else words[1]

    def __str__(self):
        return f"call {self.number} ({self.name or 'the end'})"


def bring(host, variable):
    """Copies a program of the build into the host, once; its path there."""
    name = os.path.basename(os.environ[variable])
    target = os.path.join(host.dir, "opt", "stile", name)
    if not os.path.exists(target):
        shutil.copy(os.environ[variable], target)
    return f"/opt/stile/{name}"


class KillAt:
    """The words that go before a command, and where it was killed."""

    def __init__(self, host, number):
        self.host, self.number = host, number
        self.path = host.path("/run/kill-point")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.words = [bring(host, "KILL_AT"), "/run/kill-point", str(number)]

    def point(self):
        with open(self.path, encoding="ascii") as file:
            return Point(file.read())


def failing_at(call, error, number, threads=False):
    """The words before a command whose number-th call fails. threads: of each thread, and then of each program that it starts
    too. There, write concerns the journal alone: a thread that can't wake another (eventfd) isn't to be helped."""
    follow = ["-f"] if threads else []
    if threads and call == "write":
        follow += ["-P", "/var/lib/stile/journal"]
    return ["strace", *follow, "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:error={error}:when={number}"]


def calls_of(host, command):
    """How often a command of one thread, run to its end, makes each of the FAILING calls: {name: count}."""
    names = ",".join("?" + name for name in FAILING)
    done = host.command("strace", "-qq", "-e", f"trace={names}", "-e", "signal=none", "-o", "/run/calls", *command)
    if done.status != 0:
        raise Failed(f"{' '.join(command)}: {done!r}")
    counts = {}
    for line in host.read("/run/calls").splitlines():
        name = line.partition("(")[0]
        if name in FAILING:
            counts[name] = counts.get(name, 0) + 1
    return counts


class Watcher:
    """Takes snapshots of a host one after the other, quicker than by a process for each."""

    CODE = ("import sys, json; sys.path.insert(0, '/opt/tests/system'); from lib import snapshot\n"
            "for _ in sys.stdin: print(json.dumps(snapshot.take()), flush=True)")

    def __init__(self, host):
        self.host = host
        self.process = host.spawn([PYTHON, "-c", self.CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def take(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return snapshot.Snapshot(json.loads(self.process.stdout.readline()))

    def settle(self, seconds=PATIENCE_S):
        """The snapshot, as soon as two in a row are equal."""
        last = [self.take()]

        def same():
            before, last[0] = last[0], self.take()
            return not before.difference(last[0])
        wait_until(same, f"{self.host.name} is quiet", seconds, 0.2)
        return last[0]

    def assert_equal(self, before, where, seconds=PATIENCE_S):
        """Processes and daemons that end by themselves have so long for it."""
        difference = [""]

        def restored():
            difference[0] = before.difference(self.take())
            return not difference[0]
        try:
            wait_until(restored, "the host is as before", seconds, 0.1)
        except Failed:
            raise Failed(f"{where}: the host isn't as it was before:\n{difference[0]}") from None


def selection(total, limit):
    """The points from 1 to total, or so many of them, evenly spread; all of them in a soak."""
    if os.environ.get("STILE_SOAK") or total <= limit:
        return list(range(1, total + 1))
    return sorted({1 + i * (total - 1) // (limit - 1) for i in range(limit)})
