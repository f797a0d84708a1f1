#!/usr/bin/python3
"""The tests' own hosts: they are whole, apart from the machine and each other, and their snapshots notice what is changed."""

import os
import time

from lib import daemons
from lib.harness import main
from lib.host import USERS
from common.process import Failed, Stopwatch, alive, wait_until

OWNERS = ("file", "resolved", "networkmanager", "networkmanager+resolved", "resolvconf", "openresolv")


def a_host_is_apart_from_the_machine(lan):
    host = lan.host()
    assert host.check("hostname").strip() == host.name
    with open("/etc/resolv.conf", encoding="ascii") as file:
        before = file.read()
    host.check("sh", "-c", "echo nameserver 192.0.2.99 >/etc/resolv.conf; echo x >/tmp/here; echo y >/var/lib/here")
    with open("/etc/resolv.conf", encoding="ascii") as file:
        assert file.read() == before
    assert not os.path.exists("/tmp/here") and not os.path.exists("/var/lib/here")
    assert {line.split(":")[1].strip() for line in host.check("ip", "-o", "link").splitlines()} == {"lo", "eth0@if" + far(host)}


def far(host):
    return host.check("cat", "/sys/class/net/eth0/iflink").strip()


def users_have_homes_and_no_rights(lan):
    host = lan.host()
    for user, uid in USERS.items():
        assert host.check("id", "-u", user=user).strip() == str(uid)
        host.check("sh", "-c", 'touch "$HOME/mine" "$XDG_RUNTIME_DIR/mine"', user=user)
        assert host.as_user(user, "ip", "link", "set", "eth0", "down").status != 0
    assert host.as_user("alice", "ls", "/home/bob").status != 0


def a_user_logs_in_from_a_host_of_either_family(lan):
    for families in ((4,), (6,)):
        host = lan.host(families=families)
        host.log_in("alice", "a")
        host.log_in("alice", "b", as_name="bob")
        assert "echo.a.stile.test" in host.stile("apps").out


def two_hosts_reach_each_other(lan):
    one, two = lan.host(), lan.host()
    two.spawn(["socat", "TCP6-LISTEN:8080,ipv6only=0,fork,reuseaddr", "SYSTEM:hostname"])
    for address in two.addresses():
        address = address.partition("/")[0]
        wait_until(lambda: one.program().call("exchange", host=address, port=8080)["text"] == two.name + "\n", "an answer")


def processes_end_with_their_host(lan):
    host = lan.host()
    process = host.spawn(["sleep", "60"])
    host.command("sh", "-c", "setsid sleep 61 >/dev/null 2>&1 &")
    pids = wait_until(lambda: len(found := host.processes("sleep")) == 2 and found, "both processes")
    assert process.pid in pids, pids
    host.stop()
    assert not any(alive(pid) for pid in pids)


def names_resolve_with_each_owner_of_resolv_conf(lan):
    for dns in OWNERS:
        host = lan.host(dns=dns)
        out = host.check("getent", "ahosts", "outside.test")
        assert "198.51.100.77" in out, (dns, out)
        host.stop()


def a_snapshot_of_an_idle_host_is_stable(lan):
    for dns in OWNERS:
        host = lan.host(dns=dns)
        before = host.settle()
        watch = Stopwatch()
        after = host.snapshot()
        took = watch.seconds()
        time.sleep(0.5)
        assert not before.difference(after), (dns, before.difference(after))
        host.assert_restored(before, 0)
        assert took < 3, (dns, took)
        host.stop()


def notices(host, name, change, undo):
    """The change is seen in the section of this name; after undo nothing is."""
    before = host.settle()
    host.check("sh", "-c", change)
    seen = before.difference(host.snapshot())
    assert f"{name} (now)" in seen, (change, seen)
    try:
        host.assert_restored(before, 0)
    except Failed:
        pass
    else:
        raise Failed(f"not noticed: {change}")
    host.check("sh", "-c", undo)
    host.assert_restored(before)


def a_snapshot_notices_links_addresses_routes_and_rules(lan):
    host = lan.host()
    notices(host, "links", "ip link add d0 type bridge", "ip link del d0")
    notices(host, "links", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500")
    notices(host, "addresses", "ip addr add 203.0.113.1/32 dev eth0", "ip addr del 203.0.113.1/32 dev eth0")
    notices(host, "addresses", "ip addr add 2001:db8:9::1/128 dev eth0 nodad", "ip addr del 2001:db8:9::1/128 dev eth0")
    notices(host, "routes, IPv4", "ip route add 100.64.0.0/10 dev eth0", "ip route del 100.64.0.0/10 dev eth0")
    notices(host, "routes, IPv4", "ip route add 100.64.0.0/10 dev eth0 table 77", "ip route flush table 77")
    notices(host, "routes, IPv6", "ip route add 2001:db8:8::/48 dev eth0", "ip route del 2001:db8:8::/48 dev eth0")
    notices(host, "rules, IPv4", "ip rule add from 203.0.113.1 table 77", "ip rule del from 203.0.113.1 table 77")
    notices(host, "rules, IPv6", "ip -6 rule add from 2001:db8::9 table 77", "ip -6 rule del from 2001:db8::9 table 77")


def a_snapshot_notices_files_and_sysctls(lan):
    host = lan.host()
    notices(host, "/etc/resolv.conf", "cp -a /etc/resolv.conf /run/kept; echo '# x' >>/etc/resolv.conf",
            "cat /run/kept >/etc/resolv.conf")
    notices(host, "/etc/resolv.conf", "mv /etc/resolv.conf /run/moved; ln -s /run/moved /etc/resolv.conf",
            "rm /etc/resolv.conf; mv /run/moved /etc/resolv.conf")
    notices(host, "/etc/resolv.conf", "chmod 600 /etc/resolv.conf", "chmod 644 /etc/resolv.conf")
    notices(host, "files", "touch /etc/left-behind", "rm /etc/left-behind")
    notices(host, "sysctls", "sysctl -qw net.ipv4.conf.all.rp_filter=2", "sysctl -qw net.ipv4.conf.all.rp_filter=0")


def a_snapshot_notices_the_firewall(lan):
    host = lan.host()
    if host.command("nft", "list", "ruleset").status != 0:
        raise Failed("nft doesn't work")
    notices(host, "nftables", "nft add table inet x", "nft delete table inet x")


def a_snapshot_notices_the_settings_of_resolved(lan):
    host = lan.host(dns="resolved")
    host.check("ip", "link", "add", "d0", "type", "bridge")
    host.check("ip", "link", "set", "d0", "up")
    notices(host, "resolved", "resolvectl dns d0 192.0.2.55", "resolvectl revert d0")
    notices(host, "resolved", "resolvectl domain d0 '~corp.example'", "resolvectl revert d0")
    notices(host, "resolved", "resolvectl domain eth0 '~corp.example'", "resolvectl domain eth0 ''")
    notices(host, "resolved", "resolvectl default-route d0 yes", "resolvectl revert d0")


def a_snapshot_notices_the_settings_of_networkmanager(lan):
    host = lan.host(dns="networkmanager")
    notices(host, "NetworkManager", "nmcli device modify eth0 +ipv4.dns 192.0.2.55", "nmcli device reapply eth0")


def resolved_is_restarted_and_knows_its_links(lan):
    host = lan.host(dns="resolved")
    before = host.settle()
    host.resolved.kill()
    host.resolved.wait()
    daemons.run_resolved(host)
    host.assert_restored(before)


if __name__ == "__main__":
    main(__file__, a_host_is_apart_from_the_machine, users_have_homes_and_no_rights, two_hosts_reach_each_other,
         processes_end_with_their_host, a_user_logs_in_from_a_host_of_either_family,
         names_resolve_with_each_owner_of_resolv_conf, a_snapshot_of_an_idle_host_is_stable,
         a_snapshot_notices_links_addresses_routes_and_rules, a_snapshot_notices_files_and_sysctls,
         a_snapshot_notices_the_firewall, a_snapshot_notices_the_settings_of_resolved,
         a_snapshot_notices_the_settings_of_networkmanager, resolved_is_restarted_and_knows_its_links)
