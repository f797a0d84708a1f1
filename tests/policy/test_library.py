#!/usr/bin/python3
"""The library's example (examples/policy.c) on a pod of containerd's: a program that is not stile finds the container's endpoint, adds,
lists and clears. With its control: without the policy the traffic goes direct."""

import json
import os

from lib.checks import TCPS, UDPS, is_direct, is_proxied
from lib.containerd import ContainerWorld
from lib.world import main

EXAMPLE = os.environ["POLICY_EXAMPLE"]


def a_program_of_its_own_finds_a_pod_and_sends_it_through_its_proxy(world):
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    is_direct(world, proxy, app.talk, TCPS)
    endpoint = world.check(EXAMPLE, "find", app.id).strip()
    assert os.stat(endpoint).st_ino == os.stat(f"/proc/{app.pid()}/ns/net").st_ino, endpoint
    assert world.check(EXAMPLE, "add", endpoint, "8000", "1337") == "1 added; the endpoint has 1\n"
    is_proxied(world, proxy, app.talk, TCPS)
    is_direct(world, proxy, app.talk, UDPS)
    listed = world.check(EXAMPLE, "list", endpoint).splitlines()
    assert listed[0] == "inbound and outbound TCP to port 8000, not of uid 1337", listed
    assert json.loads(listed[1]) == json.loads(world.policy("list", endpoint, "--json")), listed
    world.check(EXAMPLE, "clear", endpoint)
    is_direct(world, proxy, app.talk, TCPS)


TESTS = [a_program_of_its_own_finds_a_pod_and_sends_it_through_its_proxy]

if __name__ == "__main__":
    main(__file__, TESTS, ContainerWorld)
