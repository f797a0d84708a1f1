#!/usr/bin/python3
"""DNS through NetworkManager: Debian's own, on a host of its own, with dns=default and dns=dnsmasq."""

import json
import signal
import time

from lib import daemons
from lib.dns import LINK, SERVER4, BusMonitor, Driver, ZoneServer, own_zone_link, plug_zone_link
from lib.harness import main
from common.process import Failed, Stopwatch, wait_until

SERVICE = "org.freedesktop.NetworkManager"
ZONES = ["a.stile.test", "b.stile.test", "64.100.in-addr.arpa"]
MODES = ("default", "dnsmasq")


def configuration(host):
    out = host.check("busctl", "--json=short", "get-property", SERVICE, "/org/freedesktop/NetworkManager/DnsManager",
                     f"{SERVICE}.DnsManager", "Configuration")
    return [{key: value["data"] for key, value in entry.items()} for entry in json.loads(out)["data"]]


def ours(host):
    return [entry for entry in configuration(host) if entry.get("interface") == LINK]


def is_own_affair(line):
    """What NetworkManager does to IPv6 of our own link, which goes with it: how its link-local address is made."""
    return (f'"{LINK}"' in line and any(word in line for word in ('"fe80:', '"ff00::/8"', '"inet6_addr_gen_mode"'))
            or f"conf/{LINK}/addr_gen_mode" in line or "NetworkManager.state" in line or "NetworkManager/dnsmasq.pid" in line)


def network(host):
    """Addresses and routes of the link."""
    snapshot = host.snapshot()
    return [[line for line in snapshot[name] if f'"{LINK}"' in line and not is_own_affair(line)]
            for name in ("addresses", "routes, IPv4", "routes, IPv6")]


def assert_restored(host, before):
    seen = []

    def restored():
        seen[:] = [line for line in before.difference(host.snapshot()).splitlines()
                   if line[:1] in "+-" and line[:3] not in ("+++", "---") and not is_own_affair(line)]
        return not seen
    try:
        wait_until(restored, "the host is as before", step=0.1)
    except Failed:
        raise Failed("the host isn't as it was before:\n" + "\n".join(seen)) from None


def prepare(lan, mode="default", families=(4, 6)):
    """A host, a driver, and how the host is once it has the link."""
    host = lan.host(dns="networkmanager")
    if mode != "default":
        restart(host, mode)
    driver = Driver(host, "auto")
    assert driver.first == f"backend networkmanager {'exclusive' if mode == 'default' else 'per-zone'} volatile", driver.first
    assert own_zone_link(host, driver, families) == f"{len(families)} {len(families)}"
    wait_until(lambda: "connected (externally)" in host.check("nmcli", "device", "status").split(LINK)[1].splitlines()[0],
               "NetworkManager has the link")
    return host, driver, host.settle()


def restart(host, mode="default", config=""):
    host.networkmanager.send_signal(signal.SIGTERM)
    host.networkmanager.wait()
    host.write("/etc/NetworkManager/NetworkManager.conf", daemons.NM_CONF.format(dns=mode) + config)
    daemons.run_networkmanager(host)
    wait_until(lambda: host.command("getent", "ahosts", "outside.test").status == 0, "names after a restart")


def resolves(host, name, address, family="ahostsv4"):
    done = host.command("getent", family, name)
    return done.status == 0 and address in done.out.split()


def nameservers(host):
    return [line.split()[1] for line in host.read("/etc/resolv.conf").splitlines() if line.startswith("nameserver")]


def detected_as(host, choice="auto"):
    try:
        driver = Driver(host, choice)
    except Failed as failed:
        return str(failed)
    driver.end()
    return driver.first.split()[1]


def it_is_detected_where_it_wrote_resolv_conf(lan):
    host = lan.host(dns="networkmanager")
    assert detected_as(host) == "networkmanager"
    host.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
    assert detected_as(host) != "networkmanager"
    assert detected_as(host, "networkmanager") == "networkmanager"
    daemons.link_resolv_conf(host, "/run/NetworkManager/resolv.conf")
    assert detected_as(host) == "networkmanager"
    host.networkmanager.kill()
    host.networkmanager.wait()
    assert detected_as(host) != "networkmanager"
    assert "isn't running" in detected_as(host, "networkmanager")


def where_it_hands_its_dns_to_resolved_that_is_used(lan):
    host = lan.host(dns="networkmanager+resolved")
    assert detected_as(host) == "resolved"
    assert "dns=systemd-resolved" in detected_as(host, "networkmanager")


def all_questions_come_to_us_and_the_host_is_put_back(lan):
    host, driver, before = prepare(lan)
    zone = ZoneServer(host, forward=True)
    links = network(host)
    driver.set(ZONES)
    assert nameservers(host) == [SERVER4], nameservers(host)
    assert network(host) == links, (network(host), links)
    assert driver.ask("contents", LINK) == "2 2"
    assert driver.ask("verify") == "present"
    assert resolves(host, "app.a.stile.test", "100.64.0.9") and resolves(host, "outside.test", "198.51.100.77")
    assert zone.asked("outside.test") and not lan.asked("app.a.stile.test")
    time.sleep(1)
    assert network(host) == links and driver.ask("contents", LINK) == "2 2"
    assert driver.ask("undo") == "undone"
    assert_restored(host, before)
    assert network(host) == links
    assert driver.ask("undo") == "gone"
    assert resolves(host, "outside.test", "198.51.100.77")
    zone.stop()
    driver.end()


def only_the_zones_come_to_us_with_dnsmasq(lan):
    host, driver, before = prepare(lan, "dnsmasq")
    zone = ZoneServer(host)
    links = network(host)
    driver.set(ZONES)
    assert nameservers(host) == ["127.0.0.1"]
    assert network(host) == links, (network(host), links)
    wait_until(lambda: resolves(host, "app.a.stile.test", "100.64.0.9"), "dnsmasq knows")
    assert resolves(host, "app.b.stile.test", "100.64.0.10") and resolves(host, "outside.test", "198.51.100.77")
    assert not zone.asked("outside.test") and not lan.asked("app.a.stile.test")
    assert ours(host)[0]["domains"] == ["~" + z for z in ZONES], ours(host)
    driver.want(["b.stile.test"])
    driver.ask("apply")
    wait_until(lambda: not resolves(host, "app.a.stile.test", "100.64.0.9"), "the zone is gone")
    assert resolves(host, "app.b.stile.test", "100.64.0.10")
    assert driver.ask("undo") == "undone"
    assert_restored(host, before)
    zone.stop()
    driver.end()


def without_zones_dnsmasq_does_not_ask_us(lan):
    host, driver, before = prepare(lan, "dnsmasq")
    zone = ZoneServer(host)
    driver.set([])
    assert not ours(host) and resolves(host, "outside.test", "198.51.100.77") and not zone.asked("outside.test")
    assert driver.ask("verify") == "present"
    driver.ask("undo")
    assert_restored(host, before)
    zone.stop()
    driver.end()


def what_is_there_already_costs_no_reapply_and_no_signal(lan):
    for mode in MODES:
        host, driver, _ = prepare(lan, mode)
        driver.set(ZONES)
        time.sleep(0.5)
        monitor = BusMonitor(host, SERVICE)
        driver.ask("apply")
        driver.ask("verify")
        time.sleep(0.5)
        assert not monitor.seen("signal") and not any("Reapply" in line for line in monitor.seen("method call")), monitor.seen()
        driver.want(["a.stile.test"])
        driver.ask("apply")
        wait_until(lambda m=monitor: any("Reapply" in line for line in m.seen("method call")), "the monitor sees calls")
        monitor.stop()
        driver.end()
        host.stop()


def upstreams_are_the_others_never_ours_and_followed(lan):
    for mode in MODES:
        host, driver, _ = prepare(lan, mode)
        expected = ",".join(host.resolvers())
        driver.ask("watch")
        assert driver.ask("upstreams") == expected
        driver.set(ZONES)
        assert driver.ask("upstreams") == expected
        driver.no_event()
        host.check("nmcli", "device", "modify", "eth0", "ipv4.dns", "192.0.2.1 192.0.2.77")
        assert driver.event() == ["upstreams"]
        assert driver.ask("upstreams").split(",") == ["192.0.2.1", "192.0.2.77", *host.resolvers()[1:]]
        driver.no_event()
        driver.end()
        host.stop()


def a_restart_of_networkmanager_is_told_and_repaired(lan):
    for mode in MODES:
        host, driver, before = prepare(lan, mode)
        links = network(host)
        driver.ask("watch")
        driver.set(ZONES)
        driver.no_event()
        restart(host, mode)
        assert "settings" in driver.event()
        wait_until(lambda d=driver: d.ask("verify") == "missing", "it isn't there")
        driver.ask("capture")
        driver.ask("apply")
        assert driver.ask("verify") == "present" and ours(host)
        assert network(host) == links, (network(host), links)
        driver.ask("undo")
        assert_restored(host, before)
        driver.end()
        host.stop()


def settings_that_someone_else_made_are_told_apart(lan):
    host, driver, _ = prepare(lan)
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    host.check("nmcli", "device", "reapply", LINK)
    assert "settings" in driver.event()
    assert driver.ask("verify") == "missing"
    host.check("nmcli", "device", "modify", LINK, "ipv4.dns", "192.0.2.99")
    assert driver.ask("verify") == "foreign"
    assert driver.ask("undo") == "left"
    assert ours(host)[0]["nameservers"] == ["192.0.2.99"]
    driver.end()


def what_was_there_before_us_comes_back(lan):
    host, driver, _ = prepare(lan, families=(4,))
    host.check("nmcli", "device", "modify", LINK, "ipv4.dns", "192.0.2.1", "ipv4.dns-search", "theirs.test", "ipv4.dns-priority",
               "7", "ipv6.method", "ignore")
    before = host.settle()
    driver.set(ZONES)
    driver.set(ZONES[:1])
    assert nameservers(host) == [SERVER4]
    assert driver.ask("undo") == "undone"
    assert_restored(host, before)
    driver.end()


def another_process_undoes_what_a_killed_one_left(lan):
    for mode in MODES:
        host, driver, before = prepare(lan, mode)
        undo = driver.set(ZONES)
        driver.kill()
        driver = Driver(host, "auto")
        driver.want(ZONES)
        assert driver.ask("undo", undo) == "undone"
        assert_restored(host, before)
        assert driver.ask("undo", undo) == "gone"
        driver.end()
        host.stop()


def undo_after_the_link_is_gone_or_another_one(lan):
    host, driver, _ = prepare(lan)
    host.check("ip", "link", "del", LINK)
    before = host.settle()
    for after in ("gone", "another"):
        own_zone_link(host, driver)
        undo = driver.set(ZONES)
        host.check("ip", "link", "del", LINK)
        if after == "another":
            plug_zone_link(host)
            wait_until(lambda: host.command("nmcli", "device", "modify", LINK, "ipv4.dns", SERVER4).status == 0, "its DNS is set")
        assert driver.ask("undo", undo) == "gone"
        if after == "another":
            assert ours(host), "another's settings were taken"
            host.check("ip", "link", "del", LINK)
        assert_restored(host, before)
    driver.end()


def undo_without_networkmanager_leaves_names_that_resolve(lan):
    host, driver, _ = prepare(lan)
    undo = driver.set(ZONES)
    host.networkmanager.kill()
    host.networkmanager.wait()
    assert nameservers(host) == [SERVER4]
    assert driver.ask("undo", undo) in ("undone", "gone")
    assert nameservers(host) == host.resolvers(), nameservers(host)
    assert resolves(host, "outside.test", "198.51.100.77")
    daemons.run_networkmanager(host)
    wait_until(lambda: nameservers(host) == host.resolvers() and not ours(host), "NetworkManager wrote resolv.conf anew")
    driver.end()


def without_ipv6_on_the_link(lan):
    host, driver, before = prepare(lan, families=(4,))
    links = network(host)
    driver.set(ZONES)
    assert nameservers(host) == [SERVER4], nameservers(host)
    time.sleep(0.5)
    assert network(host) == links, (network(host), links)
    driver.ask("undo")
    assert_restored(host, before)
    driver.end()


def without_ipv4_it_says_that_it_can_not(lan):
    host, driver, before = prepare(lan, families=(6,))
    driver.end()
    driver = Driver(host, "networkmanager")
    driver.want(ZONES)
    driver.ask("capture")
    answer = driver.fails("apply")
    assert answer.startswith("error UNSUPPORTED") and "IPv4" in answer, answer
    assert driver.ask("undo") == "gone"
    assert_restored(host, before)
    driver.end()


def a_link_that_it_leaves_alone_is_an_error_that_says_so(lan):
    host = lan.host(dns="networkmanager")
    restart(host, "default", "\n[keyfile]\nunmanaged-devices=interface-name:stile*\n")
    driver = Driver(host, "networkmanager")
    own_zone_link(host, driver)
    driver.want(ZONES)
    driver.ask("capture")
    answer = driver.fails("apply")
    assert answer.startswith("error UNSUPPORTED") and "unmanaged" in answer, answer
    driver.end()


def where_it_leaves_our_link_alone_auto_takes_the_file(lan):
    host = lan.host(dns="networkmanager")
    restart(host, "default", "\n[keyfile]\nunmanaged-devices=interface-name:stile*\n")
    driver = Driver(host, "auto")
    assert driver.first.split()[1] == "networkmanager"
    own_zone_link(host, driver)
    before = host.settle()
    driver.ask("watch")
    undo = driver.set(ZONES)
    assert b"networkmanager" in bytes.fromhex(undo) and b"file" in bytes.fromhex(undo), undo
    assert nameservers(host)[0] == SERVER4 and driver.ask("verify") == "present"
    assert driver.ask("upstreams") == ",".join(host.resolvers())
    driver.no_event()
    host.check("nmcli", "device", "modify", "eth0", "ipv4.dns", "192.0.2.1 192.0.2.77")
    assert driver.event(), "NetworkManager's own file isn't told"
    host.check("nmcli", "device", "reapply", "eth0")
    host.settle()
    driver.ask("capture")
    driver.ask("apply")
    assert nameservers(host)[0] == SERVER4
    undo = driver.set(ZONES)
    driver.kill()
    driver = Driver(host, "auto")
    driver.want(ZONES)
    assert driver.ask("undo", undo) == "undone" and driver.ask("undo", undo) == "gone"
    assert_restored(host, before)
    driver.end()


def a_link_without_an_address_is_waited_for(lan):
    """As netcfg does it: what is there is captured before anything is applied, addresses too."""
    host = lan.host(dns="networkmanager")
    driver = Driver(host, "auto")
    plug_zone_link(host, families=())
    host.settle()
    driver.want(ZONES)
    driver.ask("capture")
    driver.ask("own", LINK, "100.64.0.1", "100.64.0.0/10")
    driver.ask("own", LINK, "fd00:64::1", "fd00:64::/48")
    driver.ask("apply")
    assert ours(host) and nameservers(host) == [SERVER4] and driver.ask("verify") == "present"
    assert driver.ask("contents", LINK) == "2 2"
    assert driver.ask("undo") == "undone"
    assert nameservers(host) == host.resolvers() and not ours(host)
    driver.end()


def one_that_hangs_costs_five_seconds(lan):
    host, driver, _ = prepare(lan)
    undo = driver.set(ZONES)
    host.networkmanager.send_signal(signal.SIGSTOP)
    for words in (["verify"], ["apply"], ["undo", undo], ["upstreams"]):
        start, watch = time.monotonic(), Stopwatch()
        answer = driver.fails(*words)
        took, counted = time.monotonic() - start, watch.seconds()
        assert answer.startswith("error TIMEOUT") and 4.5 < took and counted < 6.5, (words, answer, took, counted)
    host.networkmanager.send_signal(signal.SIGCONT)
    wait_until(lambda: driver.ask("verify") == "present", "it answers again")
    driver.end()


def nothing_is_written_to_a_disk(lan):
    host, driver, _ = prepare(lan)
    files = host.snapshot()["files"]
    driver.set(ZONES)
    changed = [line.split(":")[0] for line in set(files) ^ set(host.snapshot()["files"])]
    assert not [path for path in changed if not path.startswith("/run/") and path != "/etc/resolv.conf"], changed
    driver.ask("undo")
    driver.end()


if __name__ == "__main__":
    main(__file__, it_is_detected_where_it_wrote_resolv_conf, where_it_hands_its_dns_to_resolved_that_is_used,
         all_questions_come_to_us_and_the_host_is_put_back, only_the_zones_come_to_us_with_dnsmasq,
         without_zones_dnsmasq_does_not_ask_us, what_is_there_already_costs_no_reapply_and_no_signal,
         upstreams_are_the_others_never_ours_and_followed, a_restart_of_networkmanager_is_told_and_repaired,
         settings_that_someone_else_made_are_told_apart, what_was_there_before_us_comes_back,
         another_process_undoes_what_a_killed_one_left, undo_after_the_link_is_gone_or_another_one,
         undo_without_networkmanager_leaves_names_that_resolve, without_ipv6_on_the_link, without_ipv4_it_says_that_it_can_not,
         a_link_that_it_leaves_alone_is_an_error_that_says_so,
         where_it_leaves_our_link_alone_auto_takes_the_file,
         a_link_without_an_address_is_waited_for, one_that_hangs_costs_five_seconds, nothing_is_written_to_a_disk,
         clusters=())
