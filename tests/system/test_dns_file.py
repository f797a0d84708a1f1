#!/usr/bin/python3
"""/etc/resolv.conf itself as back-end: every form that it has on real hosts, with the daemons that write it; killed between any two
system calls; and whoever else writes the file."""

import os

from lib import daemons
from lib.dns import SERVER4, SERVERS, Driver, ZoneServer, plug_zone_link, told
from lib.harness import main
from lib.syscalls import calls_of, work_killed_at
from common.process import Failed, Skip, wait_until

PATH = "/etc/resolv.conf"
FORMS = ["../run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/resolvconf/resolv.conf",
         "../run/resolvconf/resolv.conf", "/run/NetworkManager/resolv.conf", "/var/run/NetworkManager/resolv.conf",
         "/mnt/wsl/resolv.conf", "resolv.conf.theirs"]


def remove(host):
    if os.path.lexists(host.path(PATH)):
        os.unlink(host.path(PATH))


def as_file(host, text="# mine\nsearch lan.test\nnameserver 192.0.2.1\noptions timeout:2\n", mode=0o640):
    remove(host)
    host.write(PATH, text, mode)
    os.chown(host.path(PATH), 0, 5)


def as_bind_mount(host):
    """As container engines do."""
    as_file(host)
    host.write("/tmp/resolv.conf", "nameserver 192.0.2.1\nsearch container.test\n")
    host.check("mount", "--bind", "/tmp/resolv.conf", PATH)


def end_bind_mount(host):
    host.check("umount", PATH)


def state(host):
    """What of the host these tests may change, quickly."""
    return host.check("sh", "-c", "cd /etc; stat -c '%A %u:%g %n %N' resolv* .resolv* 2>/dev/null; cat resolv.conf 2>/dev/null; "
                      "ls /tmp; cat /tmp/resolv.conf 2>/dev/null; true")


def set_and_undo(host, servers=SERVERS):
    before = state(host)
    driver = Driver(host, "file")
    undo = driver.set(["a.stile.test"], servers=servers)
    assert f"\nnameserver {servers.split(',')[0]}\n" in host.read(PATH), host.read(PATH)
    assert driver.ask("verify") == "present"
    driver.kill()
    driver = Driver(host, "file")
    driver.want(["a.stile.test"], servers=servers)
    assert driver.ask("undo", undo) == "undone"
    assert state(host) == before, (before, state(host))
    assert driver.ask("undo", undo) == "gone"
    driver.end()


def every_form_of_the_file_comes_back(lan):
    host = lan.host(dns="file")
    as_file(host)
    set_and_undo(host)
    as_file(host, "", 0o444)
    set_and_undo(host)
    remove(host)
    set_and_undo(host)
    for target in FORMS:
        daemons.link_resolv_conf(host, target)
        set_and_undo(host)
    host.write("/etc/resolv.conf.theirs", "nameserver 192.0.2.1\n")
    set_and_undo(host)
    remove(host)
    as_bind_mount(host)
    set_and_undo(host)
    end_bind_mount(host)


def all_questions_come_to_us_and_outside_names_still_resolve(lan):
    host = lan.host(dns="file")
    plug_zone_link(host)
    before = host.settle()
    zone = ZoneServer(host, forward=True)
    driver = Driver(host, "auto")
    assert driver.first == "backend file exclusive persistent", driver.first
    driver.set(["a.stile.test"])
    for name, address in (("app.a.stile.test", "100.64.0.9"), ("outside.test", "198.51.100.77")):
        found = host.check("getent", "ahostsv4", name)
        assert address in found, found
        assert zone.asked(name)
    assert not lan.asked("app.a.stile.test")
    assert driver.ask("upstreams").split(",")[0] == "192.0.2.1"
    driver.ask("undo")
    zone.stop()
    host.assert_restored(before)
    driver.end()


def step_of(host, step):
    """A driver that is about to apply or undo, and the undo bytes."""
    driver = Driver(host, "file")
    driver.want(["a.stile.test"])
    undo = driver.ask("capture")
    if step == "undo":
        driver.ask("apply")
    return driver, undo


def ends_or_answers(driver, step):
    """Whether it was killed before it answered."""
    try:
        driver.ask(step)
    except Failed as failed:
        assert "END" in str(failed), failed
        return True
    return False


def kill_everywhere(host, step):
    """The number of points at which it was killed."""
    before, killed = state(host), 0
    driver, undo = step_of(host, step)
    calls = calls_of(driver.process.pid, lambda: driver.ask(step))
    driver.ask("undo", undo)
    driver.end()
    for call in calls:
        driver, undo = step_of(host, step)
        killed += work_killed_at(driver.process.pid, call, lambda: ends_or_answers(driver, step))
        driver.kill()
        driver = Driver(host, "file")
        driver.want(["a.stile.test"])
        driver.ask("undo", undo)
        assert state(host) == before, f"killed at {step}'s {call}: {before} {state(host)}"
        assert driver.ask("undo", undo) == "gone"
        driver.end()
    return killed


def killed_between_any_two_system_calls(lan):
    host = lan.host(dns="file")
    counts = []
    for make, end in ((as_file, remove), (remove, remove), (lambda h: daemons.link_resolv_conf(h, FORMS[0]), remove),
                      (as_bind_mount, end_bind_mount)):
        make(host)
        counts += [kill_everywhere(host, "apply"), kill_everywhere(host, "undo")]
        end(host)
    assert all(count >= 10 for count in counts), counts
    print(f"# killed at {sum(counts)} points: {counts}")


def fails_with_remedy(host, *words):
    driver = Driver(host, "file")
    driver.want(["a.stile.test"])
    driver.ask("capture")
    before = state(host)
    text = driver.fails("apply")
    for word in words:
        assert word in text, text
    assert driver.ask("undo") == "gone"
    assert state(host) == before
    driver.end()


def a_read_only_etc_is_said(lan):
    host = lan.host(dns="file")
    host.check("mount", "-o", "remount,bind,ro", "/etc")
    fails_with_remedy(host, "read-only", "--dns none")
    driver = Driver(host, "auto")
    assert driver.first.startswith("backend none"), driver.first
    driver.end()
    # Where the file alone is writable it will do.
    host.write("/tmp/resolv.conf", "nameserver 192.0.2.1\n")
    host.check("mount", "--bind", "/tmp/resolv.conf", PATH)
    set_and_undo(host)


def an_immutable_file_is_said(lan):
    host = lan.host(dns="file")
    if host.command("chattr", "+i", PATH).status != 0:
        raise Skip("the file system of /etc has no immutable files")
    try:
        fails_with_remedy(host, "immutable", "chattr -i")
    finally:
        host.check("chattr", "-i", PATH)
    set_and_undo(host)


def a_full_disk_is_said(lan):
    host = lan.host(dns="file")
    host.check("sh", "-c", "mount -t tmpfs -o size=16k tmpfs /mnt && cp /etc/resolv.conf /mnt/ && mount --bind /mnt /etc")
    host.command("sh", "-c", "cat /dev/zero >/etc/full")
    text = host.read(PATH)
    fails_with_remedy(host, "disk is full")
    assert host.read(PATH) == text


def a_disk_that_has_become_full_keeps_nothing_from_coming_back(lan):
    for make in (as_file, lambda h: daemons.link_resolv_conf(h, FORMS[0]), remove):
        host = lan.host(dns="file")
        make(host)
        host.check("sh", "-c", "mount -t tmpfs -o size=16k tmpfs /mnt && cp -a /etc/resolv.conf /mnt/; mount --bind /mnt /etc")
        before = state(host)
        driver = Driver(host, "file")
        undo = driver.set(["a.stile.test"])
        driver.kill()
        host.command("sh", "-c", "cat /dev/zero >/etc/full")
        driver = Driver(host, "file")
        driver.want(["a.stile.test"])
        assert driver.ask("undo", undo) == "undone"
        assert state(host) == before
        driver.end()


def dhclient_writes(host, address):
    host.check("sh", "-c", f"printf 'search dhcp.test\\nnameserver {address}\\n' >/etc/resolv.conf.dhclient-new.77 && "
               "chown --reference=/etc/resolv.conf /etc/resolv.conf.dhclient-new.77 && "
               "mv -f /etc/resolv.conf.dhclient-new.77 /etc/resolv.conf")


def udhcpc_writes(host, address):
    host.check("sh", "-c", f"printf 'search dhcp.test\\nnameserver {address}\\n' >/etc/resolv.conf")


def a_dhcp_client_is_followed_and_its_file_comes_back(lan):
    for number, write in enumerate((dhclient_writes, udhcpc_writes)):
        host = lan.host(dns="file")
        driver = Driver(host, "file")
        driver.ask("watch")
        driver.set(["a.stile.test"])
        driver.no_event(0.3)
        write(host, f"198.51.100.{number + 1}")
        told(driver, "settings", "upstreams")
        wait_until(lambda: driver.ask("upstreams") == f"198.51.100.{number + 1}", "the new upstream")
        assert driver.ask("verify") == "missing"
        undo = driver.ask("capture")
        driver.ask("apply")
        assert driver.ask("verify") == "present" and "search dhcp.test" in host.read(PATH)
        driver.kill()
        driver = Driver(host, "file")
        driver.want(["a.stile.test"])
        assert driver.ask("undo", undo) == "undone"
        assert host.read(PATH) == f"search dhcp.test\nnameserver 198.51.100.{number + 1}\n"
        driver.end()


def what_others_wrote_is_left_alone_by_undo(lan):
    host = lan.host(dns="file")
    driver = Driver(host, "file")
    driver.set(["a.stile.test"])
    host.write(PATH, "nameserver 198.51.100.3\n")
    assert driver.ask("undo") == "left"
    assert host.read(PATH) == "nameserver 198.51.100.3\n"
    driver.end()


def resolveds_own_link_is_left_to_it(lan):
    host = lan.host(dns="resolved")
    before = host.settle()
    driver = Driver(host, "file")
    driver.want(["a.stile.test"])
    text = driver.fails("capture")
    assert "UNSUPPORTED" in text and "choose dns: resolved" in text, text
    host.assert_restored(before)
    driver.end()


def a_stub_that_reads_our_file_is_no_loop(lan):
    """Forced where systemd-resolved runs and reads the file: it then asks us, so we must not ask it."""
    host = lan.host(dns="resolved")
    remove(host)
    host.write(PATH, "nameserver 127.0.0.53\n")
    before = host.settle()
    driver = Driver(host, "file")
    driver.ask("watch")
    driver.set(["a.stile.test"], servers=SERVER4)
    host.check("resolvectl", "dns", "eth0", "198.51.100.8")
    wait_until(lambda: driver.ask("upstreams") == "198.51.100.8", "the upstream of resolved's link")
    host.check("resolvectl", "dns", "eth0", *host.resolvers())
    wait_until(lambda: driver.ask("upstreams") == ",".join(host.resolvers()), "the LAN's resolvers")
    assert SERVER4 in host.read("/run/systemd/resolve/resolv.conf")
    driver.ask("undo")
    # It looks at the file again when it does anything.
    host.check("resolvectl", "dns", "eth0", "198.51.100.8")
    host.check("resolvectl", "dns", "eth0", *host.resolvers())
    host.assert_restored(before)
    driver.end()


def networkmanager_that_writes_the_file_is_followed(lan):
    host = lan.host(dns="networkmanager")
    before = host.settle()
    driver = Driver(host, "file")
    driver.ask("watch")
    driver.set(["a.stile.test"])
    host.check("nmcli", "general", "reload", "dns-rc")
    told(driver, "settings")
    assert driver.ask("upstreams").split(",")[0] == "192.0.2.1"
    driver.ask("capture")
    driver.ask("apply")
    assert driver.ask("verify") == "present"
    driver.ask("undo")
    host.assert_restored(before)
    driver.end()


def resolvconf_under_it_is_followed_where_the_link_leads(lan):
    host = lan.host(dns="resolvconf")
    driver = Driver(host, "file")
    driver.ask("watch")
    driver.set(["a.stile.test"])
    before = host.check("readlink", "-m", "/run/resolvconf/resolv.conf")
    host.check("resolvconf", "-a", "eth0", text="nameserver 198.51.100.5\nsearch other.test\n")
    told(driver, "settings", "upstreams")
    assert driver.ask("upstreams") == "198.51.100.5"
    assert driver.ask("verify") == "missing"
    driver.ask("capture")
    driver.ask("apply")
    assert "search other.test" in host.read(PATH)
    driver.ask("undo")
    assert os.readlink(host.path(PATH)) == "/etc/resolvconf/run/resolv.conf" and before
    driver.end()


if __name__ == "__main__":
    main(__file__, every_form_of_the_file_comes_back, all_questions_come_to_us_and_outside_names_still_resolve,
         killed_between_any_two_system_calls, a_read_only_etc_is_said, an_immutable_file_is_said, a_full_disk_is_said,
         a_disk_that_has_become_full_keeps_nothing_from_coming_back,
         a_dhcp_client_is_followed_and_its_file_comes_back, what_others_wrote_is_left_alone_by_undo, resolveds_own_link_is_left_to_it,
         a_stub_that_reads_our_file_is_no_loop,
         networkmanager_that_writes_the_file_is_followed, resolvconf_under_it_is_followed_where_the_link_leads)
