#!/usr/bin/python3
"""Several users of one host: engines and zones of their own, nothing of each other's, ends in any order."""

import os
import re

from lib.harness import main
from lib.host import USERS
from lib.lan import APPS
from common.process import PATIENCE_S, wait_until


def uid_of(pid):
    return os.stat(f"/proc/{pid}").st_uid


def two(lan, dns="resolved", ranges=""):
    """A host on which alice is up with cluster a, and bob with b."""
    host = lan.host(dns=dns)
    host.log_in("alice", "a")
    host.log_in("bob", "b")
    before = host.settle()
    host.start_broker(config=ranges)
    return host, host.up("alice"), host.up("bob"), before


def reaches(host, user, name, port=7001):
    return host.program(user).call("connect", host=name, port=port, timeout=5)["verdict"]


def each_has_an_engine_with_a_uid_of_its_own(lan):
    host, _alice, _bob, _ = two(lan)
    engines = wait_until(lambda: len(found := host.broker.engines()) == 2 and found, "two engines")
    uids = {uid_of(pid) for pid in engines}
    assert len(uids) == 2 and not uids & {0, *USERS.values()}, uids
    for pid in engines:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, status
        assert status["Groups"].strip() == "" and status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status


def each_reaches_its_own_apps_and_not_the_other_s(lan):
    host, _alice, _bob, _ = two(lan)
    assert reaches(host, "alice", "echo.a.stile.test") == "ok"
    assert reaches(host, "bob", "echo.b.stile.test") == "ok"
    assert reaches(host, "alice", "echo.b.stile.test") == "ECONNREFUSED"
    assert reaches(host, "bob", "echo.a.stile.test") == "ECONNREFUSED"
    assert reaches(host, "carol", "echo.a.stile.test") == "ECONNREFUSED"
    assert reaches(host, "root", "echo.a.stile.test") == "ECONNREFUSED"


def a_stranger_s_connection_is_refused_and_recorded(lan):
    host, _alice, _bob, _ = two(lan)
    address = host.program("bob").call("resolve", name="echo.a.stile.test", family=4)[0]
    for family, target in ((4, address), (6, host.program("bob").call("resolve", name="echo.a.stile.test", family=6)[0])):
        assert reaches(host, "bob", target) == "ECONNREFUSED", family
    found = wait_until(lambda: [c for c in host.stile("connections", "--json").json()["connections"]
                                if c["verdict"] == "owner_refused"], "a record of the refusal")
    assert all("another user" in c["reason"] and c["name"] == "echo.a.stile.test" for c in found), found
    assert not [c for c in host.stile("connections", "--json", user="bob").json()["connections"] if "echo.a" in c["name"]]


def a_taken_zone_is_refused_with_the_remedy(lan):
    host = lan.host(dns="resolved")
    host.log_in("alice", "a")
    host.log_in("bob", "a")
    host.start_broker()
    host.up("alice")
    before = host.settle()
    late = host.up("bob", wait=False)
    wait_until(lambda: late.process.poll() is not None or "stile run" in late.messages() + late.out(), "the refusal")
    said = late.messages() + late.out()
    assert "a.stile.test" in said and "stile run" in said, said
    host.assert_restored(before)
    assert reaches(host, "alice", "echo.a.stile.test") == "ok"
    assert "a.stile.test" in host.stile("logs", user="bob").out


def a_log_in_whose_zone_is_taken_changes_nothing_for_the_other(lan):
    """Where one file serves all, the oldest session is asked for every name."""
    host, alice, bob, _ = two(lan, dns="file")
    host.log_in("alice", "b")
    wait_until(lambda: "b.stile.test is taken" in alice.out() and "New zones are left out" in alice.out(), "it is told")
    assert reaches(host, "bob", "echo.b.stile.test") == "ok"
    assert reaches(host, "alice", "echo.a.stile.test") == "ok"
    assert alice.status()["dns_zones"] == ["a.stile.test"], alice.status()
    assert host.stile("logout", "--profile", "a").status == 0
    wait_until(lambda: alice.status()["dns_zones"] == [], "a log-out is followed all the same")
    wait_until(lambda: "0 zones now" in host.broker.messages(), "the host has no zone of it any more")
    assert reaches(host, "bob", "echo.b.stile.test") == "ok"
    assert bob.stop() == 0
    host.log_in("alice", "a")
    wait_until(lambda: sorted(alice.status()["dns_zones"]) == ["a.stile.test", "b.stile.test"], "what is free now is asked for again")
    assert reaches(host, "alice", "echo.b.stile.test") == "ok"


def a_zone_below_a_taken_one_is_refused_too(lan):
    cluster = lan.clusters["b"]
    host = lan.host(dns="resolved")
    host.log_in("alice", "a")
    zones = cluster.zones
    try:
        cluster.configure([], ["deep.a.stile.test"])
        host.log_in("bob", "b")
        host.start_broker()
        host.up("alice")
        late = host.up("bob", wait=False)
        wait_until(lambda: "stile run" in late.messages() + late.out(), "the refusal")
    finally:
        cluster.configure(APPS, zones)


def sessions_end_in_either_order(lan):
    for first in (0, 1):
        host, *sessions, before = two(lan)
        assert sessions[first].stop() == 0
        other = ("bob", "echo.b.stile.test") if first == 0 else ("alice", "echo.a.stile.test")
        assert reaches(host, *other) == "ok"
        assert sessions[1 - first].stop() == 0
        host.assert_restored(before)
        host.stop()


def sessions_end_in_either_order_where_one_file_serves_all(lan):
    for dns in ("file", "networkmanager", "openresolv"):
        for first in (0, 1):
            host, *sessions, before = two(lan, dns)
            said = [session.out() + session.messages() for session in sessions]
            assert "until another session ends" not in said[0], said[0]
            assert "wait until another session ends" in said[1] and "passes on" in said[1], said[1]
            assert reaches(host, "alice", "echo.a.stile.test") == "ok", dns
            wait_until(lambda: reaches(host, "bob", "echo.b.stile.test") == "ok", f"bob's app through {dns}")
            assert sessions[first].stop() == 0
            other = ("bob", "echo.b.stile.test") if first == 0 else ("alice", "echo.a.stile.test")
            wait_until(lambda: reaches(host, *other) == "ok", f"the other's app through {dns}")
            assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test")
            assert sessions[1 - first].stop() == 0
            host.assert_restored(before)
            host.stop()


def two_sessions_have_two_interfaces_and_ranges(lan):
    host, alice, bob, _ = two(lan)
    one, other = alice.status(), bob.status()
    assert {one["interface"], other["interface"]} == {"stile0", "stile1"}, (one, other)
    assert one["ipv4_ranges"] != other["ipv4_ranges"], (one, other)
    assert re.search(r"100\.64\.0\.0/10", bob.messages() + bob.out()), "bob isn't told why it is another range"


def one_user_has_one_session(lan):
    host, alice, _bob, _ = two(lan)
    second = host.up("alice", wait=False)
    assert second.process.wait(PATIENCE_S) == 1 and "lready up" in second.messages(), second.messages()
    assert alice.process.poll() is None


def who_is_not_named_is_refused_with_the_remedy(lan):
    host = lan.host()
    host.log_in("carol", "a", as_name="alice")
    host.start_broker()
    session = host.up("carol", wait=False)
    assert session.process.wait(PATIENCE_S) == 1
    assert "broker.yaml" in session.messages() and "stile run" in session.messages(), session.messages()


def users_see_their_own_sessions_only(lan):
    host, _alice, _bob, _ = two(lan)
    shown = host.stile("status", user="bob").out
    assert "a.stile.test" not in shown and "alice" not in shown, shown
    assert "echo.a" not in host.stile("connections", user="bob").out


if __name__ == "__main__":
    main(__file__, each_has_an_engine_with_a_uid_of_its_own, each_reaches_its_own_apps_and_not_the_other_s,
         a_stranger_s_connection_is_refused_and_recorded, a_taken_zone_is_refused_with_the_remedy,
         a_log_in_whose_zone_is_taken_changes_nothing_for_the_other, a_zone_below_a_taken_one_is_refused_too, sessions_end_in_either_order,
         sessions_end_in_either_order_where_one_file_serves_all, two_sessions_have_two_interfaces_and_ranges,
         one_user_has_one_session, who_is_not_named_is_refused_with_the_remedy, users_see_their_own_sessions_only)
