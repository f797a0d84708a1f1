#!/usr/bin/python3
"""Policies of containerd's pods: an app and its proxy in containers of their own."""

from lib.containerd import ContainerWorld
from lib.world import main


def without_a_policy_an_app_goes_direct(world):
    pod = world.new_pod()
    app, proxy = pod.app(7000), pod.proxy(8000)
    targets = ["tcp/192.0.2.2/7000", "udp/192.0.2.2/7000", "tcp/2001:db8::2/7000", "udp/2001:db8::2/7000"]
    answers = app.talk(*targets)
    assert all(answers[t].startswith("peer ") for t in targets), answers
    assert proxy.entries() == [] and len(world.peer.sources()) == 4, (proxy.entries(), world.peer.sources())


TESTS = [without_a_policy_an_app_goes_direct]

if __name__ == "__main__":
    main(__file__, TESTS, ContainerWorld)
