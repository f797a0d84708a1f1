#!/usr/bin/python3
"""Policies of plain network namespaces: what programs in them get, what the proxy is told, and whom the peer outside sees."""

from lib.world import main

OUT = ["tcp/192.0.2.2/7000", "udp/192.0.2.2/7000", "tcp/2001:db8::2/7000", "udp/2001:db8::2/7000"]


def without_a_policy_an_app_goes_direct(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    answers = pod.talk(*OUT, user="1000")
    assert all(answers[t].startswith("peer ") for t in OUT), answers
    assert proxy.entries() == [] and len(world.peer.sources()) == 4, (proxy.entries(), world.peer.sources())


TESTS = [without_a_policy_an_app_goes_direct]

if __name__ == "__main__":
    main(__file__, TESTS)
