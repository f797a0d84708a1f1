#!/usr/bin/python3
"""`stile up`: what a person and the programs of a host see of it."""

import fcntl
import os
import re
import signal
import subprocess
import time

from lib.harness import main
from lib.host import STILE
from common.process import PATIENCE_S, Failed, Stopwatch, alive, wait_until

ECHO = "echo.a.stile.test"


ALLOW = "allow_ranges: [10.0.0.0/8]\n"


def start(lan, *options, clusters=("a",), config="", **how):
    """A host with a broker and a session of alice's."""
    host = lan.host(**how)
    for cluster in clusters:
        host.log_in("alice", cluster)
    host.start_broker(config=config)
    up = host.up("alice", *options)
    return host, up


def echoes(host, name=ECHO, user="alice"):
    """What the echo app answers, or what happens instead."""
    program = host.program(user)
    verdict = program.call("connect", host=name, port=7001, timeout=5)["verdict"]
    if verdict == "ok":
        verdict = program.call("exchange", host=name, port=7001, text="hello")["text"]
    program.close()
    return verdict


def programs_of_the_host_reach_apps_by_name(lan):
    lan.start_nginx("stile")
    host, up = start(lan)
    assert echoes(host) == "hello"
    out = host.as_user("alice", "curl", "-sS", "-m", "10", "http://web.a.stile.test/")
    assert out.status == 0 and "stile from nginx" in out.out, out
    wait_until(lambda: re.search(r"curl → web.a.stile.test:80  closed, \S+ up, \S+ down", up.out()), "the connection is shown")
    assert re.search(r"CLUSTER +PROFILE +USER +ZONES +RANGE +UNTIL\na +a +alice +a.stile.test +100.64.0.0/10 ", up.out()), up.out()


def with_each_owner_of_resolv_conf_names_are_found_and_the_host_is_put_back(lan):
    for dns in ("file", "resolved", "networkmanager", "networkmanager+resolved", "resolvconf", "openresolv"):
        host = lan.host(dns=dns)
        host.log_in("alice", "a")
        host.start_broker()
        if dns == "openresolv":
            host.check("mkdir", "-p", "/run/resolvconf/exclusive")  # it makes this one for itself and lets it lie
        before = host.settle()
        up = host.up("alice")
        assert echoes(host) == "hello", (dns, up.status())
        assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test"), dns
        assert up.kill(signal.SIGINT) == 0
        host.assert_restored(before)
        assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test"), dns
        host.stop()


def with_the_back_end_none_the_person_is_told_what_to_configure(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker("--dns", "none")
    before = host.read("/etc/resolv.conf")
    up = host.up("alice")
    assert "100.64.0.2" in up.out() and "a.stile.test" in up.out(), up.out()
    assert host.read("/etc/resolv.conf") == before
    assert up.kill(signal.SIGINT) == 0
    host.write("/etc/resolv.conf", "nameserver 100.64.0.2\nnameserver 192.0.2.1\n")
    up = host.up("alice")  # told by hand to ask us: that is no resolver in the way of the range
    assert up.status()["ipv4_ranges"] == ["100.64.0.0/10"], up.status()
    assert echoes(host) == "hello"


def dns_answers_whoever_asks(lan):
    host, _ = start(lan)
    addresses = set()
    for user in ("alice", "bob", "root"):
        for how in ([], ["+tcp"]):
            out = host.command("dig", "+short", "+time=3", *how, "@100.64.0.2", ECHO, user=user)
            assert out.status == 0 and out.out.startswith("100."), (user, how, out)
            addresses.add(out.out)
    assert len(addresses) == 1, addresses


def ctrl_c_puts_the_host_back(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    before = host.settle()
    up = host.up("alice")
    shown = host.check("ip", "-d", "link", "show", "stile0")
    assert "addrgenmode none" in shown, shown  # no address that nobody asked for
    # Its other end can't pass for others or be the host's router.
    assert host.check("cat", "/proc/sys/net/ipv4/conf/stile0/rp_filter") == "1\n"
    assert host.check("cat", "/proc/sys/net/ipv6/conf/stile0/accept_ra") == "0\n"
    assert up.kill(signal.SIGINT) == 0
    host.assert_restored(before)
    assert not host.broker.engines()
    assert "Down: the host is as it was." in up.out(), up.out()


def down_ends_it_and_says_so(lan):
    host, up = start(lan)
    out = host.down("alice")
    assert out.status == 0 and "Down: the host is as it was." in out.out, out
    assert up.process.wait(PATIENCE_S) == 0
    assert host.command("ip", "link", "show", "stile0").status != 0
    assert not host.broker.engines()
    out = host.down("alice")
    assert out.status == 0 and "Nothing was up" in out.out, out


def locked_in(host):
    """/etc/resolv.conf can't be changed any more, by anybody."""
    host.check("mount", "--bind", "/etc/resolv.conf", "/etc/resolv.conf")
    host.check("mount", "-o", "remount,bind,ro", "/etc/resolv.conf")


def what_could_not_be_put_back_is_told_by_all_and_cleaned_up_later(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    before = host.settle()
    for end in (lambda up: host.down("alice"), lambda up: up.kill(signal.SIGINT), lambda up: host.broker.stop()):
        up = host.up("alice")
        locked_in(host)
        done = end(up)
        told = "isn't as it was"
        wait_until(lambda: told in up.out() + up.messages(), "it is told")
        assert "the host is as it was" not in up.out() + host.broker.messages(), (up.out(), host.broker.messages())
        assert told in host.broker.messages(), host.broker.messages()
        assert not hasattr(done, "err") or (done.status == 1 and told in done.err and "stile cleanup" in done.err), done
        host.check("umount", "/etc/resolv.conf")
        assert "Removed the DNS settings" in host.stile("cleanup", user="root").out
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()
        host.assert_restored(before)


def a_broker_that_has_gone_for_good_is_no_host_put_back(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker("--no-supervisor")
    before = host.settle()
    up = host.up("alice")
    os.kill(host.broker.proper(), signal.SIGKILL)
    wait_until(lambda: up.status()["state"] != "up", "the loss is noticed")
    found = host.stile("diag", "--json", user="alice", timeout=90).json()
    ids = {f["id"] for check in found["checks"] for f in check["findings"]}
    assert "leftover-resolv-conf" in ids and not {"leftovers", "resolver"} & ids, ids
    out = host.down("alice")
    assert "is as it was." not in out.out and "isn't running" in out.out and "stile diag" in out.out, out
    assert up.process.wait(PATIENCE_S) == 1
    assert "isn't put back yet" in up.messages() and "stile cleanup" in up.messages(), up.messages()
    assert host.stile("cleanup", user="root").status == 0
    host.assert_restored(before)


def a_second_one_is_told_that_it_is_up(lan):
    host, up = start(lan)
    out = host.stile("up")
    assert out.status == 1 and "Already up, with pid" in out.err and "stile down" in out.err, out
    assert echoes(host) == "hello"
    status = up.status()
    assert status["state"] == "up" and status["interface"] == "stile0" and status["dns_backend"] == "file", status


def open_connections_end_with_the_session_and_are_recorded(lan):
    host, up = start(lan)
    program = host.program("alice")
    program.call("keep", key="one", host=ECHO, port=7001)
    wait_until(lambda: "echo.a.stile.test:7001  open" in up.out(), "it is shown")
    assert up.kill(signal.SIGTERM) == 0
    shown = host.stile("connections", "--json").json()["connections"]
    assert [(c["name"], c["verdict"], c["reason"]) for c in shown] == [(ECHO, "closed", "the session has ended")], shown


def without_a_broker_the_remedy_is_told(lan):
    host = lan.host()
    host.log_in("alice", "a")
    out = host.stile("up")
    assert out.status == 1 and "systemctl start stile-broker" in out.err and "stile broker" in out.err, out
    out = host.stile("up", "--background")
    assert out.status == 1 and "systemctl start stile-broker" in out.err, out
    assert host.stile("status").status == 0


def who_is_not_allowed_is_told(lan):
    host = lan.host()
    host.log_in("carol", "a", as_name="alice")
    host.start_broker()
    out = host.stile("up", user="carol")
    assert out.status == 1 and "/etc/stile/broker.yaml" in out.err, out


def without_a_log_in_it_waits_and_follows_log_in_and_log_out(lan):
    host = lan.host()
    host.start_broker()
    before = host.settle()
    up = host.up("alice", wait=False)
    wait_until(lambda: "Waiting for a log-in" in up.out(), "it waits")
    assert "stile login" in up.out(), up.out()
    host.assert_restored(before, 0)
    host.log_in("alice", "a")
    up.wait_up()
    assert echoes(host) == "hello"
    host.log_in("alice", "b")
    wait_until(lambda: echoes(host, "echo.b.stile.test") == "hello", "the second cluster's zone is served")
    wait_until(lambda: up.status()["dns_zones"] == ["a.stile.test", "b.stile.test"], "status shows both zones")
    assert "Logged in to b as alice" in up.out(), up.out()
    assert host.stile("logout", "--profile", "a").status == 0
    wait_until(lambda: up.status()["dns_zones"] == ["b.stile.test"], "the first zone has gone")
    assert "Logged out of a" in up.out(), up.out()
    assert echoes(host) == "unknown name"
    assert echoes(host, "echo.b.stile.test") == "hello"


def only_the_profiles_that_were_named_are_served(lan):
    host, up = start(lan, "--profile", "b", clusters=("a", "b"))
    assert up.status()["dns_zones"] == ["b.stile.test"]
    assert echoes(host, "echo.b.stile.test") == "hello"
    assert echoes(host) == "unknown name"


def a_range_in_use_is_passed_over_and_told(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.check("ip", "link", "add", "tailscale0", "type", "bridge")
    host.check("ip", "link", "set", "tailscale0", "up")
    host.check("ip", "route", "add", "100.64.0.0/10", "dev", "tailscale0")
    host.start_broker(config="ranges: [198.18.0.0/15, 10.213.0.0/16]\nallow_ranges: [10.0.0.0/8, 198.18.0.0/15]\n")
    up = host.up("alice")
    assert up.status()["ipv4_ranges"] == ["198.18.0.0/15"], up.status()
    assert "tailscale0" in up.out() and "198.18.0.0/15" in up.out(), up.out()
    assert "tailscale0" in up.status()["detail"]
    assert echoes(host) == "hello"
    assert host.down().status == 0
    host.check("ip", "route", "add", "198.18.5.0/24", "dev", "tailscale0")
    host.check("ip", "route", "add", "10.213.77.1/32", "dev", "tailscale0")
    out = host.stile("up")
    assert out.status == 1 and "--range" in out.err, out
    up = host.up("alice", "--range", "10.200.0.0/16")
    assert up.status()["ipv4_ranges"] == ["10.200.0.0/16"]
    assert host.down().status == 0
    up = host.up("alice", "--range", "198.18.0.0/15")
    assert "collides with" in up.out(), up.out()


def another_users_programs_are_refused_and_recorded(lan):
    host, up = start(lan)
    assert echoes(host, user="bob") == "ECONNREFUSED"
    assert echoes(host, user="root") == "ECONNREFUSED"
    wait_until(lambda: "owner refused" in up.out(), "the refusal is shown")
    shown = host.stile("connections", "--json").json()["connections"]
    assert {(c["name"], c["verdict"]) for c in shown} == {(ECHO, "owner_refused")}, shown
    assert {c["reason"] for c in shown} == {f"the program belongs to another user (uid {uid})" for uid in (0, 1502)}, shown
    assert echoes(host) == "hello"


def a_user_who_was_allowed_may_use_the_apps(lan):
    host, up = start(lan, "--allow-user", "bob")
    assert "every program that bob runs" in up.messages(), up.messages()
    assert echoes(host, user="bob") == "hello"
    assert echoes(host, user="carol") == "ECONNREFUSED"
    out = host.stile("up", "--allow-user", "nobody-of-this-name")
    assert out.status == 1 and "There is no user" in out.err, out


def up_again(up, count=1):
    def ready():
        if up.process.poll() is not None:
            raise Failed(f"stile up has ended: {up.out()}{up.messages()}")
        return up.out().count("started again") >= count and up.status()["state"] == "up"
    wait_until(ready, "the session has started again")


def a_killed_engine_is_replaced(lan):
    host, up = start(lan)
    assert echoes(host) == "hello"
    for count in (1, 2, 3):
        os.kill(host.broker.engines()[0], signal.SIGKILL)
        up_again(up, count)
        wait_until(lambda: echoes(host) == "hello", "apps are reached again")
    lines = [line for line in up.out().splitlines() if "started again" in line]
    assert len(lines) == 3, lines
    assert up.status()["ipv4_ranges"] == ["100.64.0.0/10"]


def a_killed_broker_takes_the_engine_along_and_the_session_starts_again(lan):
    host, up = start(lan)
    engine = host.broker.engines()[0]
    os.kill(host.broker.proper(), signal.SIGKILL)
    wait_until(lambda: not alive(engine), "the engine's end")
    up_again(up)
    wait_until(lambda: echoes(host) == "hello", "apps are reached again")


def a_broker_that_is_away_for_long_is_told_once(lan):
    host, up = start(lan)
    assert host.broker.stop() == 0
    wait_until(lambda: "as soon as it can" in up.out(), "it is told")
    time.sleep(2)
    assert up.out().count("as soon as it can") == 1, up.out()
    assert up.process.poll() is None
    host.start_broker()
    up_again(up)
    wait_until(lambda: echoes(host) == "hello", "apps are reached again")
    assert up.kill(signal.SIGINT) == 0


def changed_resolvers_of_the_host_are_followed(lan):
    host, up = start(lan, "--debug", dns="resolved")

    def upstream():
        return host.command("dig", "+short", "+time=2", "+tries=1", "@100.64.0.2", "text.a.stile.test", "TXT").out.strip()
    assert upstream() == '"from upstream"', upstream()
    host.check("resolvectl", "dns", "eth0", "192.0.2.99")
    wait_until(lambda: "resolver 192.0.2.99" in up.messages(), "the engine hears of the resolver")
    assert upstream() != '"from upstream"'
    host.check("resolvectl", "dns", "eth0", "2001:db8:1::1")
    wait_until(lambda: "resolver 2001:db8:1::1" in up.messages()[up.messages().rindex("resolver 192.0.2.99"):], "and of the next")
    assert upstream() == '"from upstream"', upstream()
    assert echoes(host) == "hello"


def two_users_have_zones_of_their_own(lan):
    host, alices = start(lan)
    host.log_in("bob", "b")
    bobs = host.up("bob")
    assert bobs.status()["interface"] == "stile1", bobs.status()
    assert "100.64.0.0/10" in bobs.out() and bobs.status()["ipv4_ranges"] != ["100.64.0.0/10"], bobs.out()
    assert echoes(host, user="alice") == "hello"
    assert echoes(host, "echo.b.stile.test", user="bob") == "hello"
    assert echoes(host, "echo.b.stile.test", user="alice") == "ECONNREFUSED"
    assert echoes(host, user="bob") == "ECONNREFUSED"
    assert alices.kill(signal.SIGINT) == 0
    assert echoes(host, "echo.b.stile.test", user="bob") == "hello"
    assert bobs.kill(signal.SIGINT) == 0


def a_zone_that_is_taken_is_refused_with_the_remedy(lan):
    host, _ = start(lan)
    host.log_in("bob", "a")
    out = host.stile("up", user="bob")
    assert out.status == 1 and "a.stile.test" in out.err and "stile run" in out.err, out
    host.stile("logout", "--all", user="bob")
    host.log_in("bob", "b")
    bobs = host.up("bob")
    host.log_in("bob", "a")  # while it is up: what was there stays
    wait_until(lambda: "New zones are left out" in bobs.out(), "the refusal is told")
    assert echoes(host, "echo.b.stile.test", user="bob") == "hello"


def each_family_alone_is_enough(lan):
    for families, ipv6 in (((4,), True), ((4,), False), ((6,), True)):
        host, up = start(lan, families=families, ipv6=ipv6)
        watch = Stopwatch()
        assert echoes(host) == "hello", (families, ipv6)
        assert watch.seconds() < 2, (families, ipv6)
        for family in ("-4", "-6"):
            found = host.command("getent", f"ahostsv{family[1]}", ECHO).out
            wanted = family == "-4" or ipv6
            assert bool([line for line in found.splitlines() if "::ffff:" not in line]) == wanted, (families, ipv6, family, found)
        assert up.kill(signal.SIGINT) == 0
        host.stop()


def an_expired_log_in_is_told_once_and_works_again_after_the_next(lan):
    host, up = start(lan)
    assert echoes(host) == "hello"
    expire(host, lan)
    # A file in a profile is looked at with the next question.
    wait_until(lambda: echoes(host) == "ECONNREFUSED", "the log-in counts no more")
    wait_until(lambda: "stile login --profile a" in up.out(), "it is told")
    assert echoes(host) == "ECONNREFUSED"
    assert up.out().count("  The log-in to a as alice has expired") == 1, up.out()
    host.log_in("alice", "a")
    wait_until(lambda: echoes(host) == "hello", "apps are reached again")
    assert "Logged in to a as alice again" in up.out(), up.out()


def expire(host, lan):
    """Puts a certificate in the profile's place that is over, made by the cluster's own CA."""
    profile = host.path("/home/alice/.config/stile/profiles/a")
    ca = os.path.join(lan.clusters["a"].dir, "ca")
    cert, new = os.path.join(profile, "cert.pem"), os.path.join(profile, "cert.pem.new")
    request = subprocess.run(["openssl", "x509", "-x509toreq", "-in", cert, "-signkey", os.path.join(profile, "key.pem"),
                              "-copy_extensions", "copyall"], check=True, capture_output=True).stdout
    subprocess.run(["openssl", "x509", "-req", "-CA", os.path.join(ca, "ca.pem"), "-CAkey", os.path.join(ca, "ca.key"), "-days",
                    "-1", "-copy_extensions", "copyall", "-set_serial", "77", "-out", new], input=request, check=True,
                   capture_output=True)
    os.chmod(new, 0o600)
    os.chown(new, os.stat(profile).st_uid, os.stat(profile).st_gid)
    os.rename(new, cert)


def a_range_that_the_administrator_does_not_allow_gives_way_to_his(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker(config="ranges: [10.213.0.0/16]\nallow_ranges: [10.0.0.0/8]\n")
    up = host.up("alice")
    assert up.status()["ipv4_ranges"] == ["10.213.0.0/16"], up.status()
    assert "policy" in up.out(), up.out()
    assert echoes(host) == "hello"
    out = host.down()
    assert out.status == 0, out
    out = host.stile("up", "--range", "100.64.0.0/10")
    assert out.status == 1 and "allow_ranges" in out.err, out


def a_permission_that_is_withdrawn_ends_the_session_and_is_told(lan):
    host, up = start(lan)
    host.broker.stop()
    host.start_broker(users=("bob",))
    assert up.process.wait(PATIENCE_S) == 1
    assert "/etc/stile/broker.yaml" in up.messages(), up.messages()


def what_others_delete_is_repaired_and_told(lan):
    host, up = start(lan)
    before = host.check("ip", "-o", "addr", "show", "dev", "stile0", "scope", "global")
    host.check("ip", "addr", "flush", "dev", "stile0", "scope", "global")
    wait_until(lambda: "100.64.0.1" in up.out(), "the repair is told")
    wait_until(lambda: "100.64.0.1" in host.check("ip", "-o", "addr", "show", "dev", "stile0") and echoes(host) == "hello",
               "all is back")
    assert len(host.check("ip", "-o", "addr", "show", "dev", "stile0", "scope", "global").splitlines()) == len(before.splitlines())


def another_executable_is_refused_with_the_remedy(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    host.check("cp", "/opt/stile/stile", "/opt/stile/other")
    out = host.as_user("alice", "/opt/stile/other", "up")
    assert out.status == 1 and "restart" in out.err, out


def a_profile_that_is_not_there_is_waited_for(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    up = host.up("alice", "--profile", "b", wait=False)
    wait_until(lambda: "Waiting for a log-in" in up.out(), "it waits")
    assert "stile login" in up.out() and " b" in up.out(), up.out()
    host.log_in("alice", "b")
    assert up.wait_up()["dns_zones"] == ["b.stile.test"]


def a_reader_that_does_not_read_holds_nothing_up(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    process = host.spawn([STILE, "up"], "alice", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    wait_until(lambda: echoes(host) == "hello", "it is up")
    program = host.program()
    for _ in range(120):
        assert program.call("connect", host=ECHO, port=7001, timeout=5)["verdict"] == "ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def in_the_background_it_goes_on_alone(lan):
    host = lan.host()
    host.log_in("alice", "a")
    host.start_broker()
    watch = Stopwatch()
    out = host.stile("up", "--background", "--mtu", "1400")
    assert re.search(r"stile0 .* the host$", host.stile("status").out, re.M), host.stile("status")
    assert out.status == 0 and "a.stile.test" in out.out, out
    assert "`stile down`" in out.out and "Ctrl-C" not in out.out, out
    assert watch.seconds() < 8
    assert "mtu 1400" in host.check("ip", "link", "show", "stile0")
    assert echoes(host) == "hello"
    log = "/home/alice/.config/stile/up.log"
    wait_until(lambda: ECHO in host.read(log), "the log has the connection")
    assert os.stat(host.path(log)).st_mode & 0o777 == 0o600
    out = host.down()
    assert out.status == 0, out
    assert not host.processes("stile", "up")
    assert host.command("ip", "link", "show", "stile0").status != 0


def at_log_in_it_starts_with_the_same_options_until_down(lan):
    host, up = start(lan, "--range", "10.200.0.0/16", "--profile", "a", clusters=("a", "b"), config=ALLOW)
    marker = host.path("/home/alice/.config/stile/autostart")
    assert os.path.exists(marker)
    assert up.kill(signal.SIGTERM) == 0
    assert os.path.exists(marker)
    host.broker.stop()
    up = host.up("alice", "--at-login", wait=False)
    time.sleep(1)
    assert up.process.poll() is None, up.messages()  # it waits for the broker
    host.start_broker(config=ALLOW)
    status = up.wait_up()
    assert status["ipv4_ranges"] == ["10.200.0.0/16"] and status["dns_zones"] == ["a.stile.test"], status
    out = host.down()
    assert out.status == 0 and "won't start" in out.out, out
    assert not os.path.exists(marker)


def events_are_json_lines(lan):
    host, up = start(lan, "--json")
    assert echoes(host) == "hello"
    wait_until(lambda: any(e["event"] == "connection" and e["ended_us"] for e in up.events()), "a connection's end")
    first = up.events()[0]
    assert first["event"] == "up" and first["interface"] == "stile0" and first["ipv4_ranges"] == ["100.64.0.0/10"], first
    assert first["clusters"][0]["zones"] == ["a.stile.test"], first
    assert up.kill(signal.SIGINT) == 0
    assert up.events()[-1]["event"] == "down"


def one_family_alone_if_asked_for(lan):
    host, up = start(lan, "--ipv6-only", families=(4, 6))
    assert host.command("ip", "-4", "-o", "addr", "show", "dev", "stile0").out == ""
    assert host.command("ip", "-6", "-o", "addr", "show", "dev", "stile0", "scope", "global").out != ""
    assert ":" in host.program().call("resolve", name=ECHO)[0]
    assert echoes(host) == "hello"


def debug_lines_of_the_engine_are_in_the_log(lan):
    host, up = start(lan, "--debug")
    assert echoes(host) == "hello"
    wait_until(lambda: re.search(r" debug engine: connection: .*name=echo.a.stile.test", up.messages()), "the engine's line")
    assert " debug agent: " in up.messages()


def status_shows_the_session_and_the_service(lan):
    host, _ = start(lan)
    out = host.stile("status").out
    assert re.search(r"stile0 +100.64.0.0/10 +fd\S+::/48 +the host", out), out
    assert re.search(r"Service: version \S+, pid \d+, since .*DNS by file, 1 session of all users", out), out
    service = host.stile("status", "--json").json()["service"]
    assert service["running"] and service["sessions"] == 1, service


if __name__ == "__main__":
    main(__file__, *[test for test in list(globals().values()) if callable(test) and getattr(test, "__code__", None)
                     and test.__module__ == "__main__" and test.__code__.co_varnames[:1] == ("lan",) and test.__name__ not in ("start", "expire")])
