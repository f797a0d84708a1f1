#!/usr/bin/python3
"""What happens to a host while stile is up: what was taken away is put back once, what is others' stays theirs."""

import os
import signal
import time

from lib import daemons
from lib.harness import main
from common.process import wait_until

ECHO = "echo.a.stile.test"
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def up(lan, dns="resolved", *options, clusters=("a",), broker=(), config="", **how):
    host = lan.host(dns=dns, **how)
    for cluster in clusters:
        host.log_in("alice", cluster)
    before = host.settle()
    host.start_broker("-v", *broker, config=config)
    session = host.up("alice", *options)
    return host, session, before


def echoes(host, name=ECHO):
    return host.program().call("connect", host=name, port=7001, timeout=3)["verdict"]


def ended(host, session, before):
    assert session.stop() == 0, session.messages()
    host.assert_restored(before)


def repaired(host, during):
    """The host is as it was while the session was up; and stays so."""
    host.assert_restored(during)
    time.sleep(0.5)
    host.assert_restored(during, 0)


def what_someone_deletes_is_put_back(lan):
    host, session, before = up(lan)
    during = host.settle()
    for change in ("ip addr del 100.64.0.1/32 dev stile0", "ip route del 100.64.0.0/10 dev stile0",
                   "ip -6 route flush dev stile0 proto 115", "ip -6 addr flush dev stile0 scope global", "ip addr flush dev stile0",
                   "resolvectl revert stile0"):
        host.check("sh", "-c", change)
        wait_until(lambda: not during.difference(host.snapshot()), f"repair of: {change}")
        assert echoes(host) == "ok", change
    repaired(host, during)
    assert "epair" in host.broker.messages() or "put back" in host.broker.messages(), host.broker.messages()
    ended(host, session, before)


def what_someone_changes_stays_theirs_and_is_said(lan):
    host, session, before = up(lan)
    host.check("ip", "link", "set", "stile0", "mtu", "1400")
    wait_until(lambda: "alone" in session.out(), "it is said")
    assert echoes(host) == "ok"
    assert "mtu 1400" in host.check("ip", "link", "show", "stile0")
    ended(host, session, before)


def an_interface_set_down_comes_up_again(lan):
    host, session, before = up(lan)
    during = host.settle()
    host.check("ip", "link", "set", "stile0", "down")
    wait_until(lambda: not during.difference(host.snapshot()), "the repair")
    assert echoes(host) == "ok"
    ended(host, session, before)


def who_deletes_again_and_again_wins_and_it_is_said(lan):
    host, session, before = up(lan)
    count = tries = 0
    while tries < 12 or (count < 3 and tries < 80):  # a busy machine repairs later
        if host.command("ip", "addr", "del", "100.64.0.1/32", "dev", "stile0").status == 0:
            count += 1
        tries += 1
        time.sleep(0.6)
    assert 3 <= count <= 6, count
    wait_until(lambda: "100.64.0.1" in session.out() + session.messages(), "the person is told")
    ended(host, session, before)


def resolved_restarted_is_told_again(lan):
    host, session, before = up(lan)
    during = host.settle()
    host.resolved.kill()
    host.resolved.wait()
    # What resolved keeps for its links is gone, too, as after its package was upgraded.
    host.check("rm", "-rf", "/run/systemd/resolve/netif")
    daemons.run_resolved(host)
    host.check("resolvectl", "dns", "eth0", *host.resolvers())
    host.check("resolvectl", "default-route", "eth0", "yes")
    wait_until(lambda: not during.difference(host.snapshot()), "the repair")
    wait_until(lambda: echoes(host) == "ok", "the app is reached")
    ended(host, session, before)


def networkmanager_restarted_is_told_again(lan):
    host, session, before = up(lan, "networkmanager")
    host.networkmanager.send_signal(signal.SIGTERM)
    host.networkmanager.wait()
    daemons.run_networkmanager(host)
    wait_until(lambda: echoes(host) == "ok", "the app is reached")
    ended(host, session, before)


def resolv_conf_rewritten_by_someone(lan):
    """A DHCP client's new resolver: it is asked from then on, and it is what is put back in the end."""
    host, session, before = up(lan, "file")
    host.write("/etc/resolv.conf", "nameserver 2001:db8:1::1\n")
    wait_until(lambda: "100.64.0.2" in host.read("/etc/resolv.conf"), "the file is ours again")
    wait_until(lambda: echoes(host) == "ok", "the app is reached")
    assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test")
    assert session.stop() == 0
    wait_until(lambda: host.read("/etc/resolv.conf") == "nameserver 2001:db8:1::1\n", "what someone wrote is back")


def an_unchanged_plan_makes_no_event(lan):
    host, session, before = up(lan)
    host.settle()
    netlink = host.log_path("ip-monitor")
    bus = host.log_path("dbus-monitor")
    monitors = [host.spawn(["ip", "monitor", "link", "address", "route", "rule"], stdout=open(netlink, "wb")),
                host.spawn(["dbus-monitor", "--system", "destination='org.freedesktop.resolve1'"], stdout=open(bus, "wb"))]
    time.sleep(0.5)
    sizes = os.path.getsize(netlink), os.path.getsize(bus)
    # A log-in renewed: agent and broker look at everything again, and nothing has changed.
    for _ in range(2):
        host.log_in("alice", "a")
        time.sleep(0.7)
    assert echoes(host) == "ok"
    with open(netlink, encoding="utf-8", errors="replace") as file:
        file.seek(sizes[0])
        assert file.read() == ""
    with open(bus, encoding="utf-8", errors="replace") as file:
        file.seek(sizes[1])
        calls = [line for line in file if "member=Set" in line or "member=Revert" in line or "member=Flush" in line]
    assert not calls, calls
    # The monitors do see something, if there is something.
    host.log_in("alice", "b")
    wait_until(lambda: b"member=SetLinkDomains" in open(bus, "rb").read(), "resolved is told of the new zone")
    for monitor in monitors:
        monitor.kill()
    ended(host, session, before)


def another_network_is_noticed(lan):
    host, session, before = up(lan, "file")
    host.plug("eth1", host.number + 40)
    wait_until(lambda: echoes(host) == "ok", "the app is reached")
    host.check("ip", "link", "del", "eth1")
    wait_until(lambda: echoes(host) == "ok", "the app is reached")
    ended(host, session, before)


def the_network_is_gone_and_comes_back(lan):
    host, session, before = up(lan, "resolved")
    host.check("ip", "link", "set", "eth0", "down")
    time.sleep(0.5)
    assert echoes(host) != "ok"
    host.check("ip", "link", "set", "eth0", "up")
    for address, router, family in zip(host.addresses(), ("192.0.2.1", "2001:db8:1::1"), (4, 6)):
        host.command("ip", "addr", "add", address, "dev", "eth0")
        host.command("ip", f"-{family}", "route", "add", "default", "via", router, "dev", "eth0")
    wait_until(lambda: echoes(host) == "ok", "the app is reached", step=0.5)
    ended(host, session, before)


def a_route_into_the_range_that_comes_later_does_not_take_the_apps_along(lan):
    host, session, before = up(lan)
    host.check("ip", "route", "add", "100.64.0.0/11", "dev", "eth0", "metric", "5")
    wait_until(lambda: "100.64.0.0/11" in session.out() + session.messages() + host.stile("diag").out, "it is said")
    host.check("ip", "route", "del", "100.64.0.0/11", "dev", "eth0")
    ended(host, session, before)


def after_a_reboot_only_what_outlived_it_is_undone(lan):
    host, session, before = up(lan, "file", broker=("--no-supervisor",))
    for pid in (host.broker.process.pid, session.process.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not host.broker.engines(), "the end of the engine")
    # Another boot: the kernel's id is a new one, and an address that happens to be the same is someone else's now.
    host.write("/run/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n")
    host.check("mount", "--bind", "/run/boot_id", BOOT_ID)
    host.check("ip", "addr", "add", "100.64.0.1/32", "dev", "lo")
    host.start_broker()
    host.check("ip", "addr", "del", "100.64.0.1/32", "dev", "lo")
    host.assert_restored(before)
    assert host.broker.stop() == 0


def a_second_broker_is_refused(lan):
    host, session, before = up(lan)
    during = host.settle()
    second = host.stile("broker", "--no-supervisor", user="root")
    assert second.status == 1 and ("already" in second.err or "another" in second.err.lower()), second
    elsewhere = host.stile("broker", "--no-supervisor", "--socket", "/run/other.sock", user="root")
    assert elsewhere.status == 1, elsewhere
    host.assert_restored(during, 0)
    assert echoes(host) == "ok"
    ended(host, session, before)


def broken_disk(lan, options, remedy):
    """Nothing is applied that couldn't be undone; the person is told; when there is room again it works."""
    host = lan.host(dns="file")
    host.log_in("alice", "a")
    before = host.settle()
    host.check("mkdir", "-p", "/var/lib/stile")
    host.check("chmod", "700", "/var/lib/stile")
    host.check("mount", "-t", "tmpfs", "-o", options, "tmpfs", "/var/lib/stile")
    return host, before, remedy


def what_is_told(host):
    """Broker and session are started, as far as they come; what they say."""
    broker = host.start_broker(wait=False)
    wait_until(lambda: broker.process.poll() is not None or os.path.exists(host.path("/run/stile/broker.sock")), "the broker")
    if broker.process.poll() is not None:
        return broker.messages()
    session = host.up("alice", wait=False)
    wait_until(lambda: session.process.poll() is not None or session.messages() or len(broker.messages().splitlines()) > 1,
               "a message")
    time.sleep(0.3)
    said = broker.messages() + session.messages() + session.out()
    session.kill()
    return said


def a_full_disk_changes_nothing_and_is_told(lan):
    host, before, _ = broken_disk(lan, "size=4k,mode=700", "full")
    host.check("sh", "-c", "head -c 4096 /dev/zero >/var/lib/stile/ballast || true")
    said = what_is_told(host)
    assert "o space left" in said and "/var/lib/stile" in said, said
    host.assert_restored(before)


def a_disk_that_fills_up_later_undoes_all_the_same(lan):
    host, before, _ = broken_disk(lan, "size=64k,mode=700", "full")
    host.start_broker()
    session = host.up("alice")
    assert echoes(host) == "ok"
    host.command("sh", "-c", "cat /dev/zero >/var/lib/stile/ballast")
    assert session.stop() == 0
    host.assert_restored(before)


def a_read_only_directory_changes_nothing_and_is_told(lan):
    host, before, _ = broken_disk(lan, "ro,mode=700", "read-only")
    said = what_is_told(host)
    assert "ead-only" in said and "/var/lib/stile" in said, said
    host.assert_restored(before)


if __name__ == "__main__":
    main(__file__, what_someone_deletes_is_put_back,
         what_someone_changes_stays_theirs_and_is_said, an_interface_set_down_comes_up_again,
         who_deletes_again_and_again_wins_and_it_is_said, resolved_restarted_is_told_again,
         networkmanager_restarted_is_told_again, resolv_conf_rewritten_by_someone, an_unchanged_plan_makes_no_event,
         another_network_is_noticed, the_network_is_gone_and_comes_back,
         a_route_into_the_range_that_comes_later_does_not_take_the_apps_along,
         after_a_reboot_only_what_outlived_it_is_undone, a_second_broker_is_refused, a_full_disk_changes_nothing_and_is_told,
         a_disk_that_fills_up_later_undoes_all_the_same, a_read_only_directory_changes_nothing_and_is_told)
