#!/usr/bin/python3
"""The whole way from `stile up` to a name that resolves, for each way a host keeps its resolver, with the real daemons: programs ask
for apps' names and for others, the host's own resolvers change, daemons are restarted, everything is killed; and at the end the host
is as it was."""

import os
import re
import signal
import subprocess

from lib import daemons
from lib.harness import main
from lib.lan import DIR
from common.process import Skip, alive, wait_until

APP = "echo.a.stile.test"
OUTSIDE = "198.51.100.77"
SECOND, SECOND_ADDRESS = "192.0.2.3", "198.51.100.99"
RESOLV_CONF = "/etc/resolv.conf"


# ---- one way of each host: what is expected, and how its administrator changes it ----

class Way:
    """dns: the kind of host (host.py); backend: what `auto` must find there."""
    dns = backend = None

    def prepare(self, host):
        """What is as it will be from the first day on."""

    def change(self, host, address):
        """The host's resolver is another one from now on."""
        raise NotImplementedError

    def disturb(self, host):
        """What else happens to it in a day: its daemon is restarted."""


class File(Way):
    dns = backend = "file"

    def change(self, host, address):
        """As a DHCP client's script does."""
        host.check("sh", "-c", f"echo nameserver {address} >/etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf")

    def disturb(self, host):
        host.check("sh", "-c", "cat /etc/resolv.conf >/dev/null; touch /etc/resolv.conf /etc/unrelated; rm /etc/unrelated")


class Resolved(Way):
    dns = backend = "resolved"

    def change(self, host, address):
        host.check("resolvectl", "dns", "eth0", address)

    def disturb(self, host):
        host.resolved.send_signal(signal.SIGTERM)
        host.resolved.wait()
        daemons.run_resolved(host)


class NetworkManager(Way):
    dns = backend = "networkmanager"

    def prepare(self, host):
        """It keeps its state in a file from its first end on."""
        self.disturb(host)

    def change(self, host, address):
        host.check("nmcli", "connection", "modify", "lan", "ipv4.dns", address, "ipv6.dns", "", "ipv6.ignore-auto-dns", "yes")
        host.check("nmcli", "device", "reapply", "eth0")

    def disturb(self, host):
        host.networkmanager.send_signal(signal.SIGTERM)
        host.networkmanager.wait()
        daemons.run_networkmanager(host)


class Both(NetworkManager):
    dns, backend = "networkmanager+resolved", "resolved"


class Resolvconf(Way):
    dns, backend = "resolvconf", "resolvconf"

    def change(self, host, address):
        host.check("resolvconf", "-a", "eth0", text=f"nameserver {address}\n")

    def disturb(self, host):
        host.check("resolvconf", "-u")


class Openresolv(Resolvconf):
    dns = "openresolv"


# ---- what is asked of each ----

def resolves(host, name, address, family="ahostsv4"):
    done = host.command("getent", family, name)
    return done.status == 0 and any(re.match(address, word) for word in done.out.split())


def app_resolves(host):
    return resolves(host, APP, r"100\.")


def second_resolver(lan):
    """Another resolver of the LAN, whose answers differ."""
    lan.command("ip", "addr", "add", f"{SECOND}/24", "dev", "lan")
    process = lan.spawn(["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=",
                         "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={SECOND}", "--local=/test/",
                         f"--address=/outside.test/{SECOND_ADDRESS}", "--host-record=gw-a.lan.test,192.0.2.1"],
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lan.processes.append(process)
    wait_until(lambda: SECOND_ADDRESS in lan.command("dig", "+short", "+tries=1", "+time=1", f"@{SECOND}", "outside.test").out,
               "the second resolver")
    return process


def start(lan, way, **how):
    host = lan.host(dns=way.dns, **how)
    host.log_in("alice", "a")
    way.prepare(host)
    host.start_broker()
    before = host.settle()
    up = host.up("alice")
    status = up.status()
    assert status["dns_backend"] == way.backend, status
    wait_until(lambda: app_resolves(host), f"{APP} resolves through {way.backend}")
    return host, up, before


def programs_reach_apps_and_outside_names(lan, way):
    if not os.path.exists(os.path.join(DIR, "nginx")):
        lan.start_nginx("stile")
    host, up, before = start(lan, way)
    assert resolves(host, APP, "fd", "ahostsv6")
    assert resolves(host, "outside.test", OUTSIDE)
    for name, answer in ((APP, "100."), ("outside.test", OUTSIDE)):
        for how in ((), ("+tcp",)):
            out = host.check("dig", "+short", "+time=3", *how, name)
            assert out.startswith(answer), (name, how, out)
    for family in ("A", "AAAA"):
        address = host.check("dig", "+short", APP, family).strip()
        assert APP in host.check("dig", "+short", "-x", address), address
    page = host.as_user("alice", "curl", "-sS", "-m", "10", "http://web.a.stile.test/")
    assert page.status == 0 and "stile from nginx" in page.out, page
    # No app's name has left the host, even if it doesn't exist.
    host.command("getent", "ahosts", "nothing.a.stile.test")
    assert not lan.asked(APP) and not lan.asked("web.a.stile.test")
    assert up.kill(signal.SIGINT) == 0
    host.assert_restored(before)
    assert resolves(host, "outside.test", OUTSIDE)
    assert not app_resolves(host)


def another_resolver_is_followed(lan, way):
    host, up, _ = start(lan, way)
    second = second_resolver(lan)
    try:
        way.change(host, SECOND)
        wait_until(lambda: resolves(host, "outside.test", SECOND_ADDRESS), "the new resolver is asked")
        wait_until(lambda: app_resolves(host), "apps' names resolve")
        up.kill(signal.SIGINT)
        wait_until(lambda: resolves(host, "outside.test", SECOND_ADDRESS), "the new resolver stays")
        assert not app_resolves(host)
        assert "100.64.0.2" not in host.check("cat", RESOLV_CONF)
    finally:
        second.kill()
        second.wait()


def its_daemon_may_be_restarted(lan, way):
    host, up, before = start(lan, way)
    way.disturb(host)
    wait_until(lambda: app_resolves(host), "apps' names resolve again")
    wait_until(lambda: resolves(host, "outside.test", OUTSIDE), "outside names resolve again")
    up.kill(signal.SIGINT)
    if way.dns == "resolved":
        # What a restart loses of others' settings is not for us to bring back.
        host.check("resolvectl", "dns", "eth0", *host.resolvers())
        host.check("resolvectl", "default-route", "eth0", "yes")
    host.assert_restored(before)


def all_is_killed_and_the_next_broker_puts_it_back(lan, way):
    host, up, before = start(lan, way)
    kill_all(host, up)
    host.start_broker()
    host.assert_restored(before)
    assert resolves(host, "outside.test", OUTSIDE)
    assert host.broker.stop() == 0
    host.assert_restored(before)


def reboot(host):
    """What a host has forgotten after one: /run but for what starts anew, our interface, and which boot it was."""
    for name in ("stile", "resolvconf"):
        host.check("rm", "-rf", f"/run/{name}")
    host.write("/tmp/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n")
    host.check("mount", "--bind", "/tmp/boot_id", "/proc/sys/kernel/random/boot_id")


def kill_all(host, up):
    pids = (host.broker.process.pid, host.broker.proper(), up.process.pid)
    # Stopped first: none may see another one's end and put anything in order.
    for how in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
    host.broker.process.wait()
    up.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids), "the ends")


def after_a_reboot_the_file_comes_back(lan):
    host, up, before = start(lan, File())
    kill_all(host, up)
    assert "100.64.0.2" in host.read(RESOLV_CONF)
    reboot(host)
    host.start_broker()
    host.assert_restored(before)


def after_a_reboot_openresolvs_file_comes_back(lan):
    host, up, before = start(lan, Openresolv())
    kill_all(host, up)
    assert "100.64.0.2" in host.read(RESOLV_CONF)
    reboot(host)
    # The network comes up again.
    host.check("resolvconf", "-a", "eth0", text="".join(f"nameserver {address}\n" for address in host.resolvers()))
    host.start_broker()
    wait_until(lambda: host.read(RESOLV_CONF).splitlines() == before[RESOLV_CONF][1:], "the file is as it was")


def in_a_container_whose_file_is_mounted(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.write("/tmp/resolv.conf", "nameserver 192.0.2.1\noptions ndots:0\n")
    host.check("mount", "--bind", "/tmp/resolv.conf", RESOLV_CONF)
    for end in ("interrupted", "killed"):
        host.start_broker()
        before = host.settle()
        up = host.up("alice")
        assert up.status()["dns_backend"] == "file"
        wait_until(lambda: app_resolves(host), "apps' names resolve")
        assert resolves(host, "outside.test", OUTSIDE)
        assert "options ndots:0" in host.read("/tmp/resolv.conf")
        if end == "killed":
            kill_all(host, up)
            host.start_broker()
        else:
            up.kill(signal.SIGINT)
        host.assert_restored(before)
        assert host.broker.stop() == 0


def a_file_that_cannot_be_changed_is_said(lan):
    host = lan.host()
    host.log_in("alice", "a")
    if host.command("chattr", "+i", RESOLV_CONF).status != 0:
        raise Skip("the file system of /etc has no immutable files")
    before = host.settle()
    # By itself it does without; forced, it says what to do.
    host.start_broker()
    up = host.up("alice")
    assert up.status()["dns_backend"] == "none", up.status()
    up.kill(signal.SIGINT)
    host.broker.stop()
    host.start_broker("--dns", "file")
    out = host.stile("up")
    assert out.status == 1 and "immutable" in out.err and "chattr -i" in out.err, out
    host.assert_restored(before)
    host.check("chattr", "-i", RESOLV_CONF)
    up = host.up("alice")
    wait_until(lambda: app_resolves(host), "apps' names resolve")
    up.kill(signal.SIGINT)


def without_ipv6(lan, way):
    host, up, before = start(lan, way, families=(4,), ipv6=False)
    assert resolves(host, "outside.test", OUTSIDE)
    assert host.command("getent", "ahosts", APP).status == 0
    up.kill(signal.SIGINT)
    host.assert_restored(before)


def with_ipv6_alone(lan, way):
    host = lan.host(dns=way.dns, families=(6,))
    host.log_in("alice", "a")
    way.prepare(host)
    host.start_broker()
    before = host.settle()
    up = host.up("alice", "--ipv6-only")
    wait_until(lambda: resolves(host, APP, "fd", "ahostsv6"), "apps' names resolve")
    assert resolves(host, "outside.test", "2001:db8:77::1", "ahostsv6")
    up.kill(signal.SIGINT)
    host.assert_restored(before)


def a_local_resolver_that_asks_us_makes_no_storm(lan):
    """dnsmasq reads /etc/resolv.conf: with ours there it asks us what we ask it."""
    for text, words in (("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", []), ("nameserver 127.0.0.1\n", ["--server=192.0.2.1"])):
        host = lan.host()
        host.log_in("alice", "a")
        os.unlink(host.path(RESOLV_CONF))
        host.write(RESOLV_CONF, text)
        log_path = host.log_path("dnsmasq")
        with open(log_path, "wb") as log:
            host.spawn(["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=",
                        "--log-facility=-", "--log-queries", "--bind-interfaces", "--listen-address=127.0.0.1", *words],
                       stdout=log, stderr=log)
        wait_until(lambda: OUTSIDE in host.command("dig", "+short", "+tries=1", "+time=1", "@127.0.0.1", "outside.test").out,
                   "the local resolver")
        host.start_broker()
        up = host.up("alice")
        wait_until(lambda: app_resolves(host), "apps' names resolve")
        for number in range(10):
            assert resolves(host, f"n{number}.outside.test", OUTSIDE), number
        with open(log_path, encoding="utf-8") as log:
            asked = sum("query[" in line for line in log)
        assert asked < 150, asked
        up.kill(signal.SIGINT)
        host.stop()


def by_hand(lan):
    """dns: none. The person is told what to configure, and nothing is touched."""
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker("--dns", "none")
    before = host.read(RESOLV_CONF)
    up = host.up("alice")
    wait_until(lambda: "let your resolver ask 100.64.0.2" in up.out() + up.messages(), "it is said what to configure")
    assert "a.stile.test" in up.out() + up.messages()
    assert host.read(RESOLV_CONF) == before and not app_resolves(host)
    host.write(RESOLV_CONF, "nameserver 100.64.0.2\n")
    assert app_resolves(host) and resolves(host, "outside.test", OUTSIDE)
    up.kill(signal.SIGINT)


def a_fight_for_the_file_ends(lan):
    """Someone who writes the file again and again is left alone, and it is said once."""
    host, up, _ = start(lan, File())

    def given_up():
        return "left alone" in (up.out() + up.messages() + host.broker.messages()).lower()
    for number in range(8):
        File().change(host, f"192.0.2.{40 + number}")
        wait_until(lambda: given_up() or "100.64.0.2" in host.read(RESOLV_CONF), "it is taken over, or that it isn't is said")
        if given_up():
            break
    assert given_up() and number >= 2, number
    theirs = host.read(RESOLV_CONF)
    assert theirs == f"nameserver 192.0.2.{40 + number}\n", theirs
    up.kill(signal.SIGINT)
    assert host.read(RESOLV_CONF) == theirs


def of_each(test, ways):
    """One test for each way, with a name of its own."""
    tests = []
    for way in ways:
        def one(lan, way=way):
            test(lan, way())
        one.__name__ = f"{way.dns.replace('+', '_and_')}: {test.__name__}"
        tests.append(one)
    return tests


WAYS = [File, Resolved, NetworkManager, Both, Resolvconf, Openresolv]

if __name__ == "__main__":
    main(__file__, *of_each(programs_reach_apps_and_outside_names, WAYS), *of_each(another_resolver_is_followed, WAYS),
         *of_each(its_daemon_may_be_restarted, WAYS), *of_each(all_is_killed_and_the_next_broker_puts_it_back, WAYS),
         *of_each(without_ipv6, WAYS), *of_each(with_ipv6_alone, WAYS), after_a_reboot_the_file_comes_back,
         after_a_reboot_openresolvs_file_comes_back, in_a_container_whose_file_is_mounted, a_file_that_cannot_be_changed_is_said,
         a_local_resolver_that_asks_us_makes_no_storm, by_hand, a_fight_for_the_file_ends, clusters=("a",))
