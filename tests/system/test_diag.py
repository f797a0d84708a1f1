#!/usr/bin/python3
"""`stile diag` on whole hosts: each fault is made, and must be found, named, and given a remedy."""

import os
import shutil
import signal
import sys
import time

from lib.harness import main
from common.process import Failed, Stopwatch, wait_until

ZONE = "a.stile.test"


def diagnose(host, user="alice", expect=None, **how):
    """The report: findings by id. expect: the exit status."""
    watch = Stopwatch()
    out = host.stile("diag", "--json", user=user, timeout=90, **how)
    seconds = watch.seconds()
    if out.status not in (0, 1) or out.err:
        raise Failed(f"stile diag: {out!r}")
    report = out.json()
    found = {}
    for check in report["checks"]:
        for finding in check["findings"]:
            found.setdefault(finding["id"], []).append(finding)
            assert finding["severity"] == "ok" or finding["remedy"], finding
    problems = [f for fs in found.values() for f in fs if f["severity"] == "problem"]
    assert report["problems"] == len(problems), report
    assert out.status == (1 if problems else 0), (out.status, problems)
    if expect is not None:
        assert bool(problems_of(found)) == bool(expect), (expect, problems)
    assert seconds < 20, seconds
    return found


def problems_of(found):
    """Without what this machine may lack for `stile run`."""
    return {f["id"] for fs in found.values() for f in fs if f["severity"] == "problem" and not f["id"].startswith("run-")}


def session(lan, *options, dns="none", **how):
    host = lan.host(**how)
    # Gateways are found whatever becomes of the resolver.
    host.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 gw-a.lan.test\n")
    host.log_in("alice", "a")
    host.start_broker("--dns", dns)
    up = host.up("alice", *options)
    return host, up


def resolv_conf(host, *servers):
    host.write("/etc/resolv.conf", "".join(f"nameserver {server}\n" for server in servers))


def wildcard_resolver(host, address):
    """A resolver on the host that knows every name."""
    process = host.spawn(["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=",
                          "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={address}",
                          "--address=/#/203.0.113.9", "--address=/#/2001:db8:9::9"])
    wait_until(lambda: "203.0.113.9" in host.command("dig", "+short", "+time=1", f"@{address}", "x.test").out, "the resolver")
    return process


def silent_resolver(host, address):
    """It takes every question and answers none."""
    host.spawn([sys.executable, "-c", "import socket, time\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"s.bind(('{address}', 53))\ntime.sleep(600)"])
    wait_until(lambda: f"{address}:53" in host.check("ss", "-uln"), "the silent resolver")


# ---- well ----

def all_is_well_with_resolved(lan):
    host, _ = resolved_session(lan)
    found = diagnose(host, expect=0)
    assert found["dns"][0]["subject"] == ZONE and "A and AAAA" in found["dns"][0]["title"], found["dns"]
    assert {"service", "session", "stack", "range", "dns-server", "leftovers", "gateway", "clock"} <= set(found), found.keys()
    assert len(found["range"]) == 2, found["range"]  # both families


def resolved_session(lan):
    host = lan.host(dns="resolved")
    host.log_in("alice", "a")
    host.start_broker()
    return host, host.up("alice")


def all_is_well_with_resolv_conf(lan):
    host, _ = session(lan, dns="file")
    found = diagnose(host, expect=0)
    assert found["dns"][0]["subject"] == ZONE, found
    out = host.stile("diag")
    assert out.status == 0 and out.out.splitlines()[-1].startswith("No problem found"), out


def all_is_well_with_every_owner_of_resolv_conf(lan):
    for owner, backend in (("networkmanager", "networkmanager"), ("resolvconf", "resolvconf"), ("openresolv", "resolvconf")):
        host = lan.host(dns=owner)
        host.log_in("alice", "a")
        host.start_broker()
        up = host.up("alice")
        found = diagnose(host, expect=0)
        assert found["dns"][0]["subject"] == ZONE, (owner, up.out(), found)
        assert f"DNS by {backend})" in found["service"][0]["title"], found
        assert host.down().status == 0


def two_users_at_once_are_well_and_root_is_told_of_them(lan):
    host, _ = session(lan, dns="file")
    host.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 gw-a.lan.test gw-b.lan.test\n")
    host.log_in("bob", "b")
    host.up("bob")
    diagnose(host, expect=0)
    found = diagnose(host, user="bob", expect=0)
    assert found["dns"][0]["subject"] == "b.stile.test", found
    found = diagnose(host, user="root", expect=0, env={"STILE_HOME": "/run/stile-home"})
    assert found["no-session"][0]["detail"] == "Sessions of other users: 2", found


def a_gateway_in_the_range_is_a_conflict(lan):
    host, _ = session(lan, dns="file")
    host.write("/etc/hosts", "127.0.0.1 localhost\n100.64.7.7 gw-a.lan.test\n")
    found = diagnose(host, expect=1)
    assert "range-conflict" in problems_of(found), found
    assert "the gateway gw-a.lan.test" in found["range-conflict"][0]["title"], found


def families_that_are_off_are_not_asked_for(lan):
    host, _ = session(lan, "--ipv4-only", dns="file")
    found = diagnose(host, expect=0)
    assert "IPv6 is off" in found["dns"][0]["title"], found["dns"]


def without_a_session_it_says_what_it_could_not_check(lan):
    host = lan.host()
    found = diagnose(host, expect=0)
    assert {"service-absent", "no-session", "not-logged-in"} <= set(found), found.keys()
    assert "stile broker" in found["service-absent"][0]["remedy"]
    host.start_broker("--dns", "none", users=("bob",))
    found = diagnose(host, user="carol", expect=0)
    assert "service-not-allowed" in found, found.keys()


# ---- names ----

def the_zone_on_another_link_of_resolved_is_a_hijack(lan):
    host = lan.host(dns="resolved")
    host.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 gw-a.lan.test\n")
    host.log_in("alice", "a")
    host.start_broker("--dns", "none")
    host.up("alice")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-not-asked"}, problems_of(found)
    assert "the interface lacks the domain" in found["dns-not-asked"][0]["title"], found
    host.check("ip", "link", "add", "corpvpn", "type", "bridge")
    host.check("ip", "addr", "add", "10.77.0.1/24", "dev", "corpvpn")
    host.check("ip", "link", "set", "corpvpn", "up")
    host.check("resolvectl", "dns", "corpvpn", "192.0.2.1")
    host.check("resolvectl", "domain", "corpvpn", "~stile.test")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-hijacked"}, found
    assert "hijacked by the interface corpvpn (stile.test in systemd-resolved)" in found["dns-hijacked"][0]["title"], found
    host.check("resolvectl", "revert", "corpvpn")
    host.check("resolvectl", "domain", "eth0", f"~{ZONE}")  # its server answers: no such name
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-hijacked"}, found
    assert f"hijacked by the interface eth0 ({ZONE} in systemd-resolved)" in found["dns-hijacked"][0]["title"], found


def the_same_zone_on_two_links_is_told(lan):
    host, _ = resolved_session(lan)
    host.check("resolvectl", "domain", "eth0", f"~{ZONE}")
    found = diagnose(host)
    ids = {"dns-contested", "dns-hijacked"} & set(found)
    assert ids, found
    assert "the interface eth0" in found[ids.pop()][0]["title"], found


def one_family_alone(lan):
    for how in ({"families": (6,)}, {"families": (4,)}, {"families": (4,), "ipv6": False}):
        host = lan.host(**how)
        host.log_in("alice", "a")
        host.start_broker()
        host.up("alice")
        found = diagnose(host, expect=0)
        assert found["dns"][0]["subject"] == ZONE, found
        assert host.down().status == 0


def a_resolver_that_answers_in_our_place_is_named(lan):
    host, _ = session(lan)
    wildcard_resolver(host, "127.0.0.9")
    resolv_conf(host, "127.0.0.9", "100.64.0.2")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-hijacked"}, found
    title = found["dns-hijacked"][0]["title"]
    assert "the resolver 127.0.0.9 of /etc/resolv.conf (203.0.113.9)" in title, title
    assert "stands before stile's" in found["dns-hijacked"][0]["detail"], found


def a_resolver_before_ours_that_knows_nothing(lan):
    host, _ = session(lan)
    resolv_conf(host, "192.0.2.1", "100.64.0.2")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-not-asked"}, found
    assert "another resolver, 192.0.2.1, stands before stile's" in found["dns-not-asked"][0]["title"], found
    resolv_conf(host, "192.0.2.1")
    found = diagnose(host, expect=1)
    assert "/etc/resolv.conf names 192.0.2.1, not stile's" in found["dns-not-asked"][0]["title"], found
    assert "dns: none" in found["dns-not-asked"][0]["remedy"], found
    resolv_conf(host, "100.64.0.2")
    diagnose(host, expect=0)


def a_resolver_that_does_not_answer(lan):
    host, _ = session(lan)
    silent_resolver(host, "127.0.0.9")
    resolv_conf(host, "127.0.0.9")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-timeout"}, found
    assert "though stile's DNS server answers" in found["dns-timeout"][0]["title"], found


def a_host_that_asks_no_dns(lan):
    host, _ = session(lan)
    resolv_conf(host, "100.64.0.2")
    host.write("/etc/nsswitch.conf", "passwd: files\nhosts: files\n")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-not-asked", "nsswitch-no-dns"}, found


def a_firewall_before_our_dns_server(lan):
    host, _ = session(lan, dns="file")
    host.check("ip", "rule", "add", "to", "100.64.0.2", "ipproto", "tcp", "prohibit", "priority", "1")
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"dns-server-silent"}, found
    assert "by TCP over IPv4" in found["dns-server-silent"][0]["title"], found


# ---- network ----

def routes_in_the_range_are_found_in_both_families(lan):
    host, up = session(lan, dns="file")
    prefix = up.status()["ipv6_prefix"].partition("::")[0]
    host.check("ip", "link", "add", "tailscale0", "type", "bridge")
    host.check("ip", "link", "set", "tailscale0", "up")
    host.check("ip", "route", "add", "100.100.0.0/16", "dev", "tailscale0", "table", "52")
    found = diagnose(host, expect=1)
    assert [f["subject"] for f in found["range-conflict"]] == ["100.64.0.0/10"], found
    assert "tailscale0" in found["range-conflict"][0]["title"] and "100.100.0.0/16" in found["range-conflict"][0]["title"]
    assert "--range" in found["range-conflict"][0]["remedy"]
    host.check("ip", "route", "del", "100.100.0.0/16", "table", "52")
    host.check("ip", "-6", "route", "add", f"{prefix}:77::/64", "dev", "tailscale0")
    found = diagnose(host, expect=1)
    assert [f["subject"] for f in found["range-conflict"]] == [f"{prefix}::/48"], found
    assert found["other-vpn"][0]["subject"] == "tailscale0", found


def what_nobody_owns_is_left_behind(lan):
    host = lan.host()
    host.check("ip", "tuntap", "add", "stile7", "mode", "tun")
    host.check("ip", "link", "set", "stile7", "up")
    host.check("ip", "route", "add", "198.18.0.0/15", "dev", "eth0", "proto", "115")
    host.write("/etc/resolv.conf", "#stile: checksum 0\nnameserver 192.0.2.1\n")
    found = diagnose(host, expect=1)
    assert {"leftover-link", "leftover-route", "leftover-resolv-conf"} == problems_of(found), found
    assert found["leftover-link"][0]["subject"] == "stile7"
    assert "sudo stile cleanup" in found["leftover-route"][0]["remedy"]
    out = host.stile("cleanup", user="root")
    found = diagnose(host)
    assert not {"leftover-link", "leftover-route"} & set(found), (out, found)


def other_users_sessions_are_no_leftovers(lan):
    host, _ = session(lan)
    resolv_conf(host, "192.0.2.1")
    found = diagnose(host, user="bob", expect=0)
    assert "leftovers" in found, found


def something_took_the_session_s_routes(lan):
    host, up = session(lan, dns="file")
    os.kill(host.broker.process.pid, signal.SIGSTOP)
    os.kill(host.broker.proper(), signal.SIGSTOP)
    host.check("ip", "link", "set", "stile0", "down")
    out = host.command("/opt/stile/stile", "diag", "--json", user="alice", timeout=90,
                       env={"STILE_BROKER_SOCKET": "/nowhere"})
    ids = {f["id"] for check in out.json()["checks"] for f in check["findings"] if f["severity"] == "problem"}
    os.kill(host.broker.proper(), signal.SIGCONT)
    os.kill(host.broker.process.pid, signal.SIGCONT)
    assert {"link-down", "route-missing", "service-absent"} <= ids, ids


# ---- gateways ----

def a_gateway_that_is_away(lan):
    host = lan.host()
    host.log_in("alice", "b")
    lan.clusters["b"].stop()
    try:
        found = diagnose(host, expect=1)
    finally:
        lan.clusters["b"].start()
    assert problems_of(found) == {"gateway-unreachable"}, found
    assert found["gateway-unreachable"][0]["subject"] == "b"
    diagnose(host, expect=0)


def a_gateway_that_is_another(lan):
    host = lan.host()
    host.log_in("alice", "a")
    path = host.path("/home/alice/.config/stile/profiles/a/profile.json")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(lan.clusters["a"].address, lan.clusters["b"].address))
    found = diagnose(host, expect=1)
    assert problems_of(found) == {"gateway-untrusted"}, found


def shifted(host, seconds):
    shutil.copy(os.environ["CLOCK_SHIFT_LIB"], host.path("/opt/stile/clock_shift.so"))
    return {"LD_PRELOAD": "/opt/stile/clock_shift.so", "CLOCK_SHIFT": str(seconds)}


def clocks_that_differ(lan):
    host = lan.host()
    host.log_in("alice", "a")
    found = diagnose(host, expect=0)
    assert "agree" in found["clock"][0]["title"]
    found = diagnose(host, expect=1, env=shifted(host, 300))
    assert problems_of(found) == {"clock-skew"} and "ahead" in found["clock-skew"][0]["title"], found
    found = diagnose(host, expect=1, env=shifted(host, -300))
    assert "clock-skew" in problems_of(found) and "behind" in found["clock-skew"][0]["title"], found
    found = diagnose(host, expect=0, env=shifted(host, 30))
    assert found["clock-skew"][0]["severity"] == "notice", found


def a_clock_that_is_years_off_is_told_all_the_same(lan):
    host = lan.host()
    host.log_in("alice", "a")
    found = diagnose(host, expect=1, env=shifted(host, 20 * 365 * 86400))
    assert {"clock-skew", "log-in-expired", "gateway-cert-expired"} <= problems_of(found), found
    found = diagnose(host, expect=1, env=shifted(host, -20 * 365 * 86400))
    assert {"clock-skew", "gateway-cert-not-yet"} <= problems_of(found), found


# ---- reports ----

def reports_are_saved_for_their_owner_alone_and_never_over_a_file(lan):
    host, _ = session(lan, dns="file")
    out = host.stile("diag", "--save", "/home/alice/report.txt")
    assert out.status == 0 and "--redact" in out.err, out
    path = host.path("/home/alice/report.txt")
    assert os.stat(path).st_mode & 0o777 == 0o600
    text = host.read("/home/alice/report.txt")
    for part in (ZONE, "100.64.0.0/10", "kernel", "stile0", "/etc/resolv.conf", "DNS by file", "user      alice"):
        assert part in text, (part, text)
    out = host.stile("diag", "--save", "/home/alice/report.txt")
    assert out.status == 1 and "is there already" in out.err, out
    assert host.read("/home/alice/report.txt") == text


def redacted_reports_name_nobody(lan):
    host, up = session(lan, dns="file")
    host.check("ip", "link", "add", "tailscale0", "type", "bridge")
    host.check("ip", "addr", "add", "100.101.102.103/32", "dev", "tailscale0")
    out = host.stile("diag", "--redact", "--save", "/home/alice/report.txt")
    json_out = host.stile("diag", "--redact", "--json", "--save", "/home/alice/report.json")
    shown = out.out + json_out.out + host.read("/home/alice/report.txt") + host.read("/home/alice/report.json")
    prefix = up.status()["ipv6_prefix"].partition("::")[0]
    for secret in ("alice", ZONE, "stile.test", "192.0.2.", "2001:db8:", "100.64.", "100.101.", prefix, "gw-a", "lan.test",
                   host.check("hostname").strip()):
        assert secret not in shown, (secret, shown)
    assert "name-1" in shown and "address-1" in shown


# ---- by itself ----

def a_running_session_tells_what_is_new_once(lan):
    host, up = session(lan, dns="file")
    time.sleep(4)
    assert "Problem:" not in up.out(), up.out()
    host.check("ip", "link", "add", "tailscale0", "type", "bridge")
    host.check("ip", "link", "set", "tailscale0", "up")
    host.check("ip", "route", "add", "100.100.0.0/16", "dev", "tailscale0")
    wait_until(lambda: "Problem: 100.64.0.0/10 collides with" in up.out(), "the conflict is told")
    host.check("ip", "addr", "add", "10.99.0.1/24", "dev", "tailscale0")
    time.sleep(5)
    assert up.out().count("collides with") == 1, up.out()
    host.check("ip", "link", "del", "tailscale0")
    wait_until(lambda: "No more: 100.64.0.0/10 collides with" in up.out(), "its end is told")
    assert up.kill(signal.SIGINT) == 0


def the_end_does_not_wait_for_a_diagnosis(lan):
    host, up = session(lan)
    silent_resolver(host, "127.0.0.9")
    resolv_conf(host, "127.0.0.9")
    wait_until(lambda: host.processes("stile", "diag"), "a diagnosis under way")
    watch = Stopwatch()
    assert up.kill(signal.SIGINT) == 0
    assert watch.seconds() < 2.5
    wait_until(lambda: not host.processes("stile", "diag"), "its end")


# ---- stile run ----

def sessions_of_stile_run_are_looked_at_from_outside_and_inside(lan):
    # As root: /dev/net/tun may be root's alone on this machine. But not in root's own home directory.
    host = lan.host()
    env = {"STILE_HOME": "/run/stile-home"}
    out = host.stile("login", "--gateway", lan.clusters["a"].address, "--user", "alice", "--ca", "/opt/stile/ca-a.pem",
                     "--password-file", "-", text=lan.password + "\n", user="root", env=env)
    assert out.status == 0, out
    sleeper = host.spawn(["/opt/stile/stile", "run", "--", "sleep", "60"], env=env)
    wait_until(lambda: host.processes("sleep", "60"), "the program")
    found = diagnose(host, user="root", expect=0, env=env)
    assert "stack-of-its-own" in found and "service-absent" in found, found
    out = host.stile("run", "--", "/opt/stile/stile", "diag", "--json", user="root", env=env)
    findings = [f for check in out.json()["checks"] for f in check["findings"]]
    assert "home-unreadable" in {f["id"] for f in findings}, findings
    assert not [f for f in findings if f["severity"] == "problem" and not f["id"].startswith("run-")], findings
    sleeper.terminate()


if __name__ == "__main__":
    main(__file__, *[test for test in list(globals().values()) if callable(test) and getattr(test, "__code__", None)
                     and test.__module__ == "__main__" and test.__code__.co_varnames[:1] == ("lan",)
                     and test.__name__ not in ("session", "resolved_session")])
