#!/usr/bin/python3
"""The broker killed before each of its system calls, over the whole of a session's life: its start, `stile up`, another log-in
(other zones), the end. The next broker puts the host back. Prints how many points it tried; all of them with
STILE_SOAK=1 (make soak), else an even selection.

usage: STILE=… KILL_AT=… test_kill_broker.py [word of a test's name]
"""

import functools
import os
import signal
import time

from lib import kill
from lib.harness import main
from lib.stile import Broker
from common.process import Failed, wait_until
import common.harness

KILLS = 12  # of each back-end, when not all are tried
RANGE = "100.64.0.0/10"


class Killed(Exception):
    """The broker was."""


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
        self.host.log_in("alice", "a")
        self.host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
        self.watcher = kill.Watcher(self.host)
        self.live(())  # what the daemons keep of the first time is there from now on
        self.before = self.watcher.settle()

    def broker(self, words=()):
        broker = Broker(self.host, ["--dns", self.dns, "--no-supervisor"], before=words)
        return broker

    # ---- a life, which may end at any moment ----

    def _until(self, broker, condition, what, seconds=20):
        def happened():
            if broker.process.poll() is not None:
                raise Killed
            return condition()
        try:
            wait_until(happened, what, seconds, 0.02)
        except Failed as failed:
            raise Failed(f"{failed}\nbroker: {broker.messages()}") from None

    def _change(self):
        """The second cluster's log-in comes or goes."""
        if self.has_second:
            self.host.stile("logout", "--profile", "b")
        else:
            self.host.log_in("alice", "b")
        self.has_second = not self.has_second

    def _session(self, broker, ups):
        host = self.host
        self._until(broker, lambda: os.path.exists(host.path("/run/stile/broker.sock")), "the broker's socket")
        ups.append(host.up("alice", wait=False))
        self._until(broker, lambda: "Session of uid" in broker.messages(), "up")
        self._change()
        self._until(broker, lambda: "zones now" in broker.messages(), "the other zones")
        ups[0].process.send_signal(signal.SIGTERM)
        self._until(broker, lambda: ups[0].process.poll() is not None and not has_route(host, RANGE), "the end of up")
        os.kill(broker.proper(), signal.SIGTERM)
        broker.process.wait(20)

    def live(self, words):
        """The whole of it, or as much as the broker lives to see."""
        if os.path.exists(self.host.path("/run/stile/broker.sock")):
            os.unlink(self.host.path("/run/stile/broker.sock"))
        broker = self.broker(words)
        ups = []
        try:
            self._session(broker, ups)
        except Killed:
            pass
        finally:
            for up in ups:
                up.process.kill()
                up.process.wait()
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


def named(function, dns):
    test = functools.partial(function, dns)
    test.__name__ = f"{function.__name__}_with_{dns}"
    return test


if __name__ == "__main__":
    common.harness.LIMIT_S = 7200 if os.environ.get("STILE_SOAK") else 120
    main(__file__, *[named(killed_at_any_moment, dns) for dns in ("file", "resolved")])
