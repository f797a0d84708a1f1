#!/usr/bin/python3
"""`stile policy` as a person types it, in network namespaces that the test makes: what it changes, lists, tells of it
and leaves behind."""

import fcntl
import json
import os
import secrets
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402
from common.process import Skip  # noqa: E402
from lib.plain import DIR, STILE, TABLE, World, expect, policy, write  # noqa: E402

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
        every_option_becomes_what_it_says, list_tells_people_everything, a_cgroup_must_be_there, a_block_is_told,
        a_limit_of_files_is_a_failure_like_any, several_writers_lose_nothing, who_is_waited_for_is_said,
        a_change_whose_report_cant_be_written_is_told_as_made, port_alone_sets_both_directions, add_says_what_is_new_and_what_was_there,
        what_list_prints_apply_reads, apply_touches_nothing_that_is_right, dry_run_prints_what_would_be_sent_and_sends_nothing,
        what_dry_run_prints_is_the_change, remove_takes_one_by_what_it_has, apply_says_what_it_repairs,
        clear_tells_of_no_drift_that_ends_with_it, nft_is_asked_no_more_often_than_need_be, clear_leaves_nothing,
        reconcile_repairs_and_says_what, drift_and_what_would_be_done_are_no_deeds, reconcile_with_a_file_restores_what_was_deleted,
        reconcile_without_anything_to_compare_with_fails, a_thousand_policies_take_linear_time,
    ], World, programs=("nft",), limit_s=240)
