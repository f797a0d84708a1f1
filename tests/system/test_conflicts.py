#!/usr/bin/python3
"""Ranges in which something of the host's already lies: another is taken, and it is said which and why."""

from lib.harness import main
from common.process import wait_until

ECHO = "echo.a.stile.test"
RANGES = "ranges: [100.64.0.0/10, 198.18.0.0/15, 10.213.0.0/16]\nallow_ranges: [100.64.0.0/10, 198.18.0.0/15, 10.213.0.0/16, 192.0.0.0/8]\n"


def up(host, *options, wait=True):
    host.start_broker(config=RANGES)
    return host.up("alice", *options, wait=wait)


def reached(host):
    wait_until(lambda: host.program().call("connect", host=ECHO, port=7001, timeout=3)["verdict"] == "ok", "the app")


def ended(host, session, before):
    assert session.stop() == 0
    host.assert_restored(before)


def a_resolver_within_the_range(lan):
    """As where a provider's own resolver has a shared address (RFC 6598)."""
    host = lan.host(families=(4,))
    host.log_in("alice", "a")
    host.check("ip", "addr", "add", "100.100.100.2/24", "dev", "eth0")
    lan.command("ip", "addr", "add", "100.100.100.1/24", "dev", "lan")
    host.check("ip", "route", "del", "100.100.100.0/24", "dev", "eth0")
    host.write("/etc/resolv.conf", "nameserver 192.0.2.1\nnameserver 100.100.100.1\n")
    before = host.settle()
    session = up(host)
    assert session.status()["ipv4_ranges"] == ["198.18.0.0/15"], session.status()
    assert "100.100.100" in session.out(), session.out()
    reached(host)
    ended(host, session, before)


def a_forced_range_over_the_host_s_own_network_is_told(lan):
    host = lan.host(families=(4,))
    host.log_in("alice", "a")
    before = host.settle()
    session = up(host, "--range", "192.0.0.0/8")
    assert "192.0.0.0/8 collides with" in session.out() and "--range says so" in session.out(), session.out()
    wait_until(lambda: "Problem: " in session.out(), "the diagnosis says it, too")
    ended(host, session, before)


def a_forced_range_is_taken_whatever_is_in_the_way(lan):
    host = lan.host(families=(4,))
    host.log_in("alice", "a")
    host.check("ip", "route", "add", "100.64.0.0/10", "dev", "eth0", "metric", "500")
    before = host.settle()
    session = up(host, "--range", "100.64.0.0/10")
    assert session.status()["ipv4_ranges"] == ["100.64.0.0/10"], session.status()
    reached(host)
    ended(host, session, before)


def a_part_of_the_range_is_enough(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.check("ip", "route", "add", "100.99.1.0/24", "dev", "eth0", "table", "52")
    host.check("ip", "rule", "add", "table", "52", "priority", "5270")
    before = host.settle()
    session = up(host)
    assert session.status()["ipv4_ranges"] == ["198.18.0.0/15"], session.status()
    assert "100.99.1.0/24" in session.out(), session.out()
    reached(host)
    ended(host, session, before)


def default_routes_and_their_halves_are_no_conflict(lan):
    """As full-tunnel VPNs set them."""
    host = lan.host()
    host.log_in("alice", "a")
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        host.check("ip", "route", "add", half, "via", "192.0.2.1", "dev", "eth0")
    before = host.settle()
    session = up(host)
    assert session.status()["ipv4_ranges"] == ["100.64.0.0/10"], session.status()
    reached(host)
    ended(host, session, before)


def the_range_stays_when_the_conflict_goes(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.check("ip", "route", "add", "100.64.0.0/10", "dev", "eth0")
    session = up(host)
    host.check("ip", "route", "del", "100.64.0.0/10", "dev", "eth0")
    host.log_in("alice", "b")
    wait_until(lambda: len(session.status()["dns_zones"]) == 2, "the second zone")
    assert session.status()["ipv4_ranges"] == ["198.18.0.0/15"], session.status()
    reached(host)


if __name__ == "__main__":
    main(__file__, a_resolver_within_the_range, a_forced_range_over_the_host_s_own_network_is_told, a_forced_range_is_taken_whatever_is_in_the_way,
         a_part_of_the_range_is_enough, default_routes_and_their_halves_are_no_conflict, the_range_stays_when_the_conflict_goes)
