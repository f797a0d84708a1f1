#!/usr/bin/python3
"""What `make install` installs, on a host whose first process is systemd: the broker's unit."""

import os
import re
import signal

from lib.harness import main
from lib.host import USERS
from lib.stile import SOCKET
from lib.systemd import UNIT, journal, show
from common.process import alive, wait_until

WEB = "http://web.a.stile.test/"
WORD = "stile"
POLICY_UNIT = "stile-policy-watch.service"
# What systemd-analyze finds open to a broker that is taken over, of 10.
EXPOSURE = 3.2
ENGINE_UIDS = range(61120, 61184)


def session(lan, dns="resolved", **how):
    """A host with the broker's unit started and a session of alice's; how the host was before."""
    host = lan.host(dns=dns, systemd=True, **how)
    host.check("systemctl", "enable", UNIT)
    host.log_in("alice", "a")
    before = host.settle()
    host.start_broker()
    assert os.path.exists(host.path(SOCKET)), "systemd was told that it is ready before it was"
    return host, host.up("alice"), before


def curl(host, *options, **how):
    return WORD in host.as_user("alice", "curl", "-sS", "-m", "5", *options, WEB, **how).out


def reaches_again(host):
    # Or libc waits 5 s for the answer to a question that was lost.
    hasty = {"RES_OPTIONS": "timeout:1 attempts:1"}
    wait_until(lambda: curl(host, env=hasty), "the web page is reached again", step=0.2)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def broker_is_confined(host):
    status = status_of(host.broker.proper())
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) != int(status_of(host.init)["CapEff"], 16), status


def engine_is_in_the_unit_under_a_uid_of_its_own(host):
    [engine] = host.broker.engines()
    status = status_of(engine)
    uids = {int(uid) for uid in status["Uid"].split()}
    assert len(uids) == 1 and uids < set(ENGINE_UIDS), status
    assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, status
    with open(f"/proc/{engine}/cgroup", encoding="ascii") as file:
        assert f"/{UNIT}" in file.read()


def journal_has_the_log(host):
    entries = journal(host, "-u", UNIT, "SYSLOG_IDENTIFIER=stile")
    ready = next(e for e in entries if e["MESSAGE"].startswith("Serving on"))
    wanted = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "stile", "STILE_COMPONENT": "broker", "_UID": "0", "_SYSTEMD_UNIT": UNIT,
              "_TRANSPORT": "journal"}
    assert wanted.items() <= ready.items(), ready
    began = next(e for e in entries if e["MESSAGE"].startswith("Session of uid"))
    assert began["STILE_UID"] == str(USERS["alice"]), began
    warnings = [e["MESSAGE"] for e in entries if int(e["PRIORITY"]) < 6]
    assert not warnings, warnings


def the_unit_serves_under_its_hardening(lan):
    host, _, before = session(lan)
    found = host.broker.show("ActiveState", "Type", "NRestarts", "UnitFileState")
    assert found == {"ActiveState": "active", "Type": "notify", "NRestarts": "0", "UnitFileState": "enabled"}, found
    assert curl(host, "-4") and curl(host, "-6")
    broker_is_confined(host)
    engine_is_in_the_unit_under_a_uid_of_its_own(host)
    assert host.check("cat", "/proc/sys/net/ipv6/conf/stile0/accept_ra") == "0\n"
    journal_has_the_log(host)
    assert host.stile("cleanup", user="root").status == 0
    assert curl(host)
    diag = host.stile("diag", "--json").json()
    problems = [f for c in diag["checks"] for f in c["findings"] if f["severity"] == "problem" and not f["id"].startswith("run-")]
    assert not problems, problems
    log = host.stile("logs").out
    assert " broker: " in log and " agent: " in log, log
    assert host.down().status == 0
    host.assert_restored(before)


def each_back_end_works_under_the_hardening(lan):
    for dns in ("file", "networkmanager", "resolvconf", "openresolv"):
        host, up, before = session(lan, dns)
        assert curl(host), host.broker.messages()
        assert "198.51.100.77" in host.check("getent", "ahosts", "outside.test")
        journal_has_the_log(host)
        host.check("systemctl", "stop", UNIT)
        host.assert_restored(before, 0)
        up.stop()
        host.stop()


def stopped_it_restores_the_host_and_started_the_session_comes_back(lan):
    host, up, before = session(lan)
    assert curl(host)
    engines = host.broker.engines()
    host.check("systemctl", "stop", UNIT)
    host.assert_restored(before, 0)
    assert not any(alive(pid) for pid in engines)
    assert host.broker.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert not os.path.exists(host.path(SOCKET)) and up.process.poll() is None
    host.check("systemctl", "start", UNIT)
    reaches_again(host)
    engines = host.broker.engines()
    host.check("systemctl", "restart", UNIT)
    assert not any(alive(pid) for pid in engines)
    reaches_again(host)
    assert up.stop() == 0
    host.assert_restored(before)


def killed_it_is_started_again_and_the_session_comes_back(lan):
    for dns in ("resolved", "file"):
        host, up, before = session(lan, dns)
        broker, engine = host.broker.proper(), host.broker.engines()[0]
        os.kill(broker, signal.SIGKILL)
        wait_until(lambda: not alive(engine), "the end of the engine")
        reaches_again(host)
        assert host.broker.proper() != broker and host.broker.show("NRestarts") == {"NRestarts": "1"}
        os.kill(host.broker.engines()[0], signal.SIGKILL)
        reaches_again(host)
        assert up.stop() == 0
        host.assert_restored(before)
        host.stop()


def killed_with_its_engines_and_agents_it_restores_the_host(lan):
    host, up, before = session(lan, "file")
    up.process.send_signal(signal.SIGSTOP)
    host.check("systemctl", "kill", "--signal=KILL", UNIT)
    up.kill()
    wait_until(lambda: host.broker.show("NRestarts") == {"NRestarts": "1"}, "the restart")
    host.assert_restored(before)
    # Else nothing was left, and the test proves nothing.
    assert "Removed the DNS settings of stile0" in host.broker.messages(), host.broker.messages()


def a_wrong_policy_fails_the_unit_and_the_journal_says_where(lan):
    host = lan.host(systemd=True)
    host.write("/etc/stile/broker.yaml", "allow_users: [alice]\nallow_zone: [corp.example]\n")
    assert host.command("systemctl", "start", UNIT).status != 0
    wait_until(lambda: show(host, UNIT, "ActiveState")["ActiveState"] == "failed", "the unit has failed")
    errors = [e["MESSAGE"] for e in journal(host, "-u", UNIT, "SYSLOG_IDENTIFIER=stile") if int(e["PRIORITY"]) <= 3]
    assert len(errors) == 1 and "/etc/stile/broker.yaml:2:1" in errors[0] and "allow_zone" in errors[0], errors
    assert show(host, UNIT, "NRestarts", "ExecMainStatus") == {"NRestarts": "0", "ExecMainStatus": "78"}
    host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
    host.check("systemctl", "start", UNIT)


def what_was_left_is_put_back_by_a_broker_that_cant_serve(lan):
    for wrong in ("allow_zone: []\n", "dns: networkmanager\n"):
        host, up, before = session(lan, "file")
        policy = host.read("/etc/stile/broker.yaml")
        host.write("/etc/stile/broker.yaml", policy + wrong)
        for pid in (host.broker.proper(), up.process.pid):
            os.kill(pid, signal.SIGKILL)
        host.assert_restored(before)
        wait_until(lambda: host.broker.show("ActiveState") != {"ActiveState": "active"}, "the broker fails")
        assert "Removed the DNS settings of stile0" in host.broker.messages()
        host.stop()


def exposure_is_no_more_than_it_was(lan):
    host = lan.host(systemd=True)
    out = host.check("systemd-analyze", "security", "--no-pager", UNIT)
    found = float(re.search(r"Overall exposure level for .*: ([0-9.]+) ", out).group(1))
    print(f"# systemd-analyze security: {found} (at most {EXPOSURE})")
    assert found <= EXPOSURE, out


RULES = """{"Rules": [{"Labels": {"app": "web"}, "Policies": [{"Type": "L4WFPPROXY", "Settings": {"OutboundProxyPort": "8000",
"UserID": "1337", "FilterTuple": {"Protocols": "6,17"}}}]}]}"""
# The same hardening, for one change instead of a watch.
APPLY = """[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart={stile} policy apply /run/netns/blue --outbound-port 8000 --protocol tcp,udp --uid 1337
"""
POLICY_EXPOSURE = 4.5


def the_policy_watch_serves_under_its_hardening(lan):
    host = lan.host(systemd=True)
    host.write("/etc/stile/rules.json", RULES)
    host.check("systemctl", "start", POLICY_UNIT)

    def messages():
        return [e["MESSAGE"] for e in journal(host, "-u", POLICY_UNIT, "SYSLOG_IDENTIFIER=stile")]
    wait_until(lambda: any("No container runtime" in m for m in messages()), "it looks for a runtime")
    host.write("/etc/stile/rules.json", "[")
    host.check("systemctl", "reload", POLICY_UNIT)
    wait_until(lambda: any("rules of before" in m and "line 1" in m for m in messages()), "it has read the wrong rules")
    assert show(host, POLICY_UNIT, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    host.command("systemctl", "restart", POLICY_UNIT)
    wait_until(lambda: show(host, POLICY_UNIT, "ActiveState")["ActiveState"] == "failed", "the unit has failed")
    assert show(host, POLICY_UNIT, "NRestarts", "ExecMainStatus") == {"NRestarts": "0", "ExecMainStatus": "78"}


def policies_can_be_applied_under_the_hardening_of_their_unit(lan):
    host = lan.host(systemd=True)
    host.write("/etc/stile/rules.json", RULES)
    host.check("ip", "netns", "add", "blue")
    host.check("ip", "-n", "blue", "link", "set", "lo", "up")
    stile = show(host, POLICY_UNIT, "ExecStart")["ExecStart"].split("path=")[1].split()[0]
    host.write(f"/etc/systemd/system/{POLICY_UNIT}.d/test.conf", APPLY.format(stile=stile))
    host.check("systemctl", "daemon-reload")
    started = host.command("systemctl", "start", POLICY_UNIT)
    assert started.status == 0, journal(host, "-u", POLICY_UNIT)
    ruleset = host.check("ip", "netns", "exec", "blue", "nft", "list", "ruleset")
    assert "stile_policy" in ruleset and "8000" in ruleset, ruleset
    assert "57110" in host.check("ip", "-n", "blue", "rule")
    out = host.check("systemd-analyze", "security", "--no-pager", POLICY_UNIT)
    found = float(re.search(r"Overall exposure level for .*: ([0-9.]+) ", out).group(1))
    print(f"# systemd-analyze security: {found} (at most {POLICY_EXPOSURE})")
    assert found <= POLICY_EXPOSURE, out


if __name__ == "__main__":
    main(__file__, the_unit_serves_under_its_hardening, each_back_end_works_under_the_hardening,
         stopped_it_restores_the_host_and_started_the_session_comes_back,
         killed_it_is_started_again_and_the_session_comes_back, killed_with_its_engines_and_agents_it_restores_the_host,
         a_wrong_policy_fails_the_unit_and_the_journal_says_where, what_was_left_is_put_back_by_a_broker_that_cant_serve,
         exposure_is_no_more_than_it_was, the_policy_watch_serves_under_its_hardening,
         policies_can_be_applied_under_the_hardening_of_their_unit, clusters=("a",), prepare=lambda lan: lan.start_nginx(WORD))
