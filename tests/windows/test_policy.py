#!/usr/bin/python3
"""stile.exe policy: what HNS is asked, byte for byte, and what is told to the person."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.harness import run_here  # noqa: E402
from hns_world import ACL, ENDPOINT, OTHER, SPACE, World, endpoint, namespace, wfp  # noqa: E402

ONE = wfp({"InboundProxyPort": "8000", "OutboundProxyPort": "8000", "FilterTuple": {"Protocols": "6"}, "UserSID": "S-1-5-18"})
TWO = wfp({"OutboundProxyPort": "9000", "FilterTuple": {"Protocols": "6"}, "UserSID": "S-1-5-32-556"})
ADD_ONE = ["add", ENDPOINT, "--port", "8000", "--usersid", "system"]
# As a newer HNS, or another program, may hold it: members nobody here knows, empty ones, their own order, odd numbers.
STRANGE = wfp({"UserSID": "S-1-5-18", "FilterTuple": {"LocalPorts": "", "Protocols": "6", "NewFilter": [1, 2.5, {"a": None}]},
               "OutboundProxyPort": "8000", "InboundProxyPort": "8000", "NewMember": {"z": 1, "a": "\u00fc"}, "Weight": 9007199254740993,
               "InboundExceptions": None, "OutboundExceptions": {"PortExceptions": []}})
SEED = """{"Type": "L4WFPPROXY", "Settings": {"InboundProxyPort": "9091", "OutboundProxyPort": "9191",
  "FilterTuple": {"Protocols": "6"}, "InboundExceptions": {"PortExceptions": ["%s","%s"], "IpAddressExceptions": ["127.0.0.1"]},
  "OutboundExceptions": {"PortExceptions": ["%s","%s"], "IpAddressExceptions": ["127.0.0.1"]}, "UserSID": "S-1-5-32-556"}}"""


def request(kind, *policies):
    return json.dumps({"ResourceType": "Policy", "RequestType": kind, "Settings": {"Policies": list(policies)}},
                      separators=(",", ":"), ensure_ascii=False)


def the_version_is_that_of_hns(world):
    assert "HNS 13.2" in world.policy("version").ok().out


def a_policy_is_added_as_hns_wants_it(world):
    world.hold([endpoint([ACL])])
    world.policy(*ADD_ONE).ok()
    assert world.requests() == [request("Add", ONE)], world.requests()
    assert world.held() == [ACL, ONE]


def everything_that_hns_knows_is_sent_and_nothing_else(world):
    world.policy("add", ENDPOINT, "--inbound-port", "9091", "--outbound-port", "9191", "--usersid", "S-1-5-32-556", "--localaddr",
                 "10.1.2.3", "--remoteaddr", "10.0.0.0/8,192.0.2.7", "--localports", "80,443", "--remoteports", "5432", "--priority",
                 "7", "--inbound-port-exceptions", "9001,9002", "--inbound-address-exceptions", "127.0.0.1",
                 "--outbound-port-exceptions", "53", "--outbound-address-exceptions", "169.254.169.254,10.9.0.0/16").ok()
    assert world.requests() == [request("Add", wfp({
        "InboundProxyPort": "9091", "OutboundProxyPort": "9191",
        "FilterTuple": {"Protocols": "6", "LocalAddresses": "10.1.2.3", "RemoteAddresses": "10.0.0.0/8,192.0.2.7",
                        "LocalPorts": "80,443", "RemotePorts": "5432", "Priority": 7},
        "UserSID": "S-1-5-32-556",
        "InboundExceptions": {"IpAddressExceptions": ["127.0.0.1"], "PortExceptions": ["9001", "9002"]},
        "OutboundExceptions": {"IpAddressExceptions": ["169.254.169.254", "10.9.0.0/16"], "PortExceptions": ["53"]}}))]


def members_of_linux_are_never_sent(world):
    both = wfp(dict(ONE["Settings"], UserID="1337", GroupID="1338", Cgroup="proxy"))
    world.policy("apply", ENDPOINT, "--file", world.file("both.json", [both])).ok()
    assert world.requests() == [request("Add", ONE)]
    world.forget_calls()
    assert world.json("apply", ENDPOINT, "--file", world.file("both.json", [both]))["unchanged"] == 1
    assert world.requests() == []


def what_is_listed_as_json_can_be_applied_again(world):
    world.hold([endpoint([ACL, STRANGE])])
    listed = world.json("list", ENDPOINT)
    assert listed == [ONE], listed
    world.forget_calls()
    result = world.json("apply", ENDPOINT, "--file", world.file("listed.json", listed))
    assert (result["added"], result["removed"], result["unchanged"]) == (0, 0, 1)
    assert world.requests() == []


def the_list_shows_policies_of_proxies_alone(world):
    world.hold([endpoint([ACL, TWO])])
    out = world.policy("list", ENDPOINT).ok().out
    assert "9000" in out and "S-1-5-32-556" in out and "ACL" not in out


def the_single_port_of_older_hosts_is_read_and_sent_back_but_never_written(world):
    old = wfp({"Port": "8000", "UserSID": "S-1-5-18", "FilterTuple": {"Protocols": "6"}})
    world.hold([endpoint([old])])
    assert world.json("list", ENDPOINT) == [ONE]
    world.policy("apply", ENDPOINT, "--file", world.file("two.json", [TWO])).ok()
    assert world.requests() == [request("Remove", old), request("Add", TWO)]


def removing_sends_back_exactly_what_was_read(world):
    world.hold([endpoint([ACL, STRANGE])])
    world.policy("remove", ENDPOINT, "--file", world.file("one.json", [ONE])).ok()
    assert world.requests() == [request("Remove", STRANGE)], world.requests()
    assert world.held() == [ACL]


def what_is_not_there_is_not_removed_and_nothing_else_is(world):
    world.hold([endpoint([ONE])])
    world.policy("remove", ENDPOINT, "--file", world.file("both.json", [ONE, TWO])).failed("not there")
    assert world.requests() == [] and world.held() == [ONE]


def clear_takes_the_policies_of_proxies_alone(world):
    world.hold([endpoint([ACL, STRANGE])])
    world.policy("clear", ENDPOINT).ok()
    assert world.requests() == [request("Remove", STRANGE)] and world.held() == [ACL]


def clear_of_an_endpoint_without_policies_asks_for_nothing(world):
    world.hold([endpoint([ACL])])
    world.policy("clear", ENDPOINT).ok()
    assert world.requests() == []


def a_policy_that_makes_no_sense_is_told_of_and_can_be_cleared(world):
    wrong = wfp({"InboundProxyPort": "90001"})
    world.hold([endpoint([wrong])])
    world.policy("list", ENDPOINT).failed("90001", "stile policy clear")
    world.policy(*ADD_ONE).failed("90001")
    assert world.requests() == []
    world.policy("clear", ENDPOINT).ok()
    assert world.requests() == [request("Remove", wrong)] and world.held() == []


def apply_asks_for_the_difference_and_then_for_nothing(world):
    world.hold([endpoint([ACL, ONE])])
    file = world.file("two.json", [TWO])
    world.policy("apply", ENDPOINT, "--file", file).ok()
    assert world.requests() == [request("Remove", ONE), request("Add", TWO)]
    assert world.held() == [ACL, TWO]
    world.forget_calls()
    world.policy("apply", ENDPOINT, "--file", file).ok()
    assert world.requests() == []


def adding_what_is_there_asks_for_nothing(world):
    world.policy(*ADD_ONE).ok()
    world.forget_calls()
    world.policy(*ADD_ONE).ok()
    assert world.requests() == []


def a_dry_run_prints_what_would_be_sent_and_sends_nothing(world):
    world.hold([endpoint([ONE])])
    for command, expected in (("apply", request("Remove", ONE) + "\n" + request("Add", TWO) + "\n"), ("remove", "")):
        given = TWO if command == "apply" else ONE
        out = world.policy(command, ENDPOINT, "--file", world.file("given.json", [given]), "--dry-run").ok().out
        assert out == (expected or request("Remove", ONE) + "\n"), out
    assert world.requests() == [] and world.held() == [ONE]


def reconcile_says_what_had_drifted(world):
    world.hold([endpoint([ONE])])
    result = world.json("reconcile", ENDPOINT, "--file", world.file("two.json", [TWO]))
    assert result["drifted"] and (result["added"], result["removed"]) == (1, 1) and len(result["notes"]) == 2, result
    result = world.json("reconcile", ENDPOINT, "--file", world.file("two.json", [TWO]))
    assert not result["drifted"] and world.held() == [TWO]


def a_second_proxy_on_an_endpoint_is_refused_by_name_of_the_limit(world):
    world.hold([endpoint([ONE])])
    world.policy("add", ENDPOINT, "--outbound-port", "9000", "--usersid", "system").failed("one proxy per endpoint")
    world.policy("apply", ENDPOINT, "--file", world.file("both.json", [ONE, TWO])).failed("one proxy per endpoint")
    assert world.requests() == [] and world.held() == [ONE]


def udp_ipv6_and_port_ranges_are_refused_by_name_of_the_limit(world):
    for option, value, limit in (("--protocol", "udp", "no UDP on Windows"), ("--protocol", "6,17", "no UDP on Windows"),
                                 ("--remoteaddr", "fd00::/8", "no IPv6 on Windows"),
                                 ("--outbound-address-exceptions", "::1", "no IPv6 on Windows"),
                                 ("--remoteports", "8000-9000", "no port ranges on Windows")):
        world.policy(*ADD_ONE, option, value).failed(limit)
    assert world.requests() == []


def the_example_of_the_original_is_refused_for_its_ports(world):
    result = world.policy("apply", ENDPOINT, "--file", world.file("seed.json", SEED % (90001, 90002, 90001, 90002)))
    assert result.status != 0 and "90001" in result.err and "65535" in result.err, result.err
    assert world.requests() == []
    world.policy("apply", ENDPOINT, "--file", world.file("seed.json", SEED % (9001, 9002, 9001, 9002))).ok()
    world.file("seed.json", SEED % (9001, 9002, 9001, 9002))
    assert world.json("list", ENDPOINT)[0]["Settings"]["InboundExceptions"]["PortExceptions"] == ["9001", "9002"]


def validate_judges_for_windows_without_asking_hns(world):
    world.policy("validate", "--file", world.file("one.json", [ONE])).ok()
    result = world.policy("validate", "--file", world.file("both.json", [ONE, TWO]))
    assert result.status != 0 and "one proxy per endpoint" in result.out + result.err
    assert world.calls() == []


def a_guid_may_stand_in_braces_and_in_capitals(world):
    for name in ("{" + ENDPOINT + "}", ENDPOINT.upper()):
        world.policy("list", name).ok()
    assert all(line.endswith(ENDPOINT) for line in world.calls("HcnOpenEndpoint"))


def what_is_no_guid_is_told_so_and_hns_is_not_asked(world):
    for name in ("blue", ENDPOINT[:-1], "{" + ENDPOINT, ENDPOINT.replace("-", "_"), "schön"):
        world.policy("list", name).failed(name, "is not a GUID")
    assert world.calls() == []


def names_of_files_are_not_bound_to_a_code_page(world):
    world.policy("apply", ENDPOINT, "--file", world.file("Schl\u00fcssel \u2603 \U0001f411.json", [ONE])).ok()
    assert world.held() == [ONE]
    world.policy("apply", ENDPOINT, "--file", world.windows_path(world.path("\u00fc.json"))).failed("\u00fc.json")


def policies_come_from_standard_input_too(world):
    world.policy("apply", ENDPOINT, "--file", "-", stdin=json.dumps([ONE], indent=1).replace("\n", "\r\n")).ok()
    assert world.held() == [ONE]


def an_endpoint_that_is_not_there_is_told_so(world):
    world.policy("list", OTHER).failed(OTHER, "there is no such endpoint", "0x803b0002")


def the_hosts_own_network_is_refused_unless_it_is_said(world):
    for space, spaces, text in ((SPACE, [namespace("HostDefault")], "host's own"), ("", [], "no container"),
                                ("00000000-0000-0000-0000-000000000000", [], "no container")):
        world.hold([endpoint(space=space)], spaces)
        world.policy(*ADD_ONE).failed(text, "--host")
        assert world.requests() == []
        world.policy(*ADD_ONE, "--host").ok()
        assert world.requests() == [request("Add", ONE)]


def a_hyper_v_container_is_refused_by_name_of_the_limit(world):
    for kind in ("Guest", "GuestDefault"):
        world.hold([endpoint()], [namespace(kind)])
        world.policy(*ADD_ONE).failed("Hyper-V", "process-isolated")
        world.policy(*ADD_ONE, "--host").failed("Hyper-V")
    assert world.requests() == []


def a_namespace_that_is_gone_is_told_of(world):
    world.hold([endpoint()], [])
    world.policy(*ADD_ONE).failed(SPACE)
    assert world.requests() == []


def hcnproxyctl_is_the_same_program_under_its_old_name(world):
    exe = world.path("hcnproxyctl.exe")
    if not os.path.exists(exe):
        os.link(world.exe, exe) if os.stat(world.exe).st_dev == os.stat(world.dir).st_dev else __import__("shutil").copy(world.exe, exe)
    result = world.run("add", ENDPOINT, "--port", "8000", "--usersid", "system", exe=exe).ok()
    assert result.out.strip() == "Successfully added the policy", result.out
    assert world.requests() == [request("Add", ONE)]
    assert "8000" in world.run("list", ENDPOINT, exe=exe).ok().out
    world.run("clear", ENDPOINT, exe=exe).ok()
    assert world.held() == []
    world.no_leak()


def of_two_that_add_at_once_one_is_refused(world):
    """Each reads, judges and writes under the endpoint's lock: the double itself would be told of by its own error."""
    for _ in range(4):
        world.hold([endpoint()])
        both = [world.start("policy", "add", ENDPOINT, "--outbound-port", port, "--usersid", "system") for port in ("8001", "8002")]
        said = [p.communicate()[1] for p in both]
        assert sorted(p.returncode for p in both) == [0, 1], said
        assert any("one proxy per endpoint" in text for text in said), said
        assert len(world.held()) == 1 and len(world.requests()) == 1


if __name__ == "__main__":
    run_here([
        the_version_is_that_of_hns,
        a_policy_is_added_as_hns_wants_it,
        everything_that_hns_knows_is_sent_and_nothing_else,
        members_of_linux_are_never_sent,
        what_is_listed_as_json_can_be_applied_again,
        the_list_shows_policies_of_proxies_alone,
        the_single_port_of_older_hosts_is_read_and_sent_back_but_never_written,
        removing_sends_back_exactly_what_was_read,
        what_is_not_there_is_not_removed_and_nothing_else_is,
        clear_takes_the_policies_of_proxies_alone,
        clear_of_an_endpoint_without_policies_asks_for_nothing,
        a_policy_that_makes_no_sense_is_told_of_and_can_be_cleared,
        apply_asks_for_the_difference_and_then_for_nothing,
        adding_what_is_there_asks_for_nothing,
        a_dry_run_prints_what_would_be_sent_and_sends_nothing,
        reconcile_says_what_had_drifted,
        a_second_proxy_on_an_endpoint_is_refused_by_name_of_the_limit,
        udp_ipv6_and_port_ranges_are_refused_by_name_of_the_limit,
        the_example_of_the_original_is_refused_for_its_ports,
        validate_judges_for_windows_without_asking_hns,
        a_guid_may_stand_in_braces_and_in_capitals,
        what_is_no_guid_is_told_so_and_hns_is_not_asked,
        names_of_files_are_not_bound_to_a_code_page,
        policies_come_from_standard_input_too,
        an_endpoint_that_is_not_there_is_told_so,
        the_hosts_own_network_is_refused_unless_it_is_said,
        a_hyper_v_container_is_refused_by_name_of_the_limit,
        a_namespace_that_is_gone_is_told_of,
        hcnproxyctl_is_the_same_program_under_its_old_name,
        of_two_that_add_at_once_one_is_refused,
    ], World)
