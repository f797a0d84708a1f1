"""Kills a process at any one of its system calls: first it is watched at its work, then the work is done again for each call that
was seen, and it is killed on entering that one. (strace counts the occurrences of each system call by itself, so "the n-th of all"
can't be asked for.)"""

import re
import subprocess
import tempfile

from common.process import Failed, Skip


class Tracer:
    """strace on a process, from when this is made until stop()."""

    def __init__(self, pid, *options):
        self.process = subprocess.Popen(["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
        if "attached" not in self.process.stderr.readline():
            self.process.wait()
            raise Skip("strace can't trace here")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


def calls_of(pid, work):
    """The system calls that the process makes while work() runs, as (name, which occurrence)."""
    with tempfile.NamedTemporaryFile("r") as file:
        tracer = Tracer(pid, "-o", file.name)
        work()
        tracer.stop()
        names = re.findall(r"^(\w+)\(", file.read(), re.MULTILINE)
    if not names:
        raise Failed("no system call was seen")
    return [(name, names[:i + 1].count(name)) for i, name in enumerate(names)]


def work_killed_at(pid, call, work):
    """Does the work; whether the process is killed in it is for work() to see."""
    name, occurrence = call
    tracer = Tracer(pid, "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={occurrence}")
    try:
        return work()
    finally:
        tracer.stop()
