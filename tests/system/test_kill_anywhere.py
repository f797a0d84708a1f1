#!/usr/bin/python3
"""Whatever happens, the host is put back: killed before each system call, with each system call failing, at every moment of a
session's life. Prints how many points it tried. All of them with STILE_SOAK=1 (make soak), else an even selection.

usage: STILE=… NETCFG_DRIVER=… KILL_AT=… test_kill_anywhere.py [word of a test's name]
"""

import functools
import os

from lib import kill
from lib.harness import main

ERRORS = ("ENOSPC", "EIO", "EPERM")
LINK = "stile0"
# Owners of /etc/resolv.conf (lib/daemons.py) whose back-end has another name.
DRIVERS = {"openresolv": "resolvconf"}
# Of each back-end, when not all are tried.
KILLS, FAILURES = 8, 2


class Rig:
    """A host with an interface that outlives whoever is killed, as an engine's does for a moment: the harder case.

    NetworkManager makes a note of its own of any interface that has addresses, and keeps it as long as the interface: with it,
    what is compared is the host after the interface has gone, too."""

    def __init__(self, lan, dns):
        self.host = lan.host(dns=dns)
        self.dns = DRIVERS.get(dns, dns)
        self.notes = dns.startswith("networkmanager")
        self.driver = kill.bring(self.host, "NETCFG_DRIVER")
        self._make_link()
        self.run("session")  # the kernel and the daemons choose what they keep from then on
        self.watcher = kill.Watcher(self.host)
        if self.notes:
            self._remove_link()
        self.before = self.watcher.settle()
        if self.notes:
            self._make_link()

    def _make_link(self):
        self.host.check("ip", "tuntap", "add", LINK, "mode", "tun")

    def _remove_link(self):
        self.host.check("ip", "link", "del", LINK)

    def words(self, what):
        return [self.driver, self.dns, what]

    def run(self, what, before=()):
        return self.host.command(*before, *self.words(what))

    def recover(self, where):
        done = self.run("recover")
        assert done.status == 0, (where, done)
        self.assert_restored(where)

    def assert_restored(self, where):
        if self.notes:
            assert self.host.command("ip", "addr", "show", "dev", LINK, "scope", "global").out.count("inet") == 0, where
            self._remove_link()
        self.watcher.assert_equal(self.before, where)
        if self.notes:
            self._make_link()


def killed_in_the_transaction(dns, lan):
    rig = Rig(lan, dns)
    count = kill.KillAt(rig.host, 0)
    assert rig.run("session", count.words).status == 0
    total = count.point().number
    chosen = kill.selection(total, KILLS)
    killed = 0
    for number in chosen:
        at = kill.KillAt(rig.host, number)
        rig.run("session", at.words)
        killed += at.point().name is not None  # what is asked of a daemon differs a little from run to run
        rig.recover(f"killed before {at.point()}")
    assert killed >= len(chosen) * 3 // 4, (killed, len(chosen))
    print(f"# transaction, DNS {dns}: killed before {killed} of about {total} system calls, put back each time")


def killed_in_the_recovery(dns, lan):
    """Recovery is killed too, again and again, until it gets through."""
    rig = Rig(lan, dns)
    count = kill.KillAt(rig.host, 0)
    rig.run("session", count.words)
    late = kill.KillAt(rig.host, count.point().number * 2 // 3)  # both plans are applied by then
    tried = 0
    number = 1
    step = 1 if os.environ.get("STILE_SOAK") else 15
    rig.run("session", late.words)
    assert rig.before.difference(rig.watcher.take()), "nothing to put back"
    while True:
        at = kill.KillAt(rig.host, number)
        rig.run("recover", at.words)
        if at.point().name is None:
            break
        tried += 1
        number += step
    rig.assert_restored("recovery killed at every step")
    print(f"# recovery, DNS {dns}: killed {tried} times in a row, each time later; put back")


def failing_in_the_transaction(dns, lan):
    """Each call fails in turn: the session may not come to be, but nothing of it stays."""
    rig = Rig(lan, dns)
    tried = 0
    for call, count in sorted(kill.calls_of(rig.host, rig.words("session")).items()):
        for number in kill.selection(count, FAILURES):
            error = ERRORS[tried % len(ERRORS)]
            done = rig.run("session", kill.failing_at(call, error, number))
            assert done.status in (0, 1, 2, 127), (call, number, error, done)
            rig.recover(f"{call} number {number} failed with {error}")
            tried += 1
    print(f"# transaction, DNS {dns}: {tried} system calls failed in turn, put back each time")


def named(function, dns):
    """One test for each back-end, with a name that says so."""
    test = functools.partial(function, dns)
    test.__name__ = f"{function.__name__}_with_{dns}"
    return test


if __name__ == "__main__":
    backends = ["file", "resolved", "networkmanager"]
    if os.environ.get("STILE_SOAK"):
        backends += ["resolvconf", "openresolv"]
    main(__file__, *[named(function, dns) for function in
                     (killed_in_the_transaction, killed_in_the_recovery, failing_in_the_transaction) for dns in backends],
         limit_s=3600 if os.environ.get("STILE_SOAK") else 300)
