#!/usr/bin/python3
"""DNS through the program resolvconf, Debian's and openresolv: records added and taken away by the real programs, killed anywhere."""

import os
import signal
import time

from lib import daemons
from lib.dns import SERVER4, SERVER6, Driver, ZoneServer, plug_zone_link, told
from lib.harness import main
from lib.syscalls import calls_of, work_killed_at
from common.process import Failed, Stopwatch, wait_until

PATH = "/etc/resolv.conf"
FLAVOURS = ("resolvconf", "openresolv")
ZONES = ["a.stile.test"]
RECORDS = {"resolvconf": "/run/resolvconf/interface", "openresolv": "/run/resolvconf/interfaces"}


def text(host):
    """What programs of the host read: a link of it leads elsewhere from out here."""
    return host.check("cat", PATH)


def servers(host):
    return [line.split()[1] for line in text(host).splitlines() if line.startswith("nameserver")]


def both(test):
    def run(lan):
        for flavour in FLAVOURS:
            test(lan, lan.host(dns=flavour))
    run.__name__ = test.__name__
    return run


@both
def it_is_detected_and_exactly_undone(_lan, host):
    before = host.settle()
    driver = Driver(host, "auto")
    assert driver.first == "backend resolvconf exclusive persistent", driver.first
    driver.set(ZONES)
    assert driver.ask("verify") == "present"
    # Whatever the C library asks, it asks us.
    assert servers(host)[0] == SERVER4 and servers(host)[1] == SERVER6
    assert {s.lower() for s in servers(host)} <= {SERVER4, SERVER6, "::ffff:100.64.0.2"}, servers(host)
    assert driver.ask("undo") == "undone"
    host.assert_restored(before)
    assert driver.ask("undo") == "gone"
    host.assert_restored(before)
    driver.end()


@both
def with_one_server_alone_all_questions_come_to_it(_lan, host):
    before = host.settle()
    driver = Driver(host, "resolvconf")
    driver.set(ZONES, servers=SERVER4)
    assert {s.lower() for s in servers(host)} <= {SERVER4, "::ffff:100.64.0.2"}, servers(host)
    driver.set(ZONES, servers=SERVER6)
    assert {s.lower() for s in servers(host)[:2]} == {SERVER6} or servers(host) == [SERVER6], servers(host)
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def all_questions_come_to_us(lan, flavour):
    host = lan.host(dns=flavour)
    plug_zone_link(host)
    zone = ZoneServer(host, forward=True)
    driver = Driver(host, "auto")
    driver.set(ZONES)
    for name, address in (("app.a.stile.test", "100.64.0.9"), ("outside.test", "198.51.100.77")):
        found = host.check("getent", "ahostsv4", name)
        assert address in found, found
        assert zone.asked(name)
    assert not lan.asked("app.a.stile.test")
    driver.ask("undo")
    zone.stop()
    driver.end()
    host.stop()


def all_questions_come_to_us_by_debians(lan):
    all_questions_come_to_us(lan, "resolvconf")


def all_questions_come_to_us_by_openresolv(lan):
    all_questions_come_to_us(lan, "openresolv")


@both
def upstreams_are_the_other_records_and_followed(_lan, host):
    driver = Driver(host, "resolvconf")
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    assert driver.ask("upstreams").split(",") == host.resolvers()
    host.check("resolvconf", "-a", "eth0", text="nameserver 198.51.100.5\nsearch other.test\n")
    wait_until(lambda: driver.ask("upstreams") == "198.51.100.5", "the other upstream")
    told(driver, "upstreams")
    host.check("resolvconf", "-a", "lo.unbound", text="nameserver 127.0.0.1\n")
    assert driver.ask("upstreams") == "198.51.100.5"
    host.check("resolvconf", "-d", "lo.unbound")
    host.check("resolvconf", "-d", "eth0")
    wait_until(lambda: "198.51.100.5" not in driver.ask("upstreams"), "no upstream")
    driver.end()


def search_domains_of_others_stay(lan):
    for flavour in FLAVOURS:
        host = lan.host(dns=flavour)
        host.check("resolvconf", "-a", "eth0", text="nameserver 192.0.2.1\nsearch lan.test other.test\noptions timeout:2\n")
        before = host.settle()
        driver = Driver(host, "resolvconf")
        driver.ask("watch")
        driver.set(ZONES)
        assert "search lan.test other.test" in text(host) and "options timeout:2" in text(host), text(host)
        driver.no_event()
        assert driver.ask("undo") == "undone"
        host.assert_restored(before)
        driver.set(ZONES)
        host.check("resolvconf", "-a", "eth0", text="nameserver 192.0.2.1\nsearch third.test\n")
        if flavour == "openresolv":
            told(driver, "settings")
            assert driver.ask("verify") == "missing"
            driver.ask("capture")
            driver.ask("apply")
        assert "search third.test" in text(host), text(host)
        assert driver.ask("verify") == "present"
        driver.end()


@both
def our_record_taken_by_someone_is_missing_and_comes_back(_lan, host):
    driver = Driver(host, "resolvconf")
    driver.ask("watch")
    driver.set(ZONES)
    driver.no_event()
    host.check("resolvconf", "-d", "lo.stile0")
    told(driver, "settings")
    assert driver.ask("verify") == "missing"
    driver.ask("capture")
    driver.ask("apply")
    assert driver.ask("verify") == "present" and servers(host)[0] == SERVER4
    driver.end()


@both
def a_file_of_someone_elses_is_left_alone(_lan, host):
    driver = Driver(host, "resolvconf")
    undo = driver.set(ZONES)
    os.unlink(host.path(PATH))
    host.write(PATH, "nameserver 198.51.100.7\n")
    assert driver.ask("verify") == "foreign"
    said = driver.fails("capture")
    assert "UNSUPPORTED" in said and "dns: file" in said, said
    if host.dns == "resolvconf":
        assert driver.ask("undo", undo) == "undone"
        assert text(host) == "nameserver 198.51.100.7\n"
        assert not os.path.exists(host.path(RECORDS[host.dns] + "/lo.stile0"))
    driver.end()


@both
def it_is_not_taken_where_the_file_is_not_its_own(_lan, host):
    os.unlink(host.path(PATH))
    host.write(PATH, "nameserver 192.0.2.1\n")
    driver = Driver(host, "auto")
    assert driver.first.split()[1] == "file", driver.first
    driver.end()


def one_that_updates_nothing_is_not_taken(lan):
    host = lan.host(dns="resolvconf")
    host.check("resolvconf", "--disable-updates")
    before = host.settle()
    driver = Driver(host, "auto")
    assert driver.first.split()[1] == "file", driver.first
    driver.end()
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    said = driver.fails("capture")
    assert "UNSUPPORTED" in said and "--enable-updates" in said, said
    driver.end()
    host.assert_restored(before)


def another_vpns_servers_alone_are_asked_while_it_is_exclusive(lan):
    host = lan.host(dns="openresolv")
    host.check("resolvconf", "-a", "tun.wg0", "-m", "0", "-x", text="nameserver 198.51.100.9\n")
    before = host.settle()
    assert servers(host) == ["198.51.100.9"]
    driver = Driver(host, "resolvconf")
    driver.ask("watch")
    driver.set(ZONES)
    assert servers(host) == [SERVER4, SERVER6]
    assert driver.ask("upstreams") == "198.51.100.9"
    # One that comes later takes over; so do we again.
    host.check("resolvconf", "-a", "tun.wg1", "-x", text="nameserver 198.51.100.10\n")
    told(driver, "settings")
    assert driver.ask("verify") == "missing" and driver.ask("upstreams") == "198.51.100.10"
    driver.ask("capture")
    driver.ask("apply")
    assert servers(host) == [SERVER4, SERVER6] and driver.ask("verify") == "present"
    host.check("resolvconf", "-d", "tun.wg1")
    assert driver.ask("undo") == "undone"
    host.assert_restored(before)
    driver.end()


def resolveds_program_of_that_name_is_none(lan):
    host = lan.host(dns="resolved")
    assert os.path.lexists(host.path("/usr/sbin/resolvconf"))
    try:
        Driver(host, "resolvconf")
    except Failed as failed:
        assert "NOTFOUND" in str(failed), failed
    else:
        raise Failed("it was taken")


def a_local_resolver_before_us_is_said(lan):
    host = lan.host(dns="resolvconf")
    host.check("resolvconf", "-a", "lo.dnsmasq", text="nameserver 127.0.0.1\n")
    before = host.settle()
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    driver.ask("capture")
    said = driver.fails("apply")
    assert "UNSUPPORTED" in said and "comes before ours" in said, said
    assert driver.ask("undo") == "undone"
    host.assert_restored(before)
    driver.end()


def a_program_that_hangs_is_killed(lan):
    host = lan.host(dns="resolvconf")
    # A whole other program in its place, in this host only.
    host.write("/tmp/resolvconf", "#!/bin/sh\ncase $1 in --version) exec /tmp/real --version;; -a) sleep 77; exit;; esac\n"
               "exec /tmp/real \"$@\"\n", 0o755)
    host.check("cp", "/usr/sbin/resolvconf", "/tmp/real")
    host.check("mount", "--bind", "/tmp/resolvconf", "/usr/sbin/resolvconf")
    before = host.settle()
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    driver.ask("capture")
    start, watch = time.monotonic(), Stopwatch()
    said = driver.fails("apply")
    assert "TIMEOUT" in said and 4 < time.monotonic() - start and watch.seconds() < 8, said
    assert not host.processes("sleep", "77")
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def what_others_records_say_is_copied_as_names_only(lan):
    """openresolv evaluates what it reads as shell."""
    host = lan.host(dns="openresolv")
    host.write("/run/resolvconf/interfaces/eth0",
               "nameserver 192.0.2.1\nsearch a.test $(touch${IFS}/tmp/pwned) `id` ;id \"x -x b_c.test\n")
    driver = Driver(host, "resolvconf")
    driver.set(ZONES)
    record = host.read("/run/resolvconf/interfaces/lo.stile0")
    assert record.splitlines()[-1] == "search a.test b_c.test", record
    driver.ask("undo")
    driver.end()


def a_reboot_is_undone_where_it_is_not_forgotten(lan):
    """openresolv's file outlives a reboot; its records don't."""
    host = lan.host(dns="openresolv")
    before = text(host)
    driver = Driver(host, "resolvconf")
    undo = driver.set(ZONES)
    driver.kill()
    host.check("rm", "-rf", "/run/resolvconf")
    host.check("resolvconf", "-a", "eth0", text="".join(f"nameserver {a}\n" for a in host.resolvers()))
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    assert driver.ask("undo", undo) in ("undone", "gone")
    assert text(host) == before
    driver.end()


@both
def a_record_that_cannot_be_removed_is_no_success(_lan, host):
    """What the program starts fails (rm, on a directory that became read-only); the program itself doesn't say so."""
    before = host.settle()
    driver = Driver(host, "resolvconf")
    driver.set(ZONES)
    directory = next(d for d in RECORDS.values() if os.path.exists(host.path(f"{d}/lo.stile0")))
    host.check("mount", "--bind", directory, directory)
    host.check("mount", "-o", "remount,bind,ro", directory)
    said = driver.fails("undo")
    assert "left our record" in said, said
    host.check("umount", directory)
    assert driver.ask("undo") == "undone"
    assert driver.ask("undo") == "gone"
    host.assert_restored(before)
    driver.end()


def step_of(host, step):
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    undo = driver.ask("capture")
    if step == "undo":
        driver.ask("apply")
    return driver, undo


def undone_by_another(host, undo):
    driver = Driver(host, "resolvconf")
    driver.want(ZONES)
    driver.ask("undo", undo)
    driver.end()


def ends_or_answers(driver, step):
    try:
        driver.ask(step)
    except Failed as failed:
        assert "END" in str(failed), failed
        return True
    return False


def killed_between_any_two_system_calls(lan):
    """The program that was running goes on; the undo of the next process waits for it."""
    counts = []
    for flavour in FLAVOURS:
        host = lan.host(dns=flavour)
        before = host.settle()
        for step in ("apply", "undo"):
            driver, undo = step_of(host, step)
            calls = calls_of(driver.process.pid, lambda: driver.ask(step))
            driver.ask("undo", undo)
            driver.end()
            # One of each kind of moment: most calls are reads of the programs' output.
            interesting = [call for call in calls if call[0] not in ("read", "close", "clock_nanosleep")]
            killed = 0
            for call in interesting:
                driver, undo = step_of(host, step)
                killed += work_killed_at(driver.process.pid, call, lambda: ends_or_answers(driver, step))
                driver.kill()
                undone_by_another(host, undo)
                assert text(host) == "\n".join(before[PATH][1:]) + "\n", (call, text(host))
            counts.append(killed)
        host.assert_restored(before)
    assert all(count >= 10 for count in counts), counts
    print(f"# killed at {sum(counts)} points: {counts}")


def the_program_itself_killed_anywhere(lan):
    """With us, as a service manager does that ends the whole group."""
    killed = 0
    for flavour in FLAVOURS:
        host = lan.host(dns=flavour)
        before = host.settle()
        for delay_ms in (*range(0, 60, 6), 120, 240, 480, 960):
            if delay_ms >= 60 and killed > 0:
                break  # only a busy machine begins as late as that
            driver, undo = step_of(host, "apply")
            driver.process.stdin.write("apply\n")
            driver.process.stdin.flush()
            time.sleep(delay_ms / 1000)
            driver.process.kill()
            for pid in [*host.processes("resolvconf"), *host.processes("sh"), *host.processes("run-parts"),
                        *host.processes("libc")]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            driver.process.wait()
            undone_by_another(host, undo)
            assert servers(host) == host.resolvers(), (delay_ms, text(host))
        assert before[PATH][1:] == text(host).splitlines()
    assert killed > 0


if __name__ == "__main__":
    main(__file__, it_is_detected_and_exactly_undone, with_one_server_alone_all_questions_come_to_it,
         all_questions_come_to_us_by_debians, all_questions_come_to_us_by_openresolv, upstreams_are_the_other_records_and_followed,
         search_domains_of_others_stay, our_record_taken_by_someone_is_missing_and_comes_back,
         a_file_of_someone_elses_is_left_alone, it_is_not_taken_where_the_file_is_not_its_own,
         one_that_updates_nothing_is_not_taken, another_vpns_servers_alone_are_asked_while_it_is_exclusive,
         resolveds_program_of_that_name_is_none, a_local_resolver_before_us_is_said, a_program_that_hangs_is_killed,
         what_others_records_say_is_copied_as_names_only, a_reboot_is_undone_where_it_is_not_forgotten,
         a_record_that_cannot_be_removed_is_no_success, killed_between_any_two_system_calls, the_program_itself_killed_anywhere)
