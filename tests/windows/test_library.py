#!/usr/bin/python3
"""libstile-policy as a DLL, used by a program that knows its header alone."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.harness import run_here  # noqa: E402
from hns_world import ACL, ENDPOINT, OTHER, SPACE, World, endpoint, namespace, wfp  # noqa: E402


class LibraryWorld(World):
    def __init__(self):
        super().__init__()
        self.user = self.path("library_user.exe")
        shutil.copy(os.environ["LIBRARY_USER"], self.user)
        shutil.copy(os.environ["LIBRARY"], self.dir)

    def use(self, *arguments, **options):
        result = self.run(*arguments, exe=self.user, **options)
        self.no_leak()
        return result


def policies_are_applied_listed_and_cleared(world):
    world.hold([endpoint([ACL])])
    world.use("3", ENDPOINT).ok()
    assert world.held() == [ACL]
    assert len(world.requests()) == 6, world.requests()  # add; remove and add, twice; remove


def threads_with_endpoints_of_their_own_do_not_disturb_each_other(world):
    guids = [ENDPOINT, OTHER] + [f"c0ffee00-0000-4000-8000-0000000001{i:02}" for i in range(6)]
    world.hold([endpoint([ACL], guid=g) for g in guids], [namespace(guids=guids)])
    world.use("5", *guids).ok()
    assert all(world.held(g) == [ACL] for g in guids)
    assert len(world.requests()) == len(guids) * 10


def an_error_is_a_value_with_a_code_and_words(world):
    world.use("1", OTHER).failed(OTHER, "STILE_POLICY_ENOTFOUND", "there is no such endpoint")
    world.use("1", "blue").failed("STILE_POLICY_EINVAL", "is not a GUID")
    world.hold([endpoint()], [namespace("HostDefault", space=SPACE)])
    world.use("1", ENDPOINT).failed("STILE_POLICY_EDENIED")
    world.hold([endpoint()], [namespace("Guest")])
    world.use("1", ENDPOINT).failed("STILE_POLICY_EUNSUPPORTED", "Hyper-V")
    world.hold([endpoint()], version={"Major": 12, "Minor": 0})
    world.use("1", ENDPOINT).failed("STILE_POLICY_EVERSION", "12.0")
    world.hold([endpoint([wfp({"InboundProxyPort": "7000"})])])
    world.use("1", ENDPOINT, fail="HcnModifyEndpoint#1", how="both").failed("STILE_POLICY_EIO", "made to fail")
    world.uninstall()
    world.use("1", ENDPOINT).failed("STILE_POLICY_EUNSUPPORTED", "vmcompute.dll")


if __name__ == "__main__":
    run_here([
        policies_are_applied_listed_and_cleared,
        threads_with_endpoints_of_their_own_do_not_disturb_each_other,
        an_error_is_a_value_with_a_code_and_words,
    ], LibraryWorld)
