#!/usr/bin/python3
"""`stile broker`, `stile broker check` and `stile cleanup` as an administrator meets them."""

import os
import re
import signal
import socket
import subprocess

from lib.harness import main
from lib.stile import SOCKET, STILE, Broker
from common.process import PATIENCE_S, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT = os.path.join(HERE, "..", "..", "packaging", "systemd", "system", "stile-broker.service.in")


def reaches(host, lan, user="alice"):
    done = host.as_user(user, "getent", "hosts", lan.clusters["a"].app("echo"))
    return done.status == 0


def capabilities_of_the_unit():
    with open(UNIT, encoding="utf-8") as file:
        line = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.MULTILINE).group(1)
    return [name.removeprefix("CAP_").lower() for name in line.split()]


class Confined(Broker):
    """The broker with the capabilities of its unit and without a supervisor."""

    def __init__(self, host, capabilities):
        bounding = ",".join(["-all"] + ["+" + name for name in capabilities])
        self.confinement = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={bounding}", "--"]
        super(Broker, self).__init__(host, "broker", [*self.confinement, STILE, "broker", "--no-supervisor"], "root")


def give_away_resolv_conf(host):
    """What comes back belongs to whom it did."""
    if host.dns == "file":
        os.chown(host.path("/etc/resolv.conf"), 5, 5)


def confined_session(lan, capabilities, dns):
    host = lan.host(dns=dns)
    give_away_resolv_conf(host)
    before = host.settle()
    host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
    host.broker = Confined(host, capabilities)
    host.broker.wait_for_socket()
    host.log_in("alice")
    host.up("alice")
    assert reaches(host, lan)
    assert host.down("alice").status == 0
    host.assert_restored(before)
    assert host.broker.stop() == 0


def the_capabilities_of_the_unit_are_enough(lan):
    for dns in ("file", "resolved", "networkmanager", "resolvconf", "openresolv"):
        confined_session(lan, capabilities_of_the_unit(), dns)


def these_capabilities_cant_be_left_out(lan):
    """Of the others, setpcap empties an engine's bounding set, and kill ends one that doesn't end by itself."""
    all_of_them = capabilities_of_the_unit()
    for left_out in ("net_admin", "chown", "setuid", "setgid", "sys_ptrace"):
        host = lan.host()
        give_away_resolv_conf(host)
        host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
        host.broker = Confined(host, [name for name in all_of_them if name != left_out])
        host.broker.wait_for_socket()
        host.log_in("alice")
        assert host.up("alice", wait=False).process.wait(PATIENCE_S) == 1, f"it works without {left_out}"
        host.stop()


def a_service_manager_is_told_when_it_serves_and_when_it_stops(lan):
    host = lan.host()
    path = host.path("/run/notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(PATIENCE_S)
        broker = host.start_broker(env={"NOTIFY_SOCKET": "/run/notify"})
        assert sock.recv(100) == b"READY=1"
        assert broker.proper() == broker.process.pid, "a supervisor beside a service manager"
        assert broker.stop() == 0
        assert sock.recv(100) == b"STOPPING=1"


def a_terminal_that_is_closed_ends_it_in_order(lan):
    for number in (signal.SIGHUP, signal.SIGINT):
        host = lan.host()
        before = host.settle()
        broker = host.start_broker()
        host.log_in("alice")
        up = host.up("alice")
        assert broker.kill(number) == 0, broker.messages()
        host.assert_restored(before)
        assert not os.path.exists(host.path(SOCKET))
        up.kill()


def what_cant_start_says_so_and_isnt_started_again_and_again(lan):
    host = lan.host()
    broker = host.start_broker(config="ranges: [127.0.0.0/8]\ndns: bind\n", wait=False)
    assert broker.process.wait(PATIENCE_S) == 78
    said = broker.messages()
    assert "broker.yaml:2:10: 127.0.0.0/8 overlaps loopback" in said and "broker.yaml:3:6: dns must be" in said, said
    assert said.count("overlaps loopback") == 1, said


def a_killed_broker_is_started_again_sooner_at_first(lan):
    host = lan.host()
    broker = host.start_broker()
    for _ in range(2):
        old = broker.proper()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: broker.proper() not in (old, broker.process.pid), "another broker")
        wait_until(lambda: host.stile("status", user="root").status == 0, "it serves")
    assert broker.stop() == 0


def check_tells_what_the_policy_allows_or_what_is_wrong(lan):
    host = lan.host()
    done = host.stile("broker", "check", user="alice")
    assert done.status == 0 and "only root" in done.out, done
    host.write("/etc/stile/broker.yaml", "allow_users: [alice, nobody-knows]\nranges: [10.1.0.0/16]\nzones: []\n")
    done = host.stile("broker", "check", user="alice")
    assert done.status == 1
    lines = done.err.splitlines()
    assert lines[0].startswith("/etc/stile/broker.yaml:1:22: there is no user \"nobody-knows\""), lines
    assert "broker.yaml:3:1:" in lines[1] and len(lines) == 2, lines
    done = host.stile("broker", "check", "--json", user="alice")
    assert done.status == 1 and len(done.json()["problems"]) == 2 and not done.json()["ok"]
    host.write("/etc/stile/broker.yaml", "allow_users: [alice, \"@bob\"]\nranges: [10.1.0.0/16]\n")
    done = host.stile("broker", "check", "--json", user="alice")
    assert done.status == 0 and done.json()["policy"]["ranges"] == ["10.1.0.0/16"], done
    assert done.json()["policy"]["allow_uids"] == [1501]


def orphan(host, name):
    host.check("ip", "tuntap", "add", name, "mode", "tun")
    host.check("ip", "link", "set", name, "up")
    host.check("ip", "route", "add", "100.99.0.0/16", "dev", name, "proto", "115")


def cleanup_removes_what_no_session_has_and_leaves_those_that_run(lan):
    host = lan.host()
    host.start_broker()
    host.log_in("alice")
    host.up("alice")
    running = host.settle()
    orphan(host, "stile9")
    refused = host.stile("cleanup", user="alice")
    assert refused.status == 1 and "sudo stile cleanup" in refused.err, refused
    done = host.stile("cleanup", "--json", user="root")
    assert done.status == 0 and done.json()["by"] == "broker" and done.json()["failed"] == 0, done
    lines = "\n".join(done.json()["lines"])
    assert "the route 100.99.0.0/16" in lines and "the network interface stile9" in lines, lines
    host.assert_restored(running)
    assert reaches(host, lan)


def cleanup_works_by_itself_and_says_when_nothing_was_left(lan):
    host = lan.host()
    before = host.settle()
    orphan(host, "stile9")
    done = host.stile("cleanup", user="root")
    assert done.status == 0 and "Removed the network interface stile9" in done.out, done
    host.assert_restored(before)
    done = host.stile("cleanup", user="root")
    assert done.status == 0 and "Nothing was left" in done.out, done


def a_socket_that_isnt_roots_is_noticed(lan):
    host = lan.host()
    fake = ("import socket, os\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.bind('/tmp/fake')\n"
            "os.chmod('/tmp/fake', 0o666)\ns.listen(5)\nprint('ready', flush=True)\nc, _ = s.accept()\nprint(c.recv(100), flush=True)\n")
    impostor = host.spawn(["python3", "-c", fake], user="bob", stdout=subprocess.PIPE)
    assert impostor.stdout.readline() == b"ready\n"
    host.log_in("alice")
    done = host.stile("up", user="alice", env={"STILE_BROKER_SOCKET": "/tmp/fake"})
    assert done.status != 0 and "not by root" in done.err, done
    assert impostor.stdout.readline() == b"b''\n", "the impostor was told something"


def a_squatted_directory_is_refused(lan):
    host = lan.host()
    host.check("sh", "-c", "mkdir -p /tmp/mine && rm -rf /run/stile && ln -s /tmp/mine /run/stile")
    broker = host.start_broker(wait=False)
    assert broker.process.wait(PATIENCE_S) == 1
    assert "/run/stile is not a directory of its own" in broker.messages(), broker.messages()


def the_log_names_users_by_uid_and_the_interface(lan):
    host = lan.host()
    broker = host.start_broker()
    host.log_in("alice")
    host.up("alice")
    broker.wait_message("Session of uid 1501 on stile0")
    assert host.down("alice").status == 0
    broker.wait_message("The session of uid 1501 on stile0 has ended")


def an_engine_has_nothing_of_the_brokers(lan):
    host = lan.host()
    broker = host.start_broker()
    host.log_in("alice")
    host.up("alice")
    engine = broker.engines()[0]
    with open(f"/proc/{engine}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert set(status["Uid"].split()) == {"61120"} and set(status["Gid"].split()) == {"61120"}, status
    assert status["Groups"].strip() == "" and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
    assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), status


if __name__ == "__main__":
    main(__file__,
         the_capabilities_of_the_unit_are_enough,
         these_capabilities_cant_be_left_out,
         a_service_manager_is_told_when_it_serves_and_when_it_stops,
         a_terminal_that_is_closed_ends_it_in_order,
         what_cant_start_says_so_and_isnt_started_again_and_again,
         a_killed_broker_is_started_again_sooner_at_first,
         check_tells_what_the_policy_allows_or_what_is_wrong,
         cleanup_removes_what_no_session_has_and_leaves_those_that_run,
         cleanup_works_by_itself_and_says_when_nothing_was_left,
         a_socket_that_isnt_roots_is_noticed,
         a_squatted_directory_is_refused,
         the_log_names_users_by_uid_and_the_interface,
         an_engine_has_nothing_of_the_brokers)
