#!/usr/bin/python3
"""Hosts with one family of addresses: nothing fails needlessly, and what there is no address of is answered at once."""

import re

from lib.harness import main
from common.process import Failed, Stopwatch

AT_ONCE_S = 0.05


def up(lan, dns, *options, **how):
    host = lan.host(dns=dns, **how)
    host.log_in("alice", "a")
    before = host.settle()
    host.start_broker()
    return host, host.up("alice", *options), before


def ended(host, session, before):
    assert session.stop() == 0, session.messages()
    host.assert_restored(before)
    assert host.broker.stop() == 0


def ask(host, kind, name="echo.a.stile.test"):
    """What the host's own resolver answers, and how long that took, the best of some: a question's own time."""
    best, out = None, None
    for tries in range(12):
        if tries >= 3 and best < AT_ONCE_S:
            break
        out = host.as_user("alice", "dig", "+tries=1", "+time=4", name, kind)
        found = re.search(r"Query time: (\d+) msec", out.out)
        if not found:
            raise Failed(f"{kind} of {name}: {out!r}")
        took = int(found.group(1)) / 1000
        best = took if best is None else min(best, took)
    return out.out, best


def check_answers(host, four, six):
    for kind, wanted in (("A", four), ("AAAA", six)):
        out, took = ask(host, kind)
        assert "status: NOERROR" in out, out
        assert bool(re.search(r"ANSWER: [1-9]", out)) == wanted, (kind, out)
        assert took < AT_ONCE_S, (kind, took)


def check_app(host, families):
    program = host.program()
    for family in families:
        result = program.call("exchange", host="echo.a.stile.test", port=7001, text="hello", family=family)
        assert result["text"] == "hello", result
    watch = Stopwatch()
    verdict = program.call("connect", host="echo.a.stile.test", port=7001)
    assert verdict["verdict"] == "ok" and watch.seconds() < 2, verdict
    for family in {4, 6} - set(families):
        assert not program.call("resolve", name="echo.a.stile.test", family=family), family


def ipv6_switched_off_by_sysctl(lan):
    for dns in ("file", "resolved"):
        host, session, before = up(lan, dns, families=(4,), ipv6=False)
        check_answers(host, True, False)
        check_app(host, [4])
        assert "IPv6" not in session.messages() or "disable_ipv6" in session.messages(), session.messages()
        ended(host, session, before)
        host.stop()


def a_host_with_ipv4_addresses_only(lan):
    """IPv6 is on, but there is no address but the link's own: apps may have both."""
    for dns in ("file", "resolved"):
        host, session, before = up(lan, dns, families=(4,))
        check_answers(host, True, True)
        check_app(host, [4, 6])
        ended(host, session, before)
        host.stop()


def a_host_with_ipv6_addresses_only(lan):
    for dns in ("file", "resolved", "networkmanager"):
        host, session, before = up(lan, dns, families=(6,))
        check_answers(host, True, True)
        check_app(host, [4, 6])
        ended(host, session, before)
        host.stop()


def ipv6_only_if_asked_for(lan):
    for dns in ("file", "resolved"):
        host, session, before = up(lan, dns, "--ipv6-only")
        check_answers(host, False, True)
        check_app(host, [6])
        ended(host, session, before)
        host.stop()


def ipv4_only_if_asked_for(lan):
    for dns in ("file", "resolved"):
        host, session, before = up(lan, dns, "--ipv4-only")
        check_answers(host, True, False)
        check_app(host, [4])
        ended(host, session, before)
        host.stop()


def other_types_and_unknown_names_are_answered_at_once_too(lan):
    host, _session, _before = up(lan, "resolved")
    for kind in ("MX", "TXT", "HTTPS"):
        out, took = ask(host, kind)
        assert took < AT_ONCE_S and "status: NOERROR" in out, (kind, took, out)
    out, took = ask(host, "A", "outside.test")
    assert "198.51.100.77" in out and took < 2 * AT_ONCE_S, (took, out)


if __name__ == "__main__":
    main(__file__, ipv6_switched_off_by_sysctl, a_host_with_ipv4_addresses_only, a_host_with_ipv6_addresses_only,
         ipv4_only_if_asked_for, ipv6_only_if_asked_for, other_types_and_unknown_names_are_answered_at_once_too,
         clusters=("a",))
