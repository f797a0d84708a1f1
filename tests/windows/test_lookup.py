#!/usr/bin/python3
"""stile.exe policy lookup: a container's endpoints, by its runtime's named pipe and HNS."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common.harness import run_here  # noqa: E402
from common.process import Stopwatch  # noqa: E402
from hns_world import ENDPOINT, OTHER, SPACE, World, endpoint, namespace  # noqa: E402

RUNNING, EXITED = 1, 2
PIPE = "\\\\.\\pipe\\containerd-containerd"


def info(**windows):
    return json.dumps({"pid": 4, "sandboxID": "aa11", "runtimeSpec": {"windows": windows}})


ISOLATED = info(network={"networkNamespace": SPACE.upper()})


class LookupWorld(World):
    """With a runtime on its pipe."""

    def __init__(self):
        super().__init__()
        self.runtime = None
        self.start_runtime()

    def start_runtime(self, pipe=PIPE):
        self.runs()
        self.runtime = self.start(pipe, self.windows_path(self.path("runtime.json")), exe=os.environ["CRI_DOUBLE"])
        assert self.runtime.stdout.readline().strip() == "ready", self.runtime.stderr.read()

    def stop_runtime(self):
        os.unlink(self.path("runtime.json"))
        self.runtime.communicate(timeout=60)

    def runs(self, container=ISOLATED, sandbox=ISOLATED, state=RUNNING, **more):
        self.file("runtime.json", {"version": "v1", "containers": [{"id": "cc11", "sandbox": "aa11", "state": state, "info": container}],
                                   "sandboxes": [{"id": "aa11", "state": 0, "info": sandbox}], **more})

    def mark_logs(self):
        super().mark_logs()
        self.runs()

    def stop(self):
        self.stop_runtime()
        super().stop()


def a_containers_endpoints_are_found(world):
    for words in (["cc11"], ["cc"], ["aa11"], ["cc11", "--runtimeendpoint", "npipe:////./pipe/containerd-containerd"],
                  ["cc11", "--runtimeendpoint", PIPE], ["cc11", "--runtimeendpoint", "npipe://./pipe/containerd-containerd"]):
        assert world.policy("lookup", *words).ok().out.split() == [ENDPOINT], words


def all_endpoints_of_the_namespace_are_printed_one_per_line(world):
    world.hold([endpoint(), endpoint(guid=OTHER)], [namespace(guids=(ENDPOINT, OTHER))])
    assert world.policy("lookup", "cc11").ok().out.split("\n") == [ENDPOINT, OTHER, ""]


def the_older_interface_serves_as_well(world):
    world.runs(version="v1alpha2")
    assert world.policy("lookup", "cc11").ok().out.split() == [ENDPOINT]
    world.runs(version="v2")
    world.policy("lookup", "cc11").failed("Container Runtime Interface")


def a_hyper_v_container_is_refused_by_name(world):
    world.runs(container=info(network={"networkNamespace": SPACE}, hyperv={}))
    world.policy("lookup", "cc11").failed("Hyper-V")
    world.runs(sandbox=info(network={"networkNamespace": SPACE}, hyperv={"utilityVMPath": "x"}))
    world.policy("lookup", "aa11").failed("Hyper-V")


def what_does_not_run_or_is_not_there_is_refused(world):
    world.policy("lookup", "dd").failed("dd", "double 1.0", PIPE)
    world.runs(state=EXITED)
    world.policy("lookup", "cc11").failed("not running")


def a_container_without_a_namespace_is_refused(world):
    world.runs(container=info(), sandbox=info())
    world.policy("lookup", "cc11").failed("network namespace")
    world.runs(container=info(network={"networkNamespace": "nonsense"}))
    world.policy("lookup", "cc11").failed("GUID")


def information_that_makes_no_sense_is_an_error(world):
    world.runs(container="{")
    world.policy("lookup", "cc11").failed("makes no sense")


def another_systems_address_is_refused(world):
    world.policy("lookup", "cc11", "--runtimeendpoint", "unix:///run/containerd/containerd.sock").failed("npipe:////./pipe/NAME")
    world.policy("lookup", "cc11", "--runtimeendpoint", "podman").failed("podman", "Linux")
    world.policy("lookup", "cc11", "--runtimeendpoint", "npipe:////./pipe/nothing").failed("\\\\.\\pipe\\nothing")


def a_runtime_that_hangs_is_given_up_in_time(world):
    world.runs(hang=True)
    began, watch = time.monotonic(), Stopwatch()
    world.policy("lookup", "cc11").failed("did not answer in time")
    assert 8 < time.monotonic() - began and watch.seconds() < 20


def without_a_runtime_the_usual_pipe_is_named(world):
    world.stop_runtime()
    try:
        world.policy("lookup", "cc11").failed("No container runtime", PIPE)
    finally:
        world.start_runtime()


TESTS = [a_containers_endpoints_are_found, all_endpoints_of_the_namespace_are_printed_one_per_line, the_older_interface_serves_as_well,
         a_hyper_v_container_is_refused_by_name, what_does_not_run_or_is_not_there_is_refused,
         a_container_without_a_namespace_is_refused, information_that_makes_no_sense_is_an_error, another_systems_address_is_refused,
         a_runtime_that_hangs_is_given_up_in_time, without_a_runtime_the_usual_pipe_is_named]


if __name__ == "__main__":
    run_here(TESTS, LookupWorld)
