#!/usr/bin/python3
"""Programs nobody here wrote reach apps by name through `stile up`, with each owner of /etc/resolv.conf."""

import os
import re

from lib.harness import main
from common.process import wait_until

ZONE = "a.stile.test"


def up(lan, dns, *options, clusters=("a",), **how):
    """A host with this owner of resolv.conf, a broker that finds it, and a session of alice's; how the host was before."""
    host = lan.host(dns=dns, **how)
    for cluster in clusters:
        host.log_in("alice", cluster)
    before = host.settle()
    host.start_broker()
    session = host.up("alice", *options)
    return host, session, before


def ended(host, session, before):
    """Ends session and broker; the host must be as before after each."""
    assert session.stop() == 0, session.messages()
    host.assert_restored(before)
    assert host.broker.stop() == 0, host.broker.messages()
    host.assert_restored(before, 0)


def each_owner_of_resolv_conf(lan, dns):
    host, session, before = up(lan, dns)
    out = host.as_user("alice", "curl", "-sS", "-m", "10", f"http://web.{ZONE}/")
    assert "stile from nginx" in out.out, out
    out = host.as_user("alice", "psql", "-X", "-At", "-h", f"pg.{ZONE}", "-U", "postgres", "-c", "select word from secret")
    assert out.out == "stile\n", out
    out = host.as_user("alice", "redis-cli", "-h", f"cache.{ZONE}", "get", "word")
    assert out.out == "stile\n", out
    for name in (f"web.{ZONE}", f"WEB.{ZONE.upper()}."):
        out = host.as_user("alice", "getent", "ahosts", name)
        assert re.search(r"^100\.", out.out, re.MULTILINE) and re.search("^fd", out.out, re.MULTILINE), out
    out = host.as_user("alice", "dig", "+short", "+tries=1", "+time=5", f"pg.{ZONE}", "AAAA")
    assert out.out.startswith("fd"), out
    assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test")
    assert not lan.asked(f"pg.{ZONE}") and not lan.asked(f"web.{ZONE}"), "a name of an app was asked of the LAN's resolver"
    ended(host, session, before)


def through_resolved(lan):
    each_owner_of_resolv_conf(lan, "resolved")


def through_resolv_conf_itself(lan):
    each_owner_of_resolv_conf(lan, "file")


def through_networkmanager(lan):
    each_owner_of_resolv_conf(lan, "networkmanager")


def through_networkmanager_and_resolved(lan):
    each_owner_of_resolv_conf(lan, "networkmanager+resolved")


def through_debian_s_resolvconf(lan):
    each_owner_of_resolv_conf(lan, "resolvconf")


def through_openresolv(lan):
    each_owner_of_resolv_conf(lan, "openresolv")


def ssh_reaches_a_real_sshd(lan):
    key = lan.start_sshd()
    host, session, before = up(lan, "resolved")
    host.write("/home/alice/key", key, 0o600)
    os.chown(host.path("/home/alice/key"), 1501, 1501)
    ssh = ["ssh", "-i", "/home/alice/key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/home/alice/known",
           "-o", "BatchMode=yes", f"root@shell.{ZONE}"]
    out = host.as_user("alice", *ssh, "echo over the stile; cat | wc -c", text="x" * 1_000_000, timeout=40)
    assert out.out == "over the stile\n1000000\n", out
    ended(host, session, before)


def large_files_arrive_whole(lan):
    host, _session, _before = up(lan, "file")
    program = host.program()
    for family in (4, 6):
        result = program.call("exchange", host=f"echo.{ZONE}", port=7001, size=20_000_000, family=family)
        assert result["digest"] == result["sent"] and result["bytes"] == 20_000_000, result


def several_profiles_at_once(lan):
    host, session, before = up(lan, "resolved", clusters=("a", "b"))
    program = host.program()
    for name in ("echo.a.stile.test", "echo.b.stile.test"):
        assert program.call("exchange", host=name, port=7001, text="x")["text"] == "x", name
    host.stile("logout", "--profile", "b")
    try_until_unknown(program, "echo.b.stile.test")
    assert program.call("connect", host="echo.a.stile.test", port=7001)["verdict"] == "ok"
    ended(host, session, before)


def try_until_unknown(program, name):
    wait_until(lambda: program.call("connect", host=name, port=7001)["verdict"] == "unknown name", f"{name} is unknown")


def prepare(lan):
    lan.start_nginx("stile")
    lan.start_redis("stile")
    lan.start_postgres("stile")


if __name__ == "__main__":
    main(__file__, through_resolv_conf_itself, through_resolved, through_networkmanager, through_networkmanager_and_resolved,
         through_debian_s_resolvconf, through_openresolv, ssh_reaches_a_real_sshd, large_files_arrive_whole,
         several_profiles_at_once, prepare=prepare)
