#!/usr/bin/python3
"""stile logs: agent, engine and broker in one, for whom it concerns; and logs in the journal."""

import json
import os
import shutil
import stat
import subprocess

from lib.harness import main
from common.process import Skip, wait_until

JOURNALD = "/usr/lib/systemd/systemd-journald"


def session(lan, *options):
    host = lan.host()
    host.log_in("alice")
    host.start_broker()
    host.up("alice", *options)
    host.program("alice").call("connect", host="192.0.2.1", port=7443)
    return host


def agent_engine_and_broker_are_one_log_in_order(lan):
    host = session(lan, "--debug")
    result = host.stile("logs", "--json")
    assert result.status == 0, result
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {line["component"] for line in lines} >= {"agent", "engine", "broker"}, result
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert any(line["level"] == "debug" and line["component"] == "engine" for line in lines), result
    assert all("pid" in line for line in lines if line["component"] != "broker"), result
    text = host.stile("logs")
    assert text.status == 0 and len(text.out.splitlines()) >= len(lines), text
    assert " info broker: " in text.out, text


def what_was_not_written_is_kept(lan):
    host = session(lan)
    log = host.stile("logs").out
    assert " debug agent: " in log, log
    assert " debug " not in host.broker.messages()
    assert " debug broker: " in host.stile("logs", user="root").out


def a_user_sees_of_the_broker_s_log_what_is_about_him(lan):
    host = session(lan)
    host.stile("status", user="bob")
    alices = [line for line in host.stile("logs").out.splitlines() if " broker: " in line]
    assert alices and all("uid=1501" in line for line in alices), alices
    bobs = [line for line in host.stile("logs", user="bob").out.splitlines()]
    assert bobs and all("uid=1502" in line and "1501" not in line for line in bobs), bobs
    everything = host.stile("logs", user="root").out
    assert "uid=1501" in everything and "uid=1502" in everything and "Serving on" in everything, everything


def a_saved_log_is_the_user_s_alone_and_overwrites_nothing(lan):
    host = session(lan)
    saved = host.stile("logs", "--save", "/home/alice/log.txt")
    assert saved.status == 0 and saved.out == "", saved
    status = os.stat(host.path("/home/alice/log.txt"))
    assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == 1501, oct(status.st_mode)
    before = host.read("/home/alice/log.txt")
    assert " agent: " in before and " broker: " in before
    again = host.stile("logs", "--save", "/home/alice/log.txt")
    assert again.status == 1 and "log.txt" in again.err, again
    assert host.read("/home/alice/log.txt") == before
    os.symlink("/home/alice/elsewhere", host.path("/home/alice/link"))
    assert host.stile("logs", "--save", "/home/alice/link").status == 1
    assert not os.path.exists(host.path("/home/alice/elsewhere"))


def redacted_logs_have_no_names_and_addresses(lan):
    host = session(lan, "--debug")
    host.command("dig", "+tries=1", "+time=1", "@100.64.0.2", "echo.a.stile.test", user="alice")
    plain = host.stile("logs").out
    assert "a.stile.test" in plain, plain
    redacted = host.stile("logs", "--redact").out
    assert len(redacted.splitlines()) >= len(plain.splitlines())
    for secret in ("stile.test", "alice", "192.0.2.", "100.64.", "2001:db8", host.name):
        assert secret not in redacted, [line for line in redacted.splitlines() if secret in line]
    assert " agent: " in redacted and "T" in redacted[:11], redacted[:200]


def nothing_secret_is_logged(lan):
    host = session(lan, "--debug")
    key = subprocess.run(["find", host.path("/home/alice/.config/stile"), "-name", "*key*"], stdout=subprocess.PIPE, text=True,
                         check=False).stdout.split()
    log = host.stile("logs").out + host.stile("logs", user="root").out
    assert lan.password not in log and "PRIVATE KEY" not in log
    for path in key:
        with open(path, encoding="ascii", errors="replace") as file:
            assert not any(line.strip() in log for line in file.read().splitlines()[1:-1] if len(line) > 20), path


def without_anything_running_it_says_why_there_is_no_log(lan):
    host = lan.host()
    host.log_in("alice")
    result = host.stile("logs")
    assert result.status == 1 and "Nothing is running" in result.err and "stile up" in result.err, result


def journald(host):
    """Debian's own journald on a host; where its journal is."""
    if not os.access(JOURNALD, os.X_OK):
        raise Skip("there is no systemd-journald")
    if host.command("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup").status != 0:
        raise Skip("journald needs cgroups, which can't be mounted here")
    host.check("mkdir", "-p", "/run/systemd/journal", "/run/log/journal")
    process = host.spawn([JOURNALD], stdout=open(host.log_path("journald"), "wb"), stderr=subprocess.STDOUT,
                         env={"SYSTEMD_LOG_TARGET": "console"})
    wait_until(lambda: process.poll() is not None or host.command("systemd-cat", "echo", "up").status == 0, "journald")
    assert process.poll() is None, host.log_path("journald")


def entries(host, **fields):
    """What journalctl shows of entries with these fields."""
    words = [f"{name}={value}" for name, value in fields.items()]
    out = host.command("journalctl", "-D", "/run/log/journal", "-o", "json", *words).out
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def the_broker_s_lines_are_in_a_real_journal_with_their_fields(lan):
    if not shutil.which("systemd-cat"):
        raise Skip("there is no systemd-cat")
    host = lan.host()
    host.log_in("alice")
    journald(host)
    host.write("/etc/stile/broker.yaml", "allow_users: [alice]\n")
    # As systemd would: standard error is a stream of the journal's, and JOURNAL_STREAM says so.
    command = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec /opt/stile/stile broker"
    broker = host.spawn(["systemd-cat", "sh", "-c", command])
    wait_until(lambda: os.path.exists(host.path("/run/stile/broker.sock")), "the broker's socket")
    host.up("alice")
    found = wait_until(lambda: [e for e in entries(host, STILE_COMPONENT="broker") if "Session of uid" in e["MESSAGE"]],
                       "the session in the journal")
    entry = found[0]
    assert entry["PRIORITY"] == "6" and entry["SYSLOG_IDENTIFIER"] == "stile" and entry["STILE_UID"] == "1501", entry
    assert entry["_TRANSPORT"] == "journal", entry
    assert broker.poll() is None


def another_form_can_be_asked_for_under_the_journal(lan):
    if not shutil.which("systemd-cat"):
        raise Skip("there is no systemd-cat")
    host = lan.host()
    journald(host)
    host.command("systemd-cat", "/opt/stile/stile", "broker", "--log-format", "json", user="alice")
    found = wait_until(lambda: [e for e in entries(host) if "only root may" in str(e.get("MESSAGE"))], "a line in the journal")
    assert found[0]["_TRANSPORT"] == "stdout", found


if __name__ == "__main__":
    main(__file__, agent_engine_and_broker_are_one_log_in_order, what_was_not_written_is_kept,
         a_user_sees_of_the_broker_s_log_what_is_about_him, a_saved_log_is_the_user_s_alone_and_overwrites_nothing,
         redacted_logs_have_no_names_and_addresses, nothing_secret_is_logged,
         without_anything_running_it_says_why_there_is_no_log, the_broker_s_lines_are_in_a_real_journal_with_their_fields,
         another_form_can_be_asked_for_under_the_journal)
