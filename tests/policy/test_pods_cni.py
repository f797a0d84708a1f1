#!/usr/bin/python3
"""stile-cni in the chain of containerd's pods: policies are there before a pod's first process, and a pod without them doesn't start."""

import json
import os
import tempfile

from lib.checks import ALL, TCP4, is_direct, is_proxied, of, told_of
from lib.cni import ANNOTATIONS
from lib.containerd import ContainerWorld
from lib.cri import grpc
from lib.policies import BOTH, policy
from lib.world import NETWORK, Failed, main, wait_until

RULES = "/run/stile-rules.json"
ASKED = {"stile/proxy": "yes"}
READY = 0  # a sandbox's state
NET = {**NETWORK, "cniVersion": "1.0.0",
       "plugins": [*NETWORK["plugins"], {"type": "stile-cni", "file": RULES, "capabilities": {ANNOTATIONS: True}}]}


def write_rules(*policies):
    with open(RULES, "w", encoding="utf-8") as file:
        json.dump({"Rules": [{"Annotations": ASKED, "Policies": list(policies)}]}, file)


class PodWorld(ContainerWorld):
    def __init__(self):
        with tempfile.TemporaryDirectory() as directory:
            link = os.path.join(directory, "stile-cni")
            os.symlink(os.environ["STILE"], link)
            super().__init__(network=NET, plugins=[link])

    def mark_logs(self):
        super().mark_logs()
        write_rules(policy(outbound=8000, protocols=BOTH))


def refused(world, words, **how):
    """The pod doesn't start; nothing of it is left."""
    before = set(os.listdir("/run/netns"))
    try:
        world.new_pod(**how)
    except grpc.RpcError as error:
        assert words in error.details(), error.details()
        wait_until(lambda: set(os.listdir("/run/netns")) == before, "its namespace is gone")
        return
    raise Failed("the pod has started")


def first_packet_goes_to_the_proxy(world):
    pod = world.new_pod(annotations=ASKED)
    proxy = pod.proxy(8000)
    # The first thing that its first process does is to call; and there is no process after it.
    app = pod.container("app", "/bin/talk", "-w", "20000", *ALL)
    wait_until(lambda: len(app.lines()) == len(ALL), "the app has ended")
    assert all(" peer " in line for line in app.lines()), app.lines()
    told = sorted((protocol, to) for protocol, _, to, _ in told_of(proxy, ALL))
    assert told == sorted(of(target) for target in ALL), proxy.entries()
    assert sorted(world.peer.sources()) == sorted((protocol, via) for protocol, _, _, via in proxy.entries())


def without_the_proxy_the_first_packet_goes_nowhere(world):
    pod = world.new_pod(annotations=ASKED)
    app = pod.container("app", "/bin/talk", "-w", "500", *ALL)
    wait_until(lambda: len(app.lines()) == len(ALL), "the app has ended")
    assert all(" error " in line for line in app.lines()), app.lines()
    assert world.peer.sources() == [], world.peer.sources()


def pods_that_do_not_ask_go_direct(world):
    pod = world.new_pod(annotations={"stile/proxy": "no"})
    app, proxy = pod.app(), pod.proxy(8000)
    is_direct(world, proxy, app.talk, ALL)
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    is_direct(world, proxy, app.talk, [TCP4])


def a_pod_made_again_has_its_policies_again(world):
    pod = world.new_pod(annotations=ASKED)
    app, proxy = pod.app(), pod.proxy(8000)
    is_proxied(world, proxy, app.talk, ALL)
    path = pod.netns()
    pod.remove()
    assert not os.path.exists(path)
    pod.run()
    app, proxy = pod.app(), pod.proxy(8000)
    is_proxied(world, proxy, app.talk, ALL)


def a_wrong_policy_keeps_the_pod_from_starting(world):
    write_rules(policy(outbound=90001))
    refused(world, "90001", annotations=ASKED)
    write_rules(policy(outbound=8000, uid=None, Cgroup="no/such/group"))
    refused(world, "no/such/group", annotations=ASKED)
    os.unlink(RULES)
    refused(world, RULES, annotations=ASKED)
    refused(world, RULES)  # nobody knows whether it would have had one
    write_rules(policy(outbound=8000))
    pod = world.new_pod(annotations=ASKED)
    assert pod.status().status.state == READY


def pods_of_the_hosts_network_are_not_touched(world):
    before = world.check("nft", "list", "ruleset")
    pod = world.new_pod(annotations=ASKED, host_network=True)
    assert pod.status().status.state == READY and world.check("nft", "list", "ruleset") == before


TESTS = [
    first_packet_goes_to_the_proxy,
    without_the_proxy_the_first_packet_goes_nowhere,
    pods_that_do_not_ask_go_direct,
    a_pod_made_again_has_its_policies_again,
    a_wrong_policy_keeps_the_pod_from_starting,
    pods_of_the_hosts_network_are_not_touched,
]

if __name__ == "__main__":
    main(__file__, TESTS, PodWorld)
