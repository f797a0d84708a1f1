#!/usr/bin/python3
"""DNS through systemd-resolved: Debian's own, on a host of its own. What is set is read by resolvectl's sister busctl, not by us."""

import json
import os
import signal
import time

from lib import daemons
from lib.dns import LINK, SERVERS, BusMonitor, Driver, ZoneServer, plug_zone_link
from lib.harness import main
from common.process import Failed, Stopwatch, wait_until

SERVICE = "org.freedesktop.resolve1"
ZONES = ["a.stile.test", "b.stile.test", "64.100.in-addr.arpa"]
SAVED = "/run/systemd/resolve/netif"


def index_of(host, link=LINK):
    return int(host.check("cat", f"/sys/class/net/{link}/ifindex"))


def settings(host, link=LINK):
    """The link's settings, as D-Bus has them."""
    out = host.check("busctl", "--json=short", "call", SERVICE, "/org/freedesktop/resolve1", f"{SERVICE}.Manager", "GetLink", "i",
                     str(index_of(host, link)))
    path = json.loads(out)["data"][0]
    out = host.check("busctl", "--json=short", "call", SERVICE, path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                     f"{SERVICE}.Link")
    return {name: value["data"] for name, value in json.loads(out)["data"][0].items()}


WANTED = {"DNS": [[2, [100, 64, 0, 2]], [10, [0xfd, 0, 0, 0x64] + [0] * 11 + [2]]],
          "Domains": [[zone, True] for zone in ZONES], "DefaultRoute": False, "LLMNR": "no", "MulticastDNS": "no",
          "DNSOverTLS": "no", "DNSSEC": "no", "DNSSECNegativeTrustAnchors": []}


def check_wanted(host, zones=tuple(ZONES)):
    found = {name: value for name, value in settings(host).items() if name in WANTED}
    assert found == {**WANTED, "Domains": [[zone, True] for zone in zones]}, found


def prepare(lan):
    host = lan.host(dns="resolved")
    plug_zone_link(host)
    return host, host.settle()


def restart(host, how=signal.SIGTERM):
    host.resolved.send_signal(how)
    host.resolved.wait()
    daemons.run_resolved(host)


def resolves(host, name, address, family="ahostsv4"):
    done = host.command("getent", family, name)
    return done.status == 0 and address in done.out.split()


def it_is_detected_where_resolv_conf_leads_to_its_stub(lan):
    host, _ = prepare(lan)
    for target in ("../run/systemd/resolve/stub-resolv.conf", "/usr/lib/systemd/resolv.conf"):
        daemons.link_resolv_conf(host, target)
        driver = Driver(host, "auto")
        assert driver.first == "backend resolved per-zone volatile", driver.first
        driver.end()
    os.unlink(host.path("/etc/resolv.conf"))
    for address in ("127.0.0.53", "127.0.0.54"):
        host.write("/etc/resolv.conf", f"nameserver {address}\n")
        driver = Driver(host, "auto")
        assert driver.first.split()[1] == "resolved", driver.first
        driver.end()


def it_is_not_taken_where_resolv_conf_leads_past_it_but_can_be_forced(lan):
    host, _ = prepare(lan)
    daemons.link_resolv_conf(host, "/run/systemd/resolve/resolv.conf")
    try:
        driver = Driver(host, "auto")
        assert driver.first.split()[1] != "resolved", driver.first
        driver.end()
    except Failed as failed:
        assert "No way" in str(failed), failed
    driver = Driver(host, "resolved")
    assert driver.first.split()[1] == "resolved", driver.first
    driver.end()


def without_resolved_or_bus_it_cannot_be_chosen(lan):
    host, _ = prepare(lan)
    host.resolved.kill()
    host.resolved.wait()
    for kill_bus, text in ((False, "isn't running"), (True, "no system bus")):
        if kill_bus:
            host.bus.kill()
            host.bus.wait()
        try:
            Driver(host, "resolved")
        except Failed as failed:
            assert "error NOTFOUND" in str(failed) and text in str(failed), failed
        else:
            raise Failed("it was taken")


def exactly_the_settings_are_set_and_taken_back(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.set(ZONES)
    check_wanted(host)
    assert driver.ask("verify") == "present"
    assert driver.ask("undo") == "undone"
    host.assert_restored(before)
    assert driver.ask("undo") == "gone"
    host.assert_restored(before)
    driver.end()


def names_of_the_zones_go_to_us_and_others_upstream(lan):
    host, _ = prepare(lan)
    zone = ZoneServer(host)
    driver = Driver(host, "resolved")
    driver.set(ZONES)
    assert resolves(host, "app.a.stile.test", "100.64.0.9")
    assert resolves(host, "app.b.stile.test", "fd00:64::10", "ahostsv6")
    assert resolves(host, "outside.test", "198.51.100.77")
    assert not zone.asked("outside.test") and not lan.asked("app.a.stile.test")
    assert "app.a.stile.test" in host.check("dig", "+short", "-x", "100.64.0.9")
    driver.ask("undo")
    assert not resolves(host, "app.a.stile.test", "100.64.0.9")
    zone.stop()
    driver.end()


def a_zone_that_was_unknown_is_known_at_once_after_a_change(lan):
    host, _ = prepare(lan)
    zone = ZoneServer(host)
    driver = Driver(host, "resolved")
    driver.set(["b.stile.test"])
    assert not resolves(host, "app.a.stile.test", "100.64.0.9")
    driver.want(["a.stile.test", "b.stile.test"])
    driver.ask("apply")
    check_wanted(host, ("a.stile.test", "b.stile.test"))
    assert resolves(host, "app.a.stile.test", "100.64.0.9")
    driver.want(["a.stile.test"])
    driver.ask("apply")
    check_wanted(host, ("a.stile.test",))
    assert not resolves(host, "app.b.stile.test", "100.64.0.10")
    zone.stop()
    driver.end()


def what_is_there_already_costs_no_call_that_sets_and_no_signal(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    driver.set(ZONES)
    time.sleep(0.3)
    monitor = BusMonitor(host, SERVICE)
    driver.ask("apply")
    driver.ask("verify")
    time.sleep(0.5)
    calls = [line for line in monitor.seen("method call") if "Set" in line or "Flush" in line or "Revert" in line]
    assert not monitor.seen("signal") and not calls, (monitor.seen(), calls)
    driver.want(["a.stile.test"])
    driver.ask("apply")
    wait_until(lambda: any("SetLinkDomains" in line for line in monitor.seen("method call")), "the monitor sees calls")
    assert not any("SetLinkDNS;" in line or "SetLinkLLMNR" in line for line in monitor.seen("method call"))
    monitor.stop()
    driver.end()


def search_domains_and_the_default_route_are_set_when_wanted(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.set(["a.stile.test"], flags="3")
    found = settings(host)
    assert found["Domains"] == [["a.stile.test", False]] and found["DefaultRoute"] is True, found
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def no_zones_at_all_are_no_questions_for_us(lan):
    host, before = prepare(lan)
    zone = ZoneServer(host)
    driver = Driver(host, "resolved")
    driver.set([])
    check_wanted(host, ())
    assert resolves(host, "outside.test", "198.51.100.77") and not zone.asked("outside.test")
    driver.ask("undo")
    host.assert_restored(before)
    zone.stop()
    driver.end()


def the_most_zones_that_an_object_may_have(lan):
    host, before = prepare(lan)
    zones = [f"z{i}.{'x' * 60}.{'y' * 60}.{'w' * 60}.stile.test" for i in range(64)]
    driver = Driver(host, "resolved")
    driver.set(zones)
    check_wanted(host, zones)
    assert driver.ask("verify") == "present"
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def a_restart_of_resolved_is_told_and_repaired(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    host.resolved.kill()
    host.resolved.wait()
    # What it keeps for a restart is gone too, as after an upgrade that cleans up.
    host.check("rm", "-rf", SAVED)
    driver.no_event()
    daemons.run_resolved(host)
    assert "settings" in driver.event()
    assert driver.ask("verify") == "missing"
    assert not settings(host)["DNS"]
    driver.ask("capture")
    driver.ask("apply")
    check_wanted(host)
    assert driver.ask("verify") == "present"
    driver.ask("undo")
    host.check("resolvectl", "dns", "eth0", *host.resolvers())
    host.check("resolvectl", "default-route", "eth0", "yes")
    host.assert_restored(before)
    driver.end()


def a_restart_that_keeps_our_settings_needs_no_repair(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    driver.set(ZONES)
    restart(host)
    assert "settings" in driver.event()
    assert driver.ask("verify") == "present"
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def settings_that_someone_else_made_are_told_apart(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    host.check("resolvectl", "revert", LINK)
    assert "settings" in driver.event()
    assert driver.ask("verify") == "missing"
    driver.ask("apply")
    driver.no_event()
    host.check("resolvectl", "dns", LINK, "192.0.2.99")
    assert "settings" in driver.event()
    assert driver.ask("verify") == "foreign"
    assert driver.ask("undo") == "left"
    assert settings(host)["DNS"] == [[2, [192, 0, 2, 99]]]
    driver.end()


def what_was_there_before_us_comes_back(lan):
    host, _ = prepare(lan)
    host.check("resolvectl", "dns", LINK, "192.0.2.99")
    host.check("resolvectl", "domain", LINK, "theirs.test", "~also.test")
    host.check("resolvectl", "llmnr", LINK, "resolve")
    before = host.settle()
    driver = Driver(host, "resolved")
    driver.set(ZONES)
    check_wanted(host)
    assert driver.ask("undo") == "undone"
    host.assert_restored(before)
    driver.end()


def a_capture_of_our_own_settings_does_not_bring_them_back(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.set(ZONES)
    driver.set(ZONES[:1])
    host.check("resolvectl", "domain", LINK, "theirs.test")
    driver.set(ZONES)
    driver.ask("undo")
    host.assert_restored(before)
    # In a process that doesn't know of the first capture.
    driver.set(ZONES)
    driver.kill()
    driver = Driver(host, "resolved")
    driver.set(ZONES[:1])
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def another_process_undoes_what_a_killed_one_left(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    undo = driver.set(ZONES)
    driver.kill()
    check_wanted(host)
    driver = Driver(host, "resolved")
    driver.want(ZONES)
    assert driver.ask("undo", undo) == "undone"
    host.assert_restored(before)
    assert driver.ask("undo", undo) == "gone"
    driver.end()


def undo_after_a_part_of_apply(lan):
    """Killed between any two of its calls: what is set by then, in its order."""
    host, before = prepare(lan)
    index = str(index_of(host))
    steps = [("SetLinkDefaultRoute", "ib", index, "false"), ("SetLinkLLMNR", "is", index, "no"),
             ("SetLinkDomains", "ia(sb)", index, "1", ZONES[0], "true"),
             ("SetLinkDNS", "ia(iay)", index, "1", "2", "4", "100", "64", "0", "2")]
    for count in range(len(steps) + 1):
        driver = Driver(host, "resolved")
        driver.want(ZONES, servers="100.64.0.2")
        undo = driver.ask("capture")
        driver.kill()
        for step in steps[:count]:
            host.check("busctl", "call", SERVICE, "/org/freedesktop/resolve1", f"{SERVICE}.Manager", *step)
        driver = Driver(host, "resolved")
        driver.want(ZONES, servers="100.64.0.2")
        assert driver.ask("undo", undo) in ("undone", "gone")
        host.assert_restored(before)
        driver.end()


def undo_without_resolved_leaves_nothing_for_its_return(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    undo = driver.set(ZONES)
    host.resolved.kill()
    host.resolved.wait()
    assert driver.ask("undo", undo) == "gone"
    daemons.run_resolved(host)
    host.assert_restored(before)
    # And without a bus.
    undo = driver.set(ZONES)
    host.resolved.kill()
    host.resolved.wait()
    host.bus.kill()
    host.bus.wait()
    assert driver.ask("undo", undo) == "gone"
    os.unlink(host.path("/run/dbus/system_bus_socket"))
    daemons.start_bus(host)
    daemons.run_resolved(host)
    host.assert_restored(before)
    driver.end()


def undo_after_the_link_is_gone_or_another_one(lan):
    host, _ = prepare(lan)
    host.check("ip", "link", "del", LINK)
    before = host.settle()
    for after in ("gone", "another"):
        plug_zone_link(host)
        driver = Driver(host, "resolved")
        undo = driver.set(ZONES)
        host.check("ip", "link", "del", LINK)
        if after == "another":
            plug_zone_link(host)
            host.check("resolvectl", "dns", LINK, *SERVERS.split(","))
        assert driver.ask("undo", undo) == "gone", after
        if after == "another":
            assert settings(host)["DNS"], "another's settings were taken"
            host.check("ip", "link", "del", LINK)
        host.assert_restored(before)
        driver.end()


def undo_of_damaged_bytes_is_an_error(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    undo = driver.set(ZONES)
    for damaged in (undo[:-2], undo + "00", "", "07" + undo[2:], "ff", undo[:18] + "ff" + undo[20:],
                    undo[:22] + "09" + undo[24:]):
        assert driver.fails("undo", damaged or "00").startswith("error "), damaged
    check_wanted(host)
    assert driver.ask("undo", undo) == "undone"
    driver.end()


def a_resolved_that_hangs_costs_five_seconds(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    undo = driver.set(ZONES)
    host.resolved.send_signal(signal.SIGSTOP)
    for words in (["verify"], ["apply"], ["undo", undo], ["upstreams"]):
        start, watch = time.monotonic(), Stopwatch()
        answer = driver.fails(*words)
        took, counted = time.monotonic() - start, watch.seconds()
        assert answer.startswith("error TIMEOUT") and 4.5 < took and counted < 6.5, (words, answer, took, counted)
    host.resolved.send_signal(signal.SIGCONT)
    wait_until(lambda: driver.ask("verify") == "present", "resolved answers again")
    assert driver.ask("undo", undo) == "undone"
    driver.end()


def upstreams_are_the_others_never_ours_and_followed(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    expected = ",".join(host.resolvers())
    assert driver.ask("upstreams") == expected
    driver.set(ZONES)
    assert driver.ask("upstreams") == expected
    driver.no_event()
    host.check("resolvectl", "dns", "eth0", "192.0.2.1")
    assert driver.event() == ["upstreams"]
    assert driver.ask("upstreams") == "192.0.2.1"
    host.check("resolvectl", "dns", "eth0", "fe80::1")
    assert driver.event() == ["upstreams"]
    assert driver.ask("upstreams") == "fe80::1%eth0"
    host.check("resolvectl", "dns", "eth0", "fe80::1")
    driver.no_event()
    driver.end()


def servers_that_networkd_learned_are_followed(lan):
    """As by DHCP: what systemd-networkd writes down for resolved."""
    host, _ = prepare(lan)
    host.check("resolvectl", "revert", "eth0")
    kept = f"/run/systemd/netif/links/{index_of(host, 'eth0')}"

    def learn(servers):
        host.write("/run/systemd/netif/learned",
                   f"ADMIN_STATE=configured\nOPER_STATE=routable\nNETWORK_FILE=/run/lan.network\nDNS={servers}\n")
        host.check("sh", "-c", f"mkdir -p {os.path.dirname(kept)} && mv /run/systemd/netif/learned {kept}")
    learn("192.0.2.1")
    restart(host)
    driver = Driver(host, "auto")
    driver.ask("watch")
    driver.set(ZONES)
    assert driver.ask("upstreams") == "192.0.2.1"
    learn("192.0.2.1 192.0.2.77")
    assert driver.event() == ["upstreams"]
    assert driver.ask("upstreams") == "192.0.2.1,192.0.2.77"
    driver.end()


def without_libsystemd_the_others_are_used(lan):
    host, _ = prepare(lan)
    Driver(host, "resolved").end()
    hide = "for f in /usr/lib/*/libsystemd.so.0; do mount --bind /dev/null $f || exit 9; done; exec /opt/stile/dns_driver "
    done = host.command("unshare", "-m", "sh", "-c", hide + "resolved")
    assert done.status == 1 and "libsystemd.so.0 is not there" in done.out, done
    done = host.command("unshare", "-m", "sh", "-c", hide + "auto")
    assert done.status == 0 and done.out.startswith("backend ") and "resolved" not in done.out, done


def a_link_for_its_own_domains_is_no_upstream(lan):
    host, _ = prepare(lan)
    host.check("ip", "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1")
    host.check("ip", "link", "set", "vpn0", "up")
    host.check("resolvectl", "dns", "vpn0", "192.0.2.66")
    host.check("resolvectl", "domain", "vpn0", "~corp.test")
    host.check("resolvectl", "default-route", "vpn0", "no")
    driver = Driver(host, "resolved")
    assert driver.ask("upstreams") == ",".join(host.resolvers())
    host.check("resolvectl", "dns", "eth0", "")
    assert driver.ask("upstreams") == "192.0.2.66"
    driver.end()


def a_forged_signal_is_nothing_to_us(lan):
    host, _ = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    monitor = BusMonitor(host, SERVICE)
    for _ in range(3):
        host.as_user("alice", "busctl", "emit", "/org/freedesktop/resolve1", "org.freedesktop.DBus.Properties",
                     "PropertiesChanged", "sa{sv}as", f"{SERVICE}.Manager", "0", "1", "DNS")
    driver.no_event()
    assert not monitor.seen("method call"), "someone's signal made us ask"
    monitor.stop()
    driver.end()


def the_bus_itself_may_be_restarted(lan):
    host, before = prepare(lan)
    driver = Driver(host, "resolved")
    driver.ask("watch")
    driver.set(ZONES)
    host.bus.kill()
    host.bus.wait()
    host.resolved.kill()
    host.resolved.wait()
    os.unlink(host.path("/run/dbus/system_bus_socket"))
    daemons.start_bus(host)
    daemons.run_resolved(host)
    assert "settings" in driver.event(8)
    driver.ask("undo")
    host.assert_restored(before)
    driver.ask("unwatch")
    driver.end()


if __name__ == "__main__":
    main(__file__, it_is_detected_where_resolv_conf_leads_to_its_stub,
         it_is_not_taken_where_resolv_conf_leads_past_it_but_can_be_forced, without_resolved_or_bus_it_cannot_be_chosen,
         exactly_the_settings_are_set_and_taken_back, names_of_the_zones_go_to_us_and_others_upstream,
         a_zone_that_was_unknown_is_known_at_once_after_a_change,
         what_is_there_already_costs_no_call_that_sets_and_no_signal,
         search_domains_and_the_default_route_are_set_when_wanted, no_zones_at_all_are_no_questions_for_us,
         the_most_zones_that_an_object_may_have, a_restart_of_resolved_is_told_and_repaired,
         a_restart_that_keeps_our_settings_needs_no_repair, settings_that_someone_else_made_are_told_apart,
         what_was_there_before_us_comes_back, a_capture_of_our_own_settings_does_not_bring_them_back,
         another_process_undoes_what_a_killed_one_left, undo_after_a_part_of_apply,
         undo_without_resolved_leaves_nothing_for_its_return, undo_after_the_link_is_gone_or_another_one,
         undo_of_damaged_bytes_is_an_error, a_resolved_that_hangs_costs_five_seconds,
         upstreams_are_the_others_never_ours_and_followed, servers_that_networkd_learned_are_followed,
         without_libsystemd_the_others_are_used, a_link_for_its_own_domains_is_no_upstream, a_forged_signal_is_nothing_to_us, the_bus_itself_may_be_restarted,
         clusters=())
