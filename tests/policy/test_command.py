#!/usr/bin/python3
"""`stile policy`, and hcnproxyctl, as a person types them: what they print, take, refuse and leave behind, in network namespaces that
the test makes."""

import fcntl
import json
import os
import re
import secrets
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from common.harness import run_tests  # noqa: E402
from common.process import Skip, wait_until  # noqa: E402
from lib.plain import DIR, STILE, TABLE, World, expect, write  # noqa: E402

COMMANDS = ["lookup", "list", "apply", "add", "remove", "clear", "reconcile", "validate", "version"]
SEED = {"Type": "L4WFPPROXY", "Settings": {
    "InboundProxyPort": "9091", "OutboundProxyPort": "9191", "FilterTuple": {"Protocols": "6"},
    "InboundExceptions": {"PortExceptions": ["90001", "90002"], "IpAddressExceptions": ["127.0.0.1"]},
    "OutboundExceptions": {"PortExceptions": ["90001", "90002"], "IpAddressExceptions": ["127.0.0.1"]},
    "UserSID": "S-1-5-32-556"}}


def policy(number=1, **settings):
    """One of many in HNS's form, each with another port."""
    return {"Type": "L4WFPPROXY", "Settings": {"OutboundProxyPort": "15001", "FilterTuple": {
        "Protocols": "6", "RemotePorts": str(number), "Priority": number}, "UserID": "1337", **settings}}


def an_unknown_command_names_the_near_one_or_where_they_are_listed(world):
    world.refused(2, "lst", "blue", says=['There is no command "policy lst"; is it "policy list"?', "See `stile policy --help`."])
    told = world.refused(2, "foo", "--port", "80", says=['There is no command "policy foo"\n', "See `stile policy --help`."])
    expect("is it" not in told.err, told)
    for words in (["frobnicate"], ["help", "frobnicate"]):
        told = world.run([STILE, *words])
        expect(told.status == 2 and told.err == 'stile: There is no command "frobnicate"\nSee `stile help`.\n', told)
    told = world.run([STILE, "help", "policy", "remov"])
    expect(told.status == 2 and 'is it "policy remove"?\nSee `stile policy --help`.' in told.err, told)
    told = world.run([STILE, "gateway", "user", "x\x1b[2J", "y"])
    expect(told.status == 2 and "\x1b" not in told.err and "See `stile gateway user --help`." in told.err, told)
    for name in COMMANDS:
        told = world.good(name, "--help").out
        expect(name == "version" or "Example" in told, told)


def help_tells_of_all_commands(world):
    overview = world.run([STILE, "help"]).out
    expect("\nContainer policies:\n" in overview, overview)
    group = world.run([STILE, "help", "policy"]).out
    for command in COMMANDS:
        expect(f"  stile policy {command} " in overview, (command, overview))
        expect(f"  stile policy {command} " in group, (command, group))
        told = world.run([STILE, "policy", command, "--help"])
        expect(told.status == 0 and told.out.startswith(f"Usage: stile policy {command} "), told)
        expect(command == "version" or "Example" in told.out, told)
        expect(world.run([STILE, "policy", "help", command]).out == told.out, command)


def policy_alone_and_its_help_show_the_commands(world):
    alone = world.run([STILE, "policy"])
    expect(alone.status == 2 and "stile policy apply" in alone.err and not alone.out, alone)
    asked = world.run([STILE, "policy", "--help"])
    expect(asked.status == 0 and asked.out == alone.err and not asked.err, asked)


def command_lines_that_make_no_sense_are_refused_with_2(world):
    blue = world.namespace("blue")
    world.refused(2, "add", says=["stile policy add ENDPOINT", "stile help policy add"])
    world.refused(2, "add", blue, says=["No policy is given", "--port", "--file"])
    world.refused(2, "apply", blue, says=["No policy is given"])
    world.refused(2, "validate", says=["No policy is given"])
    world.refused(2, "add", blue, "--port", "70000", says=["--port", "65535", "70000"])
    world.refused(2, "add", blue, "--port", "0", says=["--port", "from 1 to"])
    world.refused(2, "add", blue, "--priority", "65536", says=["--priority"])
    world.refused(2, "add", blue, "--udp", "nat", says=["--udp", "tproxy|redirect"])
    world.refused(2, "add", blue, "--port", "80", "--port", "81", says=["--port was given twice"])
    world.refused(2, "add", blue, "--port", "80", "--uid", "1", "--remoteports", "90001", says=["add: --remoteports: ", "90001", "65535"])
    world.refused(2, "add", blue, "--port", "80", "--uid", "1", "--remoteaddr", "10.0.0.1/8", says=["add: --remoteaddr: ", "10.0.0.0/8"])
    world.refused(2, "add", blue, "--port", "80", "--uid", "nobody-of-that-name", says=["add: --uid: ", "nobody-of-that-name"])
    world.refused(2, "add", blue, "--port", "80", "--protocol", "sctp", says=["add: --protocol: ", "sctp"])
    world.refused(2, "remove", blue, says=["Which one", "clear"])
    world.refused(2, "remove", blue, "--port", "80", "--file", "-", says=["not both"])
    world.refused(2, "list", blue, "green", says=["green"])
    world.refused(2, "version", "blue", says=["blue"])
    expect(world.policies(blue) == [], "something was added")


def names_that_are_none_are_refused(world):
    for command, what in (("list", "endpoint"), ("clear", "endpoint"), ("reconcile", "endpoint"), ("lookup", "container")):
        world.refused(2, command, "", says=[f"The {what} is empty"])
        world.refused(2, command, "--", "-x", says=[f"The {what} can't begin with \"-\""])
        world.refused(2, command, "x" * 600, says=[f"The {what} is too long"])
        world.refused(2, command, b"a\xffb", says=[f"The {what} isn't UTF-8"])
        world.refused(2, command, "a\x1b[31mb", says=[f"The {what} has control characters"])


def endpoints_that_are_not_there_are_named(world):
    world.refused(1, "list", "nowhere", says=["nowhere"])
    world.refused(1, "list", "/run/netns/nowhere", says=["/run/netns/nowhere"])
    world.refused(1, "list", "pid:3999999", says=["3999999"])
    world.refused(1, "clear", write("plain", "no namespace"), says=["namespace"])
    world.refused(1, "add", "nowhere", "--port", "80", "--uid", "1", says=["nowhere"])


def the_hosts_own_network_is_refused_without_host(world):
    for name in ("/proc/self/ns/net", "/proc/1/ns/net", "pid:1"):
        for words in (["list"], ["clear"], ["reconcile"], ["apply", "--port", "80", "--uid", "1"]):
            world.refused(1, words[0], name, *words[1:], says=["--host"])
    expect(world.good("list", "/proc/1/ns/net", "--host", "--json").json() == [], "the host has policies")
    world.good("apply", "/proc/1/ns/net", "--host", "--port", "80", "--uid", "1")
    expect(world.good("clear", "/proc/1/ns/net", "--host").out.startswith("Removed 1 policy."), "clear --host")


def a_process_is_an_endpoint_until_it_ends(world):
    sleeper = subprocess.Popen(["unshare", "--net", "sleep", "100"])
    try:
        wait_until(lambda: open(f"/proc/{sleeper.pid}/comm", encoding="ascii").read() == "sleep\n", "it is in its namespace")
        with open(f"/proc/{sleeper.pid}/stat", encoding="ascii") as file:
            start = file.read().rpartition(")")[2].split()[19]
        name = f"pid:{sleeper.pid}@{start}"
        world.good("add", name, "--port", "80", "--uid", "7")
        expect(len(world.policies(f"pid:{sleeper.pid}")) == 1, "the policy isn't there")
        world.refused(1, "list", f"pid:{sleeper.pid}@{int(start) + 1}", says=[str(sleeper.pid)])
    finally:
        sleeper.kill()
        sleeper.wait()
    world.refused(1, "list", name, says=[str(sleeper.pid)])


def lookup_says_where_it_looked(world):
    world.refused(1, "lookup", "ccaae3aba155", says=["containerd", "--runtimeendpoint podman"])
    world.refused(1, "lookup", "ccaae3aba155", "--runtimeendpoint", "unix:///run/test/none.sock", says=["/run/test/none.sock"])
    world.refused(2, "lookup", says=["CONTAINER"])


def watch_says_once_what_it_waits_for(world):
    path = write("rules.json", [{"Labels": {"app": "web"}, "Policies": [policy(1)]}])
    told = world.refused(1, "watch", "--once", "--file", path, says=["1 rule\n", "/run/containerd/containerd.sock"])
    expect(told.err.count("No container runtime") == 1 and len(told.err.splitlines()) == 2, told)


ALL_OPTIONS = ["--inbound-port", "9091", "--outbound-port", "9191", "--protocol", "tcp,udp", "--udp", "redirect", "--priority", "7",
               "--localaddr", "10.1.0.0/16,10.2.0.1", "--remoteaddr", "192.0.2.0/24", "--remoteaddr", "fd00::/8",
               "--localaddr", "fd01::/16", "--localports", "1000-60000", "--remoteports", "80,443",
               "--inbound-port-exceptions", "22", "--inbound-port-exceptions", "23,24",
               "--inbound-address-exceptions", "10.9.0.1", "--outbound-port-exceptions", "53", "--outbound-address-exceptions",
               "10.0.0.0/8,fd02::1", "--usersid", "system", "--uid", "1337", "--gid", "1338"]


def every_option_becomes_what_it_says(world):
    blue = world.namespace("blue")
    world.good("add", blue, *ALL_OPTIONS)
    [one] = world.policies(blue)
    s = one["Settings"]
    expect(one["Type"] == "L4WFPPROXY", one)
    expect((s["InboundProxyPort"], s["OutboundProxyPort"]) == ("9091", "9191"), s)
    f = s["FilterTuple"]
    expect(f["Protocols"] == "6,17" and f["Priority"] == 7 and s["UdpMode"] == "redirect", s)
    expect(f["LocalAddresses"] == "10.1.0.0/16,10.2.0.1,fd01::/16" and f["RemoteAddresses"] == "192.0.2.0/24,fd00::/8", f)
    expect(f["LocalPorts"] == "1000-60000" and f["RemotePorts"] == "80,443", f)
    expect(sum((e.split("-") for e in s["InboundExceptions"]["PortExceptions"]), []) in (["22", "23", "24"], ["22", "24"]), s)
    expect(s["InboundExceptions"]["IpAddressExceptions"] == ["10.9.0.1"], s)
    expect(s["OutboundExceptions"] == {"PortExceptions": ["53"], "IpAddressExceptions": ["10.0.0.0/8", "fd02::1"]}, s)
    expect((s["UserSID"], s["UserID"], s["GroupID"]) == ("S-1-5-18", "1337", "1338"), s)


def list_tells_people_everything(world):
    blue = world.namespace("blue")
    expect("has no policies" in world.good("list", blue).out, "an empty list")
    world.good("add", blue, *ALL_OPTIONS)
    world.good("add", blue, "--outbound-port", "3000", "--uid", "5")
    told = world.good("list", blue).out
    for text in ("1. TCP, priority 0", "2. TCP and UDP (redirect), priority 7", "to port 9091; not ports 22", "not addresses 10.9.0.1",
                 "to port 9191; not ports 53; not addresses 10.0.0.0/8,fd02::1", "local addresses 10.1.0.0/16", "local ports 1000-60000",
                 "remote addresses 192.0.2.0/24,fd00::/8", "remote ports 80,443", "uid 1337 or gid 1338", "SID S-1-5-18", "to port 3000"):
        expect(text in told, (text, told))


def a_cgroup_must_be_there(world):
    blue = world.namespace("blue")
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    if not mounts:
        raise Skip("cgroup version 2 isn't mounted here")
    name = f"stile-test-{secrets.token_hex(4)}"  # the hierarchy is everybody's, also of a run elsewhere and of one that was killed
    directory = os.path.join(mounts[0], name)
    world.refused(1, "add", blue, "--outbound-port", "80", "--cgroup", name, says=[name])
    try:
        os.mkdir(directory)
    except OSError as error:
        raise Skip(f"no cgroup can be made here: {error}") from None
    try:
        world.good("add", blue, "--outbound-port", "80", "--cgroup", "/" + name)
        [one] = world.policies(blue)
        expect(one["Settings"]["Cgroup"] == name, one)
        expect(f"proxy is  cgroup {name}" in world.good("list", blue).out, "list")
        expect(world.good("remove", blue, "--cgroup", name).out == "Removed 1 policy.\n", "remove")
    finally:
        os.rmdir(directory)


def a_block_is_told(world):
    blue = world.namespace("blue")
    world.nft(blue, "add", "table", "inet", f"{TABLE}_block")
    listed = world.good("list", blue)
    expect("blue has no policies" in listed.out and "blue is blocked" in listed.err, listed)
    expect(world.good("list", blue, "--blocked").out.startswith("blue is blocked: "), "--blocked")
    expect(world.good("list", blue, "--blocked", "--json").json() == {"endpoint": blue, "blocked": True}, "--blocked --json")
    for words in (["--dry-run"], ["--check"], []):
        told = world.stile("reconcile", blue, "--json", *words).json()
        expect(told["blocked"] is True and told["endpoint"] == blue, told)
    expect(world.good("apply", blue, "--port", "80", "--uid", "9", "--json").json()["blocked"] is False, "apply opens it")
    expect(world.good("list", blue, "--blocked").out == "blue isn't blocked.\n", "open")
    expect(world.good("list", blue, "--blocked", "--json").json() == {"endpoint": blue, "blocked": False}, "open, as JSON")
    world.good("apply", blue, "--port", "80", "--uid", "9")
    world.nft(blue, "add", "table", "inet", f"{TABLE}_block")
    before = world.ruleset(blue)
    world.refused(1, "remove", blue, "--port", "80", says=["blocked", "apply", "clear"])
    world.refused(1, "add", blue, "--port", "81", "--uid", "9", says=["blocked", "apply", "clear"])
    expect(world.ruleset(blue) == before, "single policies have changed something of a blocked endpoint")
    told = world.stile("reconcile", blue, "--check")
    expect(told.status == 3 and "the block: " in told.out and "the endpoint is blocked" in told.out, told)
    expect(world.ruleset(blue) == before, "a check has changed something")
    expect("the block: " in world.good("reconcile", blue).out, "a table without chains is no block")
    expect("policy drop" in world.ruleset(blue), world.ruleset(blue))
    told = world.good("reconcile", blue)
    expect(told.out.startswith("Nothing has drifted.\n") and "the endpoint is blocked" in told.out, told)
    right = ("--file", write("right.json", world.good("list", blue, "--json").json()))
    told = world.stile("reconcile", blue, *right, "--check")
    expect(told.status == 3 and "would lift the block" in told.out, told)
    told = world.good("reconcile", blue, *right)
    expect("repaired" in told.out and "lifts the block" in told.out, told)
    expect(world.good("list", blue, "--blocked").out == "blue isn't blocked.\n", "open again")
    world.good("clear", blue)
    listed = world.good("list", blue, "--json")
    expect(listed.json() == [] and not listed.err, listed)


def a_limit_of_files_is_a_failure_like_any(world):
    blue = world.namespace("blue")
    command = f"ulimit -f 0; exec {STILE} policy add {blue} --port 80 --uid 9"
    told = world.run(["bash", "-c", command])
    expect(told.status == 1 and "File too large" in told.err, told)
    expect(world.good("list", blue, "--json").json() == [], "something was changed")


def several_writers_lose_nothing(world):
    blue = world.namespace("blue")
    writers = [subprocess.Popen([STILE, "policy", "add", blue, "--outbound-port", str(80 + n), "--uid", "9"], stdout=subprocess.PIPE)
               for n in range(6)]
    expect([w.wait() for w in writers] == [0] * 6, [w.stdout.read() for w in writers])
    ports = {p["Settings"]["OutboundProxyPort"] for p in world.policies(blue)}
    expect(ports == {str(80 + n) for n in range(6)}, ports)


def who_is_waited_for_is_said(world):
    """A lock of the open file on the namespace's byte, as writers take it; given back after a while."""
    blue = world.namespace("blue")
    world.good("add", blue, "--outbound-port", "80", "--uid", "9")
    with open("/run/stile-policy/policy.lock", "r+b") as lock:
        place = os.stat(f"/run/netns/{blue}").st_ino
        fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))  # F_OFD_SETLK
        waiting = subprocess.Popen([STILE, "policy", "clear", blue], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        told = waiting.stderr.readline()
        held = waiting.poll() is None
    _, rest = waiting.communicate(timeout=20)
    expect(f"Waiting for process {os.getpid()} (python3)" in told and held, told)
    expect(waiting.returncode == 0 and rest == "" and world.policies(blue) == [], rest)


def keys_in_man(words):
    """What the man page says that these commands print as JSON."""
    with open(os.path.join(HERE, "..", "..", "docs", "man", "stile-policy.1"), encoding="utf-8") as file:
        section = file.read().split(".Sh JSON", 1)[1].split(".Sh", 1)[0]
    return set(re.findall(r"^\.Li (\w+)", section.split(f".It Cm {words}\n", 1)[1].split(".It", 1)[0].split(".El", 1)[0], re.MULTILINE))


def json_has_what_the_man_page_says(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    changes = keys_in_man("apply , add , remove , clear , reconcile")
    for words in (["apply", blue, "--port", "81", "--uid", "9"], ["add", blue, "--port", "80", "--uid", "9"], ["remove", blue, "--port", "80"],
                  ["reconcile", blue], ["reconcile", blue, "--check"], ["clear", blue]):
        expect(set(world.good(*words, "--dry-run", "--json").json()) == changes, (words, changes))
        expect(set(world.good(*words, "--json").json()) | {"sent"} == changes, (words, changes))
    found = world.stile("validate", "--port", "80", "--uid", "0", "--system", "both", "--json").json()
    expect(set(found) | set(found["warnings"][0]) == keys_in_man("validate"), found)
    expect(set(world.good("version", "--json").json()) | {"problem"} == keys_in_man("version"), "version")
    expect(set(world.good("list", blue, "--blocked", "--json").json()) == keys_in_man("list Fl -blocked"), "list --blocked")


def output_that_cant_be_written_is_a_failure(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    for words in (["list", blue], ["list", blue, "--json"], ["clear", blue, "--dry-run"], ["version"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([STILE, "policy", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        expect(done.returncode == 1 and "Failed to write the output" in done.stderr, (words, done))


def a_change_whose_report_cant_be_written_is_told_as_made(world):
    blue = world.namespace("blue")
    for n, words in enumerate((["add", blue], ["add", blue, "--json"], ["apply", blue, "--json"])):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([STILE, "policy", *words, "--port", str(80 + n), "--uid", "9", "--remoteports", str(80 + n)], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        expect(done.returncode == 1 and done.stderr.endswith("The change was made, but the report of it can't be written\n"), done)
        expect(str(80 + n) in [p["Settings"]["OutboundProxyPort"] for p in world.policies(blue)], words)


def port_alone_sets_both_directions(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "8000", "--uid", "1337")
    settings = world.policies(blue)[0]["Settings"]
    expect((settings["InboundProxyPort"], settings["OutboundProxyPort"]) == ("8000", "8000"), settings)
    world.good("apply", blue, "--port", "8000", "--inbound-port", "8001", "--uid", "1337")
    settings = world.policies(blue)[0]["Settings"]
    expect((settings["InboundProxyPort"], settings["OutboundProxyPort"]) == ("8001", "8000"), settings)


def add_says_what_is_new_and_what_was_there(world):
    blue = world.namespace("blue")
    expect(world.good("add", blue, "--port", "80", "--uid", "9").out == "Added 1 policy.\n", "the first")
    before = world.ruleset(blue)
    again = world.good("add", blue, "--port", "80", "--uid", "9")
    expect(again.out == "Added 0 policies; 1 was there already.\n", again)
    expect(world.ruleset(blue) == before, "adding what is there has written something")
    other = ["add", blue, "--port", "81", "--uid", "9", "--remoteports", "443"]
    expect(world.good(*other, "--dry-run").err.endswith("Would add 1 policy; the endpoint would have 2.\n"), "others are there")
    expect(world.good(*other).out == "Added 1 policy; the endpoint has 2.\n", "others are there")
    expect(world.good(*other).out == "Added 0 policies; 1 was there already; the endpoint has 2.\n", "others are there, and it")
    world.good("remove", *other[1:])
    path = write("more.json", [policy(1), policy(2)])
    result = world.good("add", blue, "--file", path, "--port", "80", "--uid", "9", "--json").json()
    expect((result["added"], result["unchanged"], result["removed"]) == (2, 1, 0), result)
    expect(result["dry_run"] is False and "sent" not in result and result["endpoint"], result)
    expect(len(world.policies(blue)) == 3, world.policies(blue))


def what_list_prints_apply_reads(world):
    blue, green = world.namespace("blue"), world.namespace("green")
    world.good("add", blue, *ALL_OPTIONS)
    world.good("add", blue, "--file", "-", text=json.dumps([policy(2), policy(1)]))
    listed = world.good("list", blue, "--json").out
    applied = world.good("apply", green, "--file", "-", text=listed)
    expect("3 policies: 3 added, 0 unchanged; 0 removed." in applied.out, applied)
    expect(world.good("list", green, "--json").out == listed, "the round trip changed something")
    order = [p["Settings"]["FilterTuple"]["Priority"] for p in json.loads(listed)]
    expect(order == sorted(order), order)


def apply_touches_nothing_that_is_right(world):
    blue = world.namespace("blue")
    path = write("three.json", [policy(1), policy(2), policy(3)])
    world.good("apply", blue, "--file", path)
    before = world.ruleset(blue)
    again = world.good("apply", blue, "--file", path)
    expect(again.out == "3 policies: as before.\n", again)
    expect(world.ruleset(blue) == before, "a second apply has written something")
    dry = world.good("apply", blue, "--file", path, "--dry-run")
    expect(dry.out == "", dry)
    changed = world.good("apply", blue, "--file", "-", "--json", text=json.dumps({"Policies": [policy(2), policy(4)]})).json()
    expect((changed["added"], changed["removed"], changed["unchanged"]) == (1, 2, 1), changed)


def dry_run_prints_what_would_be_sent_and_sends_nothing(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    before, listed = world.ruleset(blue), world.policies(blue)
    path = write("one.json", [policy(1)])
    udp = ["--outbound-port", "15053", "--protocol", "udp", "--uid", "9"]
    for words in (["add", blue, "--file", path], ["apply", blue, "--file", path], ["remove", blue, "--port", "80"], ["clear", blue],
                  ["add", blue, *udp]):
        dry = world.good(*words, "--dry-run")
        expect(TABLE in dry.out and ("ould" in dry.err or "to be" in dry.err), dry)
        world.nft(blue, "-c", "-f", "-", text=dry.out)
        told = world.good(*words, "--dry-run", "--json").json()
        expect(told["dry_run"] is True and told["sent"].rstrip("\n") == dry.out.rstrip("\n"), told)
        expect(world.ruleset(blue) == before and world.policies(blue) == listed, f"{words} --dry-run changed something")
    expect("route" in world.good("add", blue, *udp, "--dry-run").err, "routes for UDP aren't told")


def what_dry_run_prints_is_the_change(world):
    blue, green = world.namespace("blue"), world.namespace("green")
    path = write("three.json", [policy(1), policy(2), policy(3)])
    world.nft(blue, "-f", "-", text=world.good("apply", blue, "--file", path, "--dry-run").out)
    world.good("apply", green, "--file", path)
    expect(world.nft(blue, "list", "ruleset") == world.nft(green, "list", "ruleset"), "the document differs from the change")
    expect(world.policies(blue) == world.policies(green), "the policies differ")


def remove_takes_one_by_what_it_has(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--file", write("four.json", [policy(n) for n in (1, 2, 3, 4)]))
    before = world.ruleset(blue)
    world.refused(1, "remove", blue, "--uid", "1338", says=["no such policy", "4 policies"])
    world.refused(1, "remove", blue, "--uid", "1337", says=["4 policies", "match", "--all"])
    world.refused(1, "remove", blue, "--remoteports", "1", "--priority", "2", says=["no such policy"])
    world.refused(1, "remove", blue, "--file", write("other.json", [policy(1), policy(9)]))
    expect(world.ruleset(blue) == before, "a refused removal has changed something")
    expect(world.good("remove", blue, "--remoteports", "1").out == "Removed 1 policy.\n", "by port")
    expect(world.good("remove", blue, "--file", write("two.json", [policy(2)])).out == "Removed 1 policy.\n", "by file")
    result = world.good("remove", blue, "--outbound-port", "15001", "--uid", "1337", "--all", "--json").json()
    expect((result["removed"], world.policies(blue)) == (2, []), result)


def apply_says_what_it_repairs(world):
    blue = world.namespace("blue")
    path = write("one.json", [policy(1)])
    world.good("apply", blue, "--file", path)
    clean = world.nft(blue, "list", "ruleset")
    chain = chain_with_rules(world, blue)
    world.nft(blue, "flush", "chain", "inet", TABLE, chain)
    dry = world.good("apply", blue, "--file", path, "--dry-run")
    expect("1 policy: as before, but what carries them has drifted:\n" in dry.err and chain in dry.err, dry)
    told = world.good("apply", blue, "--file", path)
    expect(told.out.startswith("1 policy: as before, but what carries them had drifted, and is repaired:\n") and chain in told.out, told)
    expect(world.nft(blue, "list", "ruleset") == clean, "it isn't as before")


def clear_tells_of_no_drift_that_ends_with_it(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    world.nft(blue, "flush", "chain", "inet", TABLE, chain_with_rules(world, blue))
    expect(world.good("clear", blue).out == "Removed 1 policy.\n", "clear of rules that somebody changed")


def nft_is_asked_no_more_often_than_need_be(world):
    """Each time it reads the whole table. Once for its version, once for each table that is there and matters to the command, once to change."""
    blue = world.namespace("blue")
    path = write("one.json", [policy(1)])
    log, real, counting = (os.path.join(DIR, name) for name in ("nft.log", "nft.real", "nft.counting"))
    shutil.copy("/usr/sbin/nft", real)
    write("nft.counting", f'#!/bin/sh\necho "$*" >>{log}\nexec {real} "$@"\n')
    os.chmod(counting, 0o755)
    subprocess.run(["mount", "--bind", counting, "/usr/sbin/nft"], check=True)
    try:
        for words, most in ((["apply", blue, "--file", path], 2), (["apply", blue, "--file", path], 2), (["list", blue], 2),
                            (["reconcile", blue], 2), (["remove", blue, "--outbound-port", "15001"], 4), (["clear", blue], 1)):
            write("nft.log", "")
            world.good(*words)
            with open(log, encoding="utf-8") as file:
                calls = file.read().splitlines()
            expect(0 < len(calls) <= most and calls[0] == "--version", (words, calls))
    finally:
        subprocess.run(["umount", "/usr/sbin/nft"], check=True)


def clear_leaves_nothing(world):
    blue = world.namespace("blue")
    before = world.ruleset(blue)
    expect(world.good("clear", blue).out == "There was no policy.\n", "clear of nothing")
    world.good("add", blue, "--port", "80", "--protocol", "tcp,udp", "--uid", "9")
    expect(world.ruleset(blue) != before, "the policy left no mark")
    expect(world.good("clear", blue).out.startswith("Removed 1 policy.\n"), "clear")
    expect(world.ruleset(blue) == before, world.ruleset(blue))
    world.nft(blue, "add", "table", "inet", "of_others")
    world.good("add", blue, "--port", "80", "--uid", "9")
    world.good("clear", blue)
    expect("of_others" in world.ruleset(blue), "clear took what isn't ours")


def chain_with_rules(world, namespace):
    """Of the chains on a hook, one that has rules."""
    listed = json.loads(world.nft(namespace, "-j", "list", "table", "inet", TABLE))["nftables"]
    hooked = {e["chain"]["name"] for e in listed if "hook" in e.get("chain", {})}
    return next(e["rule"]["chain"] for e in listed if e.get("rule", {}).get("chain") in hooked)


def reconcile_repairs_and_says_what(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    clean = world.nft(blue, "list", "ruleset")
    for words in (["reconcile", blue], ["reconcile", blue, "--check"]):
        expect(world.good(*words).out == "Nothing has drifted.\n", words)
    chain = chain_with_rules(world, blue)
    world.nft(blue, "flush", "chain", "inet", TABLE, chain)
    broken = world.ruleset(blue)
    looked = world.stile("reconcile", blue, "--check")
    expect(looked.status == 3 and looked.out.startswith("This has drifted:\n") and chain in looked.out and not looked.err, looked)
    looked = world.stile("reconcile", blue, "--check", "--json")
    expect(looked.status == 3 and looked.json()["drifted"] is True, looked)
    dry = world.good("reconcile", blue, "--dry-run")
    expect(TABLE in dry.out and chain in dry.err, dry)
    expect(world.ruleset(blue) == broken, "--check or --dry-run has repaired something")
    repaired = world.good("reconcile", blue)
    expect("had drifted" in repaired.out and chain in repaired.out, repaired)
    expect(world.nft(blue, "list", "ruleset") == clean, "it isn't as before")
    expect(world.good("reconcile", blue, "--json").json()["drifted"] is False, "a second time")


def drift_and_what_would_be_done_are_no_deeds(world):
    blue = world.namespace("blue")
    udp = ["apply", blue, "--port", "80", "--protocol", "udp", "--uid", "9"]
    dry = world.good(*udp, "--dry-run")
    expect("would add the route for UDP, IPv4\n" in dry.err and "would add the rule for UDP, IPv6\n" in dry.err, dry)
    done = world.good(*udp)
    expect("\nadds the route for UDP, IPv4\n" in done.out, done)
    for words, verb in ((["--check"], "is"), ([], "was")):
        world.run(["ip", "-n", blue, "rule", "del", "priority", "5711"])
        told = world.stile("reconcile", blue, *words)
        expect(told.status == (3 if words else 0) and f":\nthe rule for UDP, IPv4, {verb} missing\n" in told.out, told)
        expect("adds" not in told.out, told)
    dry = world.good("apply", blue, "--port", "80", "--uid", "9", "--dry-run")
    expect("would remove the rule for UDP, IPv4\n" in dry.err, dry)
    world.good("apply", blue, "--port", "80", "--uid", "9")
    world.run(["ip", "-n", blue, "route", "add", "local", "default", "dev", "lo", "table", "57110", "protocol", "115"])
    told = world.stile("reconcile", blue, "--check")
    expect(told.status == 3 and told.out == "This has drifted:\nthe route for UDP, IPv4, is left over\n", told)
    world.nft(blue, "add", "table", "inet", f"{TABLE}_block")
    expect("would lift the block\n" in world.good("apply", blue, "--port", "80", "--uid", "9", "--dry-run").err, "the block")


def reconcile_with_a_file_restores_what_was_deleted(world):
    blue = world.namespace("blue")
    path = write("one.json", [policy(1)])
    world.good("apply", blue, "--file", path)
    world.nft(blue, "delete", "table", "inet", TABLE)
    looked = world.stile("reconcile", blue, "--file", path, "--check")
    expect(looked.status == 3 and "1 policy missing" in looked.out, looked)
    repaired = world.good("reconcile", blue, "--file", path)
    expect("is repaired:\n1 policy missing\n" in repaired.out and len(world.policies(blue)) == 1, repaired)
    other = world.good("reconcile", blue, "--file", write("other.json", [policy(2)]), "--json").json()
    expect(other["drifted"] is True and other["notes"][-2:] == ["1 policy missing", "1 policy too many"], other)


def reconcile_without_anything_to_compare_with_fails(world):
    """Whose table somebody has removed remembers nothing: that is no "nothing has drifted"."""
    blue = world.namespace("blue")
    for protocol, says in (("tcp", ["blue has no policies", "--file"]), ("udp", ["Policies were here and are gone", "Apply", "clear"])):
        world.good("apply", blue, "--port", "80", "--uid", "9", "--protocol", protocol)
        world.nft(blue, "flush", "ruleset")
        before = world.ruleset(blue)
        for words in ([], ["--check"], ["--dry-run"], ["--json"]):
            world.refused(1, "reconcile", blue, *words, says=says)
        expect(world.ruleset(blue) == before, "the last trace of them was taken")
    world.good("clear", blue)
    world.refused(1, "reconcile", blue, says=["blue has no policies"])
    expect(world.good("reconcile", blue, "--file", write("none.json", [])).out == "Nothing has drifted.\n", "none is what it should have")


def the_seeds_example_is_refused_for_its_ports(world):
    blue = world.namespace("blue")
    seed = json.dumps(SEED)
    for words in (["validate"], ["add", blue], ["apply", blue]):
        world.refused(1, *words, "--file", "-", text=seed, says=["90001", "90002", "65535", "PortExceptions"])
    told = world.stile("validate", "--file", "-", "--json", text=seed)
    expect(told.status == 1 and told.json()["ok"] is False and "90002" in told.json()["problems"][0]["text"], told)
    good = seed.replace("90001", "9001").replace("90002", "9002")
    world.good("validate", "--file", "-", "--system", "windows", text=good)
    world.refused(1, "validate", "--file", "-", "--system", "linux", text=good, says=["uid"])
    judged = world.good("validate", "--file", "-", text=good)
    expect("1 policy is good" in judged.out and "Judged for Windows" in judged.err, judged)
    world.refused(1, "apply", blue, "--file", "-", text=good, says=["uid"])
    guarded = json.loads(good)
    guarded["Settings"]["UserID"] = "1337"
    world.good("apply", blue, "--file", "-", "--uid", "1337", text=good)
    expect(world.policies(blue) == [guarded], world.policies(blue))
    world.good("clear", blue)
    world.good("validate", "--file", "-", "--system", "both", text=json.dumps(guarded))
    world.good("apply", blue, "--file", "-", text=json.dumps(guarded))
    [listed] = world.policies(blue)
    expect(listed["Settings"]["OutboundExceptions"] == guarded["Settings"]["OutboundExceptions"], listed)
    expect(listed["Settings"]["UserSID"] == "S-1-5-32-556", listed)


def validate_says_everything_with_numbers(world):
    several = [policy(1, UserID=""), policy(2), policy(2), {"Type": "L4WFPPROXY", "Settings": {"UserID": "5"}}]
    told = world.refused(1, "validate", "--file", "-", text=json.dumps(several), says=["policy 1:", "policy 3:", "policy 4:"])
    expect("policy 2:" not in told.err and told.err.count("policy 3:") == 1, told)
    windows = world.stile("validate", "--protocol", "udp", "--port", "53", "--remoteaddr", "fd00::/8", "--uid", "3", "--system", "both", "--json")
    problems = windows.json()["problems"]
    expect(windows.status == 1 and {p["system"] for p in problems} == {"windows"} and len(problems) >= 3, windows)
    expect(any("UDP" in p["text"] for p in problems) and any("IPv6" in p["text"] for p in problems), problems)
    world.good("validate", "--port", "8000", "--usersid", "system", "--system", "windows")
    expect(world.good("validate", "--port", "8000", "--uid", "12").out == "1 policy is good.\n", "the sentence")


def what_cant_be_read_is_told_all_at_once(world):
    blue = world.namespace("blue")
    bad = [policy(1, OutboundProxyPort="90001", Nonsense="1"), policy(2), {"Type": "ACL"}, policy(2),
           policy(4, FilterTuple={"Protocols": "sctp", "Prority": 1})]
    path = write("bad.json", bad)
    says = [f"{path}: policy 1: Settings.OutboundProxyPort: port 90001", f"{path}: policy 1: Settings.Nonsense: unknown",
            f"{path}: policy 3: Settings: is missing", f"{path}: policy 5: Settings.FilterTuple.Protocols: ",
            f"{path}: policy 5: Settings.FilterTuple.Prority: unknown"]
    for words in (["add", blue], ["apply", blue], ["remove", blue], ["reconcile", blue]):
        told = world.refused(1, *words, "--file", path, says=says)
        expect(len(told.err.splitlines()) == len(says), told)
    world.refused(1, "validate", "--file", path, "--system", "linux", says=[*says, "linux: warning: policy 4: it is the same as policy 2"])
    told = world.stile("validate", "--file", path, "--system", "linux", "--json").json()
    expect([p["policy"] for p in told["problems"]] == [1, 1, 3, 5, 5] and told["more"] == 0 and told["policies"] == 5, told)
    expect([p["policy"] for p in told["warnings"]] == [4], told)
    many = json.dumps([policy(1, Nonsense="1")] * 60)
    told = world.refused(1, "apply", blue, "--file", "-", text=many, says=["standard input: policy 50: ", "and 10 more"])
    expect("policy 51" not in told.err, told)
    told = world.stile("validate", "--file", "-", "--json", text=many).json()
    expect(len(told["problems"]) == 50 and told["more"] == 10, told)
    world.refused(1, "validate", "--file", "-", text="[{},\n]", says=["standard input: line 2, column 1"])


def a_policy_that_is_given_twice_counts_once(world):
    """To those that judge and to those that act alike."""
    blue = world.namespace("blue")
    path = write("twice.json", [policy(1), policy(1)])
    told = world.good("validate", "--file", path)
    expect(told.err.count("warning: ") == 1 and "linux: warning: policy 2: it is the same as policy 1, and counts once" in told.err, told)
    expect(world.good("apply", blue, "--file", path, "--json").json()["added"] == 1 and len(world.policies(blue)) == 1, "apply")
    world.good("remove", blue, "--file", path)
    world.good("add", blue, "--file", path)
    expect(len(world.policies(blue)) == 1, "add")


def loop_guards_beside_an_empty_file_make_no_policy(world):
    blue = world.namespace("blue")
    path = write("none.json", [])
    world.good("add", blue, "--port", "80", "--uid", "9")
    expect("0 policies: 0 added, 0 unchanged; 1 removed." in world.good("apply", blue, "--file", path, "--uid", "1337", "--gid", "5").out, "apply")
    expect(world.good("validate", "--file", path, "--uid", "1337").out == "0 policies are good.\n", "validate")
    world.refused(1, "apply", blue, "--file", path, "--uid", "1337", "--priority", "5", says=["no proxy port"])


def what_makes_no_sense_is_told_with_its_place(world):
    """All of it, before anything is looked at or changed."""
    blue = world.namespace("blue")
    path = write("senseless.json", [policy(1), {"Type": "L4WFPPROXY", "Settings": {"UserID": "5"}}, policy(3, UserID="")])
    says = [f"{path}: policy 2: it has no proxy port", f"{path}: policy 3: the proxy's own connections would come back"]
    for words in (["add", blue], ["apply", blue], ["apply", blue, "--dry-run"], ["reconcile", blue]):
        told = world.refused(1, *words, "--file", path, says=says)
        expect(len(told.err.splitlines()) == 2, told)
    world.refused(1, "apply", blue, "--file", "-", text=json.dumps(policy(3, UserID="")), says=["standard input: policy 1: "])
    for words in ([], ["--file", write("good.json", [policy(1)])]):
        world.refused(1, "add", blue, *words, "--uid", "9", "--priority", "3", says=["add: the policy of the options: it has no proxy port"])
    world.refused(1, "apply", blue, "--file", path, "--uid", "9", "--priority", "3", says=[says[0], "the policy of the options: "])


def add_warns_of_what_stands_behind_others_that_are_there(world):
    """In all that the endpoint has then, numbered as `list` shows it."""
    blue = world.namespace("blue")
    first = world.good("add", blue, "--outbound-port", "15001", "--uid", "1337")
    expect(first.err == "", first)
    for words in (["--dry-run"], []):
        told = world.good("add", blue, "--outbound-port", "15002", "--uid", "1338", *words)
        expect("add: blue: warning: policy 2: no connection reaches it: policy 1 comes first" in told.err and "over 0" in told.err, told)
    told = world.good("add", blue, "--outbound-port", "15003", "--uid", "1339", "--remoteports", "53", "--priority", "7")
    expect("blue: warning: policy 3: no connection" in told.err and "policy 2: no connection" in told.err, told)
    world.good("clear", blue)
    world.good("add", blue, "--outbound-port", "15001", "--uid", "1337", "--priority", "10")
    told = world.good("add", blue, "--outbound-port", "15053", "--remoteports", "53", "--uid", "1338")
    expect(told.err == "", told)


def apply_numbers_what_it_warns_of_as_list_does(world):
    blue = world.namespace("blue")
    path = write("two.json", [policy(5), policy(5), policy(1, UserID="0")])
    told = world.good("apply", blue, "--file", path, "--outbound-port", "9", "--uid", "4", "--remoteports", "5", "--priority", "9")
    said = [line.removeprefix("stile policy apply: ") for line in told.err.splitlines()]
    expect(len(said) == 3 and said[0].startswith(f"{path}: warning: policy 2: it is the same as policy 1"), told)
    expect(said[1].startswith("blue: warning: policy 1: every program") and said[2].startswith("blue: warning: policy 3: no conn"), told)
    listed = world.policies(blue)
    expect(listed[0]["Settings"]["UserID"] == "0" and listed[2]["Settings"]["OutboundProxyPort"] == "9", listed)


def root_as_loop_guard_is_warned_of(world):
    blue = world.namespace("blue")
    checked = world.good("validate", "--port", "80", "--uid", "0", "--system", "linux")
    expect("warning" in checked.err and "root" in checked.err, checked)
    told = world.good("validate", "--port", "80", "--uid", "0", "--system", "linux", "--json").json()
    expect(told["ok"] is True and told["warnings"][0]["policy"] == 1, told)
    added = world.good("add", blue, "--port", "80", "--uid", "root")
    expect("warning" in added.err and "root" in added.err, added)


def what_this_system_cant_do_changes_nothing(world):
    blue = world.namespace("blue")
    world.good("add", blue, "--port", "80", "--uid", "9")
    before = world.ruleset(blue)
    for words in (["add"], ["apply"], ["add", "--dry-run"]):
        world.refused(1, words[0], blue, *words[1:], "--port", "81", says=["uid", "cgroup"])
        world.refused(1, words[0], blue, *words[1:], "--port", "81", "--usersid", "system", says=["SID", "Windows"])
        world.refused(1, words[0], blue, *words[1:], "--inbound-port", "81", "--inbound-port-exceptions", "80-90", says=["81"])
    expect(world.ruleset(blue) == before, "something was changed")
    emptied = world.good("apply", blue, "--file", "-", text="[]")
    expect(emptied.out.startswith("0 policies: 0 added, 0 unchanged; 1 removed.\n") and TABLE not in world.ruleset(blue), emptied)


def files_that_are_none_are_named(world):
    blue = world.namespace("blue")
    world.refused(1, "add", blue, "--file", "/run/test/missing.json", says=["/run/test/missing.json", "No such file"])
    world.refused(1, "add", blue, "--file", "/run/test", says=["/run/test"])
    world.refused(1, "add", blue, "--file", write("broken.json", '[{"Type": "L4WFPPROXY",\n oops'), says=["broken.json", "line 2"])
    world.refused(1, "add", blue, "--file", write("typo.json", [policy(1, OutboundExeptions={})]), says=["OutboundExeptions"])
    world.refused(1, "add", blue, "--file", "/dev/zero", says=["/dev/zero", "8 MiB"])
    world.refused(1, "add", blue, "--file", "-", text='[{"Type": "a\\u001b[31mb"}]')
    expect(world.policies(blue) == [], "something was added")


def what_the_kernel_tells_cant_steer_a_terminal(world):
    blue = world.namespace("blue")
    world.nft(blue, "-f", "-", text=f'table inet {TABLE} {{\nchain policies {{\ncounter comment "[\x1b[31m"\n}}\n}}\n')
    for words in (["list", blue], ["reconcile", blue, "--check"], ["add", blue, "--port", "80", "--uid", "1"]):
        result = world.stile(*words)
        expect(result.status == 1 and result.err and "\x1b" not in result.out + result.err, result)
    world.good("clear", blue)


def version_tells_of_nft(world):
    told = world.good("version").out.splitlines()
    expect(told[0].startswith("stile-policy ") and re.fullmatch(r"nft \d+\.\d+.*", told[1]), told)
    as_json = world.good("version", "--json").json()
    expect(as_json["system"] == told[1] and as_json["version"] == told[0].split()[1], as_json)


def an_ordinary_user_is_told_what_is_missing(world):
    if os.environ["STILE_WORLD"] != "root":
        raise Skip("this needs root")
    blue = world.namespace("blue")
    for words in (["list", blue], ["add", blue, "--port", "80", "--uid", "9"], ["clear", blue]):
        world.refused(1, *words, uid=1500, says=[f"stile policy {words[0]}: Not permitted: run as root."])
    path = write("rules.json", [{"Labels": {"app": "web"}, "Policies": [policy(1)]}])
    told = world.refused(1, "watch", "--once", "--file", path, uid=1500)
    expect("Not running as root: without root" in told.err.splitlines()[0], told)
    expect(world.good("validate", "--port", "80", "--uid", "9", uid=1500).status == 0, "validate needs no right")
    expect(world.policies(blue) == [], "something was added")


def hcnproxyctl_takes_its_own_command_line(world):
    blue = world.namespace("blue")
    for name in ("hcnproxyctl", "hcnproxyctl.exe", "HcnProxyCtl.EXE", "hcnproxyctrl"):
        link = os.path.join(DIR, name)
        os.symlink(STILE, link)

        def call(*words, link=link):
            return world.run([link, *words])

        expect(call("add", blue, "--port", "8000", "--uid", "77", "--usersid", "system").out == "Successfully added the policy\n", name)
        expect("to port 8000" in call("list", blue).out, name)
        expect(call("list", blue, "--json").json()[0]["Settings"]["UserSID"] == "S-1-5-18", name)
        expect(call("clear", blue).out.startswith("Removed 1 "), name)
        call("add", blue, "--port", "8000", "--uid", "77")
        expect(call("remove", blue, "--port", "8000").status == 0, name)
        for words in ([], ["help"], ["--help"], ["-h"]):
            overview = call(*words)
            expect(overview.status == 0 and "Usage: hcnproxyctl COMMAND" in overview.out and "lookup" in overview.out, overview)
        expect(call("help", "add").out.startswith("Usage: hcnproxyctl add "), name)
        for option in ("port", "usersid", "localaddr", "remoteaddr", "localports", "remoteports", "priority"):
            expect(f"--{option} " in call("help", "add").out, option)
        expect("--runtimeendpoint " in call("lookup", "--help").out, name)
        expect(call("add", "--help").out == call("help", "add").out, name)
        expect("\n  hcnproxyctl add " in call("help", "add").out and "stile policy" not in call("help", "add").out, name)
        told = call("version").out.splitlines()
        expect(re.fullmatch(r"hcnproxyctl \S+ \(stile\)", told[0]) and re.fullmatch(r"nft \d+\.\d+.*", told[1]), told)
        expect(call("version", "--json").json() == {"version": told[0].split()[1], "system": told[1]}, name)
        missing = call("lookup", "ccaae3aba155", "--runtimeendpoint", "/run/test/none.sock")
        expect(missing.status == 1 and missing.err.startswith("hcnproxyctl lookup: "), missing)
        unknown = call("apply", blue)
        expect(unknown.status == 2 and "apply" in unknown.err, unknown)
        first = call("add", "--port=8000", "--uid", "77", "--localports", "1-9", blue)
        expect(first.out == "Successfully added the policy\n", first)
        call("clear", blue)
        wrong = call("add", blue, "--prot", "80")
        expect(wrong.status == 2 and "hcnproxyctl help add" in wrong.err, wrong)


def the_readmes_commands_work_as_they_stand(world):
    with open(os.path.join(HERE, "..", "..", "README.md"), encoding="utf-8") as file:
        section = file.read().split("## Containers through their sidecar", 1)[1].split("\n## ", 1)[0]
    commands = re.findall(r"^    (.*)$", section, re.MULTILINE)
    expect(len(commands) >= 8, commands)
    bin_dir = os.path.join(DIR, "bin")
    os.mkdir(bin_dir)
    os.symlink(STILE, os.path.join(bin_dir, "stile"))
    script = f"set -e; cd {DIR}; PATH={bin_dir}:$PATH\n" + "\n".join(commands) + "\n"
    done = world.run(["bash", "-c", script])
    expect(done.status == 0 and "Nothing has drifted." in done.out and "Removed 2 policies." in done.out, done)


def the_docs_commands_work_as_they_stand(world):
    with open(os.path.join(HERE, "..", "..", "docs", "policies.md"), encoding="utf-8") as file:
        section = file.read().split("## In a minute", 1)[1].split("\n## ", 1)[0]
    commands = re.search(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[1]
    expect(len(commands.splitlines()) >= 8, commands)
    bin_dir = os.path.join(DIR, "docs-bin")
    os.mkdir(bin_dir)
    os.symlink(STILE, os.path.join(bin_dir, "stile"))
    os.symlink(os.environ["PROXY"], os.path.join(bin_dir, "original-destination"))
    done = world.run(["bash", "-c", f"set -e; cd {DIR}; PATH={bin_dir}:$PATH\n{commands}"])
    expect(done.status == 0 and "Directory listing" in done.out and "Removed 1 policy." in done.out, done)
    expect(re.search(r"^tcp 192\.0\.2\.2:\d+ -> 192\.0\.2\.7:80 via 192\.0\.2\.2:\d+$", done.out, re.MULTILINE), done)


def seconds_of(world, count):
    """Of adding, listing and clearing so many."""
    many = world.namespace("many")
    path = write(f"{count}.json", [policy(n) for n in range(1, count + 1)])
    added = world.good("add", many, "--file", path)
    expect(added.out == f"Added {count} policies.\n", added)
    listed = world.good("list", many, "--json")
    expect(len(listed.json()) == count, f"{len(listed.json())} are listed")
    cleared = world.good("clear", many)
    world.end_test()
    return added.seconds, listed.seconds, cleared.seconds


def is_linear(a, b, c):
    """Of 250, 500, 1000; generously."""
    return b <= 3.5 * a + 0.4 and c <= 3.5 * b + 0.4 and c <= 8 * a + 0.4


def a_thousand_policies_take_linear_time(world):
    if os.environ["STILE_WORLD"] != "root":
        raise Skip("one transaction of an ordinary user may not be as large")
    best = {count: (1e9, 1e9, 1e9) for count in (250, 500, 1000)}
    for _ in range(6):  # the machine may be busy with other things meanwhile
        best = {count: tuple(map(min, best[count], seconds_of(world, count))) for count in best}
        if all(is_linear(*times) for times in zip(*best.values())):
            break
    told = [tuple(round(s, 2) for s in times) for times in best.values()]
    print(f"# add, list, clear of 250, 500, 1000: {told}")
    for action, times in zip(("add", "list", "clear"), zip(*best.values())):
        expect(is_linear(*times), f"{action}: {told}")


if __name__ == "__main__":
    run_tests(__file__, [
        an_unknown_command_names_the_near_one_or_where_they_are_listed, help_tells_of_all_commands, policy_alone_and_its_help_show_the_commands, command_lines_that_make_no_sense_are_refused_with_2,
        names_that_are_none_are_refused, endpoints_that_are_not_there_are_named, the_hosts_own_network_is_refused_without_host,
        a_process_is_an_endpoint_until_it_ends, lookup_says_where_it_looked, watch_says_once_what_it_waits_for, every_option_becomes_what_it_says,
        list_tells_people_everything, a_cgroup_must_be_there, a_block_is_told, a_limit_of_files_is_a_failure_like_any, several_writers_lose_nothing, who_is_waited_for_is_said,
        json_has_what_the_man_page_says, output_that_cant_be_written_is_a_failure,
        a_change_whose_report_cant_be_written_is_told_as_made, port_alone_sets_both_directions, add_says_what_is_new_and_what_was_there,
        what_list_prints_apply_reads, apply_touches_nothing_that_is_right, dry_run_prints_what_would_be_sent_and_sends_nothing,
        what_dry_run_prints_is_the_change, remove_takes_one_by_what_it_has,
        apply_says_what_it_repairs, clear_tells_of_no_drift_that_ends_with_it, nft_is_asked_no_more_often_than_need_be,
        clear_leaves_nothing, reconcile_repairs_and_says_what,
        drift_and_what_would_be_done_are_no_deeds, reconcile_with_a_file_restores_what_was_deleted, reconcile_without_anything_to_compare_with_fails, the_seeds_example_is_refused_for_its_ports,
        validate_says_everything_with_numbers, what_cant_be_read_is_told_all_at_once, a_policy_that_is_given_twice_counts_once,
        loop_guards_beside_an_empty_file_make_no_policy, what_makes_no_sense_is_told_with_its_place,
        add_warns_of_what_stands_behind_others_that_are_there, apply_numbers_what_it_warns_of_as_list_does, root_as_loop_guard_is_warned_of, what_this_system_cant_do_changes_nothing,
        files_that_are_none_are_named,
        what_the_kernel_tells_cant_steer_a_terminal, version_tells_of_nft, an_ordinary_user_is_told_what_is_missing,
        hcnproxyctl_takes_its_own_command_line, the_readmes_commands_work_as_they_stand, the_docs_commands_work_as_they_stand,
        a_thousand_policies_take_linear_time,
    ], World, programs=("nft",), limit_s=240)
