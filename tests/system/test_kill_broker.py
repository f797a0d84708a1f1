#!/usr/bin/python3
"""The broker killed before each of its system calls, and with each of them failing in turn, over the whole of a session's life:
its start, `stile up`, another log-in (other zones), the end. The next broker puts the host back. Prints how many points it
tried; all of them with STILE_SOAK=1 (make soak), else an even selection.

usage: STILE=… KILL_AT=… test_kill_broker.py [word of a test's name]
"""

import functools
import os
import re
import signal
import subprocess
import time

from lib import kill
from lib.harness import main
from lib.stile import Broker
from common.process import PATIENCE_S, Failed, wait_until

ERRORS = ("ENOSPC", "EIO", "EPERM")
KILLS, FAILURES = 8, 6  # of each back-end, when not all are tried
RANGE = "100.64.0.0/10"


class Over(Exception):
    """The broker was killed, or has refused."""


def has_route(host, prefix):
    """Whether the main table has this route of IPv4."""
    address = prefix.partition("/")[0]
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    with open(f"/proc/{host.init}/net/route", encoding="ascii") as file:
        return any(line.split()[1] == wanted for line in file)


class Rig:
    def __init__(self, lan, dns):
        self.host = lan.host(dns=dns)
        self.dns = dns
        self.has_second = False
        self.may_refuse, self.patience = False, PATIENCE_S
        self.host.log_in("alice", "a")
        self.host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
        self.watcher = kill.Watcher(self.host)
        self.live(())  # what the daemons keep of the first time is there from now on
        self.before = self.watcher.settle()

    def broker(self, words=()):
        broker = Broker(self.host, ["--dns", self.dns, "--no-supervisor"], before=words)
        return broker

    # ---- a life, which may end at any moment ----

    def _until(self, broker, condition, what):
        def happened():
            if broker.process.poll() is not None:
                raise Over
            return condition()
        try:
            wait_until(happened, what, self.patience, 0.02)
        except Failed as failed:
            if self.may_refuse:
                raise Over from None
            raise Failed(f"{failed}\nbroker: {broker.messages()}") from None

    def _change(self):
        """The second cluster's log-in comes or goes."""
        try:
            if self.has_second:
                self.host.stile("logout", "--profile", "b")
            else:
                self.host.log_in("alice", "b")
        except Failed:
            if self.may_refuse:
                raise Over from None  # the engine's calls fail too, and with them the host's names
            raise
        self.has_second = not self.has_second

    def _session(self, broker, ups):
        host = self.host
        self._until(broker, lambda: os.path.exists(host.path("/run/stile/broker.sock")), "the broker's socket")
        ups.append(host.up("alice", wait=False))
        self._until(broker, lambda: "Session of uid" in broker.messages() or ups[0].process.poll() is not None, "up")
        if ups[0].process.poll() is not None and self.may_refuse:
            raise Over
        self._change()
        self._until(broker, lambda: re.search(" zones? now", broker.messages()), "the other zones")
        ups[0].process.send_signal(signal.SIGTERM)
        self._until(broker, lambda: ups[0].process.poll() is not None and not has_route(host, RANGE), "the end of up")
        self._stop(broker)

    def _stop(self, broker):
        os.kill(broker.proper(), signal.SIGTERM)
        try:
            broker.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"the broker didn't end: {broker.messages()}") from None

    def live(self, words):
        """The whole of it, or as much as the broker lives to see."""
        if os.path.exists(self.host.path("/run/stile/broker.sock")):
            os.unlink(self.host.path("/run/stile/broker.sock"))
        broker = self.broker(words)
        ups = []
        try:
            self._session(broker, ups)
        except Over:
            pass
        finally:
            for up in ups:
                up.process.kill()
                up.process.wait()
            if self.may_refuse and broker.process.poll() is None:
                self._stop(broker)
            if broker.process.poll() is None:
                broker.process.kill()
                broker.process.wait()
        return broker

    def put_back(self, where):
        """What the next broker does, before it serves anybody."""
        broker = self.broker()
        wait_until(lambda: "Serving on" in broker.messages() or broker.process.poll() is not None, "the next broker")
        assert broker.process.poll() is None, (where, broker.messages())
        self.watcher.assert_equal(self.before, where)
        assert broker.stop() == 0, (where, broker.messages())
        self.watcher.assert_equal(self.before, where + ", and after the next broker")


def killed_at_any_moment(dns, lan):
    rig = Rig(lan, dns)
    count = kill.KillAt(rig.host, 0)
    rig.live(count.words)
    total = count.point().number
    names = {}  # None: threads differ from run to run, and it ended in order before that many
    start = time.monotonic()
    for number in kill.selection(total, KILLS):
        at = kill.KillAt(rig.host, number)
        rig.live(at.words)
        point = at.point()
        names[point.name] = names.get(point.name, 0) + 1
        rig.put_back(f"killed before {point} of about {total}")
    tried = sum(n for name, n in names.items() if name)
    print(f"# broker, DNS {dns}: killed before {tried} of about {total} system calls in {time.monotonic() - start:.0f} s, put "
          "back each time: " + ", ".join(f"{n} × {name}" for name, n in sorted(names.items(), key=str) if name))


# What a failure of which is an operation's or the journal's, and not that of a program that can't even start.
FAILING = ["write", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "unlinkat", "mkdir", "sendto", "sendmsg", "recvmsg",
           "recvfrom", "socket", "bind", "connect", "ioctl", "fchmod", "fchown", "flock", "clone", "clone3"]


def counted(host, path):
    """Of a trace by strace: {call: how often the thread made it that made it most often}."""
    counts = {}
    for line in host.read(path).splitlines():
        thread, call = line.split(None, 1)
        key = call.partition("(")[0], thread
        counts[key] = counts.get(key, 0) + 1
    return {name: max(n for (other, _), n in counts.items() if other == name) for name in {name for name, _ in counts}
            if name in FAILING}


def failing_at_any_moment(dns, lan):
    rig = Rig(lan, dns)
    rig.live(("strace", "-f", "-qq", "-e", "signal=none", "-o", "/run/calls"))
    rig.may_refuse, rig.patience = True, 5
    tried = 0
    points = [(call, number) for call, count in sorted(counted(rig.host, "/run/calls").items()) for number in range(1, count + 1)]
    start = time.monotonic()
    for index in kill.selection(len(points), FAILURES):
        call, number = points[index - 1]
        error = ERRORS[tried % len(ERRORS)]
        where = f"{call} number {number} failed with {error}"
        try:
            rig.live(kill.failing_at(call, error, number, threads=True))
        except Failed as failed:
            raise Failed(f"{where}: {failed}") from None
        rig.put_back(where)
        tried += 1
    print(f"# broker, DNS {dns}: {tried} of {len(points)} system calls failed in turn in {time.monotonic() - start:.0f} s, put back "
          "each time")


def named(function, dns):
    test = functools.partial(function, dns)
    test.__name__ = f"{function.__name__}_with_{dns}"
    return test


if __name__ == "__main__":
    main(__file__, *[named(function, dns) for function in (killed_at_any_moment, failing_at_any_moment) for dns in ("file", "resolved")],
         limit_s=7200 if os.environ.get("STILE_SOAK") else 300)
