#!/usr/bin/python3
"""`stile policy`, and hcnproxyctl, as a person types them: the words they take, their help, what they refuse and why, and the
commands of the docs."""

import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))

from common.harness import run_tests  # noqa: E402
from common.process import Skip, wait_until  # noqa: E402
from lib.plain import DIR, STILE, TABLE, World, expect, policy, write  # noqa: E402

COMMANDS = ["lookup", "list", "apply", "add", "remove", "clear", "reconcile", "validate", "version"]
SEED = {"Type": "L4WFPPROXY", "Settings": {
    "InboundProxyPort": "9091", "OutboundProxyPort": "9191", "FilterTuple": {"Protocols": "6"},
    "InboundExceptions": {"PortExceptions": ["90001", "90002"], "IpAddressExceptions": ["127.0.0.1"]},
    "OutboundExceptions": {"PortExceptions": ["90001", "90002"], "IpAddressExceptions": ["127.0.0.1"]},
    "UserSID": "S-1-5-32-556"}}


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


if __name__ == "__main__":
    run_tests(__file__, [
        an_unknown_command_names_the_near_one_or_where_they_are_listed, help_tells_of_all_commands,
        policy_alone_and_its_help_show_the_commands, command_lines_that_make_no_sense_are_refused_with_2, names_that_are_none_are_refused,
        endpoints_that_are_not_there_are_named, the_hosts_own_network_is_refused_without_host, a_process_is_an_endpoint_until_it_ends,
        lookup_says_where_it_looked, watch_says_once_what_it_waits_for, json_has_what_the_man_page_says,
        output_that_cant_be_written_is_a_failure, the_seeds_example_is_refused_for_its_ports, validate_says_everything_with_numbers,
        what_cant_be_read_is_told_all_at_once, a_policy_that_is_given_twice_counts_once, loop_guards_beside_an_empty_file_make_no_policy,
        what_makes_no_sense_is_told_with_its_place, add_warns_of_what_stands_behind_others_that_are_there,
        apply_numbers_what_it_warns_of_as_list_does, root_as_loop_guard_is_warned_of, what_this_system_cant_do_changes_nothing,
        files_that_are_none_are_named, what_the_kernel_tells_cant_steer_a_terminal, version_tells_of_nft,
        an_ordinary_user_is_told_what_is_missing, hcnproxyctl_takes_its_own_command_line, the_readmes_commands_work_as_they_stand,
        the_docs_commands_work_as_they_stand,
    ], World, programs=("nft",), limit_s=240)
