"""Processes of a test: starting them, running them to their end, looking at them; and how a test says what it found."""

import ctypes
import json
import os
import signal
import subprocess
import time

PYTHON = "/usr/bin/python3"  # one that every user may run
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1
# How long a test waits for what must happen some time. It costs nothing where it happens soon.
PATIENCE_S = 40.0
RESOLUTION_S = 0.05  # of a processor's idle time

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """What a test finds wrong."""


class Skip(Exception):
    """Why a test can't be done here."""


def wait_until(condition, what, seconds=PATIENCE_S, step=0.05):
    """The first true value of condition(); Failed if none comes in time. It is asked once more when the time is over: a test that got
    no processor meanwhile has not yet looked."""
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            raise Failed(f"waited {seconds} s for this in vain: {what}")
        time.sleep(step)


def _idle_s():
    """For how long the machine's processors have had nothing to do, added up; none of them, where that isn't told."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[4]) / os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """How long something takes that mustn't take long. What is judged is the product, not a machine that has other work: of the time
    that went by only as much counts as some processor was idle in it."""

    def __init__(self):
        self.began, self.idle = time.monotonic(), _idle_s()

    def seconds(self):
        took, idle = time.monotonic() - self.began, _idle_s() - self.idle
        return min(took, idle + RESOLUTION_S)


def alive(pid):
    """Whether a process runs; one that only waits to be reaped doesn't."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")[:-1]
    except OSError:
        return []


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and alive(int(name))]


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS:")))


class Result:
    """What a command did."""

    def __init__(self, done, seconds):
        self.status, self.out, self.err, self.seconds = done.returncode, done.stdout, done.stderr, seconds

    def __repr__(self):
        return f"status {self.status} after {self.seconds:.2f} s\nout: {self.out}\nerr: {self.err}"

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failed(f"this is no JSON: {self!r}") from None


def finish(process, argv, text="", timeout=30):
    """Waits for a process that was started with three pipes; its Result."""
    start = time.monotonic()
    try:
        out, err = process.communicate(text.encode(), timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Failed(f"{' '.join(argv)}: not done after {timeout} s: {out!r} {err!r}") from None
    done = subprocess.CompletedProcess(argv, process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
    return Result(done, time.monotonic() - start)


def before_exec(namespaces=(), uid=None, groups=()):
    """What a child does between fork and exec: enters namespaces, (file, type) each, gives up being root, dies with its parent.
    Closed over plain values."""
    def prepare():
        fds = [(os.open(file, os.O_RDONLY), kind) for file, kind in namespaces]
        for fd, kind in fds:
            if libc.setns(fd, kind) != 0:
                os._exit(125)
            os.close(fd)
        if uid is not None:
            os.setgroups(list(groups))
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return prepare


class Asked:
    """A running inside.py, wherever it was started with pipes: does what the test asks for."""

    def __init__(self, process, messages):
        """messages(): what the process said on standard error, for a report."""
        self.process, self.messages = process, messages
        if json.loads(process.stdout.readline() or b"{}") != {"value": "ready"}:
            process.wait()
            raise Failed(f"the program didn't start (status {process.returncode}): {messages()}")

    def call(self, function, **arguments):
        """The value that a function of inside.py returned; Failed if it raised."""
        self.process.stdin.write(json.dumps([function, arguments]).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the program has ended: {self.messages()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["value"]

    def close(self):
        """Closes its input, which ends it."""
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
