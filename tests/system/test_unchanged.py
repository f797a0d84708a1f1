#!/usr/bin/python3
"""An unchanged plan touches nothing: nobody who watches the host sees anything when it is applied again, and verified.

usage: STILE=… NETCFG_DRIVER=… test_unchanged.py [word of a test's name]
"""

import functools
import os
import subprocess
import time

from lib import kill
from lib.dns import BusMonitor
from lib.harness import main
from common.process import wait_until

LINK = "stile0"
RESOLVE1 = "org.freedesktop.resolve1"
FILES = ["/etc/resolv.conf", "/var/lib/stile/journal"]
QUIET_S = 0.5


class NetlinkMonitor:
    """What `ip monitor` sees of links, addresses, routes and rules."""

    def __init__(self, host):
        self.path = host.log_path("ip-monitor")
        self.process = host.spawn(["ip", "monitor", "link", "address", "route", "rule"], stdout=open(self.path, "wb"))
        self.host = host

    def size(self):
        return os.path.getsize(self.path)

    def works(self):
        """It notices a change, so that its silence means something."""
        def noticed():
            self.host.check("ip", "rule", "add", "from", "203.0.113.1", "table", "77")
            self.host.check("ip", "rule", "del", "from", "203.0.113.1", "table", "77")
            return self.size() > 0
        wait_until(noticed, "ip monitor")


def stamps(host):
    """Of the files: what changes when they are written, replaced or touched."""
    found = []
    for path in FILES:
        status = os.stat(host.path(path))
        found.append((path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found


def an_unchanged_plan_touches_nothing(dns, lan):
    host = lan.host(dns=dns)
    host.check("ip", "tuntap", "add", LINK, "mode", "tun")
    driver = host.spawn([kill.bring(host, "NETCFG_DRIVER"), dns, "again"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert driver.stdout.readline() == b"done\n"
    netlink = NetlinkMonitor(host)
    netlink.works()
    bus = BusMonitor(host, RESOLVE1) if dns == "resolved" else None
    time.sleep(QUIET_S)
    before, size = stamps(host), netlink.size()

    driver.stdin.write(b"\n")
    driver.stdin.flush()
    assert driver.stdout.readline() == b"done\n"
    time.sleep(QUIET_S)

    assert netlink.size() == size, netlink.path
    assert stamps(host) == before, (before, stamps(host))
    if bus:
        assert not bus.seen(), bus.seen()
        calls = bus.seen("method call")
        assert calls, "verifying asks resolved"
        assert not [call for call in calls if "member=Set" in call or "member=Revert" in call], calls
        bus.stop()


def named(function, dns):
    test = functools.partial(function, dns)
    test.__name__ = f"{function.__name__}_with_{dns}"
    return test


if __name__ == "__main__":
    main(__file__, *[named(an_unchanged_plan_touches_nothing, dns) for dns in ("file", "resolved")])
