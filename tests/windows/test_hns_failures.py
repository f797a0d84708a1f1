#!/usr/bin/python3
"""stile.exe policy where HNS is missing, old, or fails: a message, an exit status, nothing changed, nothing leaked."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.harness import run_here  # noqa: E402
from hns_world import ACL, ENDPOINT, LIBRARIES, World, endpoint, wfp  # noqa: E402

OLD = wfp({"InboundProxyPort": "7000", "FilterTuple": {"Protocols": "6"}})
NEW = wfp({"OutboundProxyPort": "9000", "FilterTuple": {"Protocols": "6"}, "UserSID": "S-1-5-18"})
WAYS = ("hresult", "record", "both", "null")


def system_code(text):
    return re.search(r"\(0x[0-9a-f]{8}\)", text) is not None


def apply_new(world, **options):
    return world.policy("apply", ENDPOINT, "--file", world.file("new.json", [NEW]), **options)


def a_windows_without_hns_is_told_of(world):
    for name in LIBRARIES:
        world.install()
        world.uninstall([name])
        world.policy("version").failed("no Host Networking Service", name, "Containers")
        world.policy("list", ENDPOINT).failed("no Host Networking Service", name)
    assert world.calls() == []


def what_needs_no_hns_works_without_it(world):
    world.uninstall()
    world.run("version").ok()
    world.run("help", "policy").ok()
    world.policy("validate", "--file", world.file("new.json", [NEW])).ok()
    world.policy("list", "no-guid").failed("is not a GUID")


def a_library_planted_beside_the_program_or_in_its_directory_is_not_loaded(world):
    exe = world.path("stile.exe")
    shutil.copy(world.exe, exe)
    world.uninstall()
    for name in LIBRARIES:
        shutil.copy(os.path.join(os.environ["HNS_DOUBLES"], name), world.path(name))
    elsewhere = os.path.dirname(os.environ["WINE"])
    for options in ({"exe": exe, "cwd": world.dir}, {"exe": exe, "cwd": elsewhere}, {"cwd": world.dir}):
        world.policy("version", **options).failed("no Host Networking Service")
    assert world.calls() == []
    # The control: the same files where they belong.
    world.install()
    world.policy("version", exe=exe, cwd=world.dir).ok()
    assert world.calls("HNSCall")
    for name in LIBRARIES:
        os.unlink(world.path(name))


def a_library_without_one_of_the_functions_is_told_of_by_name(world):
    shutil.copy(os.path.join(os.environ["HNS_DOUBLES"], "vmcompute.dll"), os.path.join(world.system, "computenetwork.dll"))
    world.policy("list", ENDPOINT).failed("computenetwork.dll has no HcnOpenEndpoint", "Windows Server 2022")


def an_hns_that_is_too_old_is_refused_with_its_version(world):
    for major, minor in ((13, 1), (12, 9), (9, 2), (0, 0)):
        world.hold([endpoint()], version={"Major": major, "Minor": minor})
        apply_new(world).failed(f"has HNS {major}.{minor}", "need HNS 13.2")
        assert world.calls("HcnOpen") == []
        assert f"HNS {major}.{minor}" in world.policy("version").ok().out
    for major, minor in ((13, 2), (13, 3), (14, 0), (15, 4)):
        world.hold([endpoint()], version={"Major": major, "Minor": minor})
        apply_new(world).ok()


def an_answer_about_the_version_that_makes_no_sense_is_refused(world):
    for answer, text in (("", "not JSON"), ("[]", "not a JSON object"), ('{"Success":true}', "Major"),
                         ('{"Success":true,"Output":{"Major":"13","Minor":2}}', "Major"),
                         ('{"Success":true,"Output":{"Major":13,"Minor":-2}}', "Minor"),
                         ('{"Success":false,"Error":"the service is ill","Output":{"Major":13,"Minor":2}}', "the service is ill"),
                         ('{"Output":{"Major":13,"Minor":2}}', "gave no reason")):
        world.hold([endpoint()], version=answer)
        apply_new(world).failed(text)
    assert world.calls("HcnOpen") == []


def properties_that_make_no_sense_are_refused(world):
    for change, text in (({"ID": ENDPOINT, "HostComputeNamespace": "five"}, "is not a GUID"),
                         ({"ID": ENDPOINT, "Policies": {}}, "Policies are no array")):
        world.hold([dict(endpoint(), **change)])
        apply_new(world).failed(text)
    assert world.requests() == []


def calls_of_a_change(world):
    world.hold([endpoint([ACL, OLD])])
    apply_new(world).ok()
    calls = [line.split(" ")[0] for line in world.calls() if "#" in line.split(" ")[0]]
    assert len(calls) == 10 and calls[-3:] == ["HcnModifyEndpoint#1", "HcnModifyEndpoint#2", "HcnCloseEndpoint#1"], calls
    return calls


def each_call_that_fails_ends_the_command_and_changes_nothing(world):
    for call in calls_of_a_change(world):
        for how in WAYS:
            if "Close" in call or "Modify" in call and how == "null" or "HNSCall" in call and how in ("record", "both"):
                continue  # a close has nothing to fail, a change gives no answer, HNSCall has no record
            world.hold([endpoint([ACL, OLD])])
            result = apply_new(world, fail=call, how=how).failed()
            assert result.out == "" and len(result.err) > 30, (call, how, result.err)
            if how in ("hresult", "both"):
                assert system_code(result.err), (call, how, result.err)
            if how in ("record", "both"):
                assert "made to fail" in result.err, (call, how, result.err)
            assert sorted(map(str, world.held())) == sorted(map(str, [ACL, OLD])), (call, how, world.held())


def an_endpoint_that_does_not_close_well_is_no_failure(world):
    for call in ("HcnCloseEndpoint#1", "HcnCloseNamespace#1"):
        world.hold([endpoint([ACL, OLD])])
        apply_new(world, fail=call, how="hresult").ok()
        assert world.held() == [ACL, NEW]


def what_was_removed_comes_back_when_the_new_policy_is_refused(world):
    for how in ("hresult", "record", "both"):
        world.hold([endpoint([ACL, OLD])])
        apply_new(world, fail="HcnModifyEndpoint#2", how=how).failed("were there before are back")
        assert [line.split('"RequestType":"')[1].split('"')[0] for line in world.requests()] == ["Remove", "Add", "Add"]
        assert world.held() == [ACL, OLD]


def what_could_not_be_put_back_is_said(world):
    world.hold([endpoint([ACL, OLD])])
    apply_new(world, fail="HcnModifyEndpoint#2,HcnModifyEndpoint#3", how="both").failed("could not be put back", "Apply again")
    assert world.held() == [ACL]
    apply_new(world).ok()
    assert world.held() == [ACL, NEW]


def what_dies_in_the_middle_is_put_right_by_the_next(world):
    for call in calls_of_a_change(world):
        world.hold([endpoint([ACL, OLD])])
        assert apply_new(world, fail=call, how="die").status == 99
        assert world.held() == ([ACL] if call == "HcnModifyEndpoint#2" else [ACL, NEW] if call == "HcnCloseEndpoint#1" else [ACL, OLD])
        apply_new(world).ok()
        assert world.held() == [ACL, NEW], (call, world.held())


def each_command_tells_of_a_failure(world):
    for command in (["list"], ["clear"], ["remove", "--file", world.file("old.json", [NEW])],
                    ["add", "--outbound-port", "9000", "--usersid", "system"],
                    ["reconcile", "--file", world.file("new.json", [NEW])]):
        world.hold([endpoint([NEW])])
        result = world.policy(command[0], ENDPOINT, *command[1:], fail="HcnQueryEndpointProperties#2", how="record")
        result.failed("made to fail", ENDPOINT)
        assert world.requests() == [] and world.held() == [NEW]


def the_doubles_tell_of_what_is_leaked(world):
    world.run(ENDPOINT, exe=os.path.join(os.environ["HNS_DOUBLES"], "leaky.exe")).ok()
    assert [line for line in world.calls() if "LEAK" in line] == ["LEAK 1 handles", "LEAK 1 answers"], world.calls()


def hns_is_not_among_the_imports_of_the_program(world):
    listing = subprocess.run(["x86_64-w64-mingw32-objdump", "-p", world.exe], stdout=subprocess.PIPE, text=True, check=True).stdout
    libraries = {name.lower() for name in re.findall(r"DLL Name: (\S+)", listing)}
    assert "kernel32.dll" in libraries and not libraries & set(LIBRARIES), libraries
    # Nothing but Windows' own: no library of the compiler or of ours beside the program.
    assert libraries <= {"advapi32.dll", "bcrypt.dll", "crypt32.dll", "iphlpapi.dll", "kernel32.dll", "msvcrt.dll", "ole32.dll",
                         "psapi.dll", "shell32.dll", "user32.dll", "userenv.dll", "ws2_32.dll"}, libraries


if __name__ == "__main__":
    run_here([
        a_windows_without_hns_is_told_of,
        what_needs_no_hns_works_without_it,
        a_library_planted_beside_the_program_or_in_its_directory_is_not_loaded,
        a_library_without_one_of_the_functions_is_told_of_by_name,
        an_hns_that_is_too_old_is_refused_with_its_version,
        an_answer_about_the_version_that_makes_no_sense_is_refused,
        properties_that_make_no_sense_are_refused,
        each_call_that_fails_ends_the_command_and_changes_nothing,
        an_endpoint_that_does_not_close_well_is_no_failure,
        what_was_removed_comes_back_when_the_new_policy_is_refused,
        what_could_not_be_put_back_is_said,
        what_dies_in_the_middle_is_put_right_by_the_next,
        each_command_tells_of_a_failure,
        the_doubles_tell_of_what_is_leaked,
        hns_is_not_among_the_imports_of_the_program,
    ], World)
