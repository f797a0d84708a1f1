#!/usr/bin/python3
"""Policies of containerd's pods: an app and its proxy in containers of their own. The endpoint is found by the container's id. Each has
its control: without the policy the traffic goes direct."""

import os

from lib.checks import (ALL, TCP4, TCP6, TCPS, app_is_reached_by_proxy, app_is_reached_directly, is_direct, is_proxied)
from lib.containerd import EXITED, SOCKET, ContainerWorld
from lib.policies import BOTH, policy, text
from lib.world import PYTHON, main, wait_until

OLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", "older_cri.py")


def lookup(world, container, *options):
    """One line: the endpoint."""
    line = world.policy("lookup", container, *options)
    assert line.count("\n") == 1, line
    return line.rstrip("\n")


def apply(world, container, *policies):
    endpoint = lookup(world, container.id)
    world.policy("apply", endpoint, "--file", world.file(text(*policies)))
    return endpoint


def inode(path):
    return os.stat(path).st_ino


def a_container_is_found_by_its_id(world):
    pod = world.new_pod()
    app = pod.app()
    before = world.check("nft", "list", "ruleset")
    answers = {lookup(world, name, *options)
               for name in (app.id, app.id[:13], pod.id)
               for options in ((), ("--runtimeendpoint", f"unix://{SOCKET}"), ("--runtimeendpoint", SOCKET))}
    assert len(answers) == 1, answers
    assert inode(answers.pop()) == inode(f"/proc/{app.pid()}/ns/net"), "the container's own network"
    assert world.check("nft", "list", "ruleset") == before


def an_older_runtime_is_asked_in_its_own_version(world):
    app = world.new_pod().app()
    older = world.start(PYTHON, OLDER, "/run/older.sock", SOCKET, ready="ready\n")
    endpoint = lookup(world, app.id, "--runtimeendpoint", "unix:///run/older.sock")
    assert inode(endpoint) == inode(f"/proc/{app.pid()}/ns/net"), endpoint
    assert "/runtime.v1alpha2.RuntimeService/ContainerStatus" in older.text(), older.text()


def what_has_no_endpoint_is_refused_with_the_reason(world):
    hosts = world.new_pod(host_network=True).app()
    over = world.new_pod().app()
    over.stop()
    wait_until(lambda: over.status().status.state == EXITED, "the container is over")
    for name, reason in ((hosts.id, "host"), (over.id, "running"), ("0123456789ab", "0123456789ab")):
        done = world.stile("policy", "lookup", name)
        assert done.status != 0 and not done.out and reason in done.err, (reason, done)
    done = world.stile("policy", "lookup", over.id, "--runtimeendpoint", "unix:///run/nobody.sock")
    assert done.status != 0 and "/run/nobody.sock" in done.err, done


def all_of_an_app_goes_through_the_proxy_and_nothing_past_it(world):
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    is_direct(world, proxy, app.talk, ALL)
    endpoint = apply(world, app, policy(outbound=8000, protocols=BOTH, outbound_ports=["7001-7002"], outbound_addresses=["192.0.2.3"]))
    is_proxied(world, proxy, app.talk, ALL)
    is_proxied(world, proxy, app.talk, ALL, user="1000")
    is_direct(world, proxy, app.talk, ["tcp/192.0.2.2/7001", "udp/2001:db8::2/7002", "tcp/192.0.2.3/7000"])
    world.policy("clear", endpoint)
    is_direct(world, proxy, app.talk, ALL)


def a_guard_by_control_group_cant_be_faked_in_the_apps_container(world):
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    apply(world, app, policy(outbound=8000, protocols=BOTH))
    is_direct(world, proxy, app.talk, ALL, user="1337")  # root of a container can become anybody
    apply(world, app, policy(outbound=8000, protocols=BOTH, uid=None, Cgroup=f"{world.group}/{pod.name}/{proxy.process.id}"))
    is_proxied(world, proxy, app.talk, ALL, user="1337")


def inbound_to_an_app_goes_through_the_proxy(world):
    pod = world.new_pod()
    proxy = pod.proxy(8001)
    app = pod.app(7000)
    calls = [f"{protocol}/{address}/7000" for protocol in ("tcp", "udp") for address in (pod.ip4, pod.ip6)]
    app_is_reached_directly(proxy, world.outside, calls)
    apply(world, app, policy(inbound=8001, protocols=BOTH))
    app_is_reached_by_proxy(proxy, world.outside, calls)


def haproxy_is_told_the_original_destination(world):
    pod = world.new_pod()
    app, proxy = pod.app(7000), pod.haproxy(8000)
    targets = [TCP4, "tcp/192.0.2.3/7001", "tcp/198.51.100.7/7002"]
    is_direct(world, proxy, app.talk, [*targets, TCP6])
    apply(world, app, policy(outbound=8000, inbound=8000))
    is_proxied(world, proxy, app.talk, targets)
    app_is_reached_by_proxy(proxy, world.outside, [f"tcp/{pod.ip4}/7000"])
    # haproxy 2.6 doesn't ask for IPv6: it rejects, and nothing goes past it.
    world.peer.forget()
    answer = app.talk(TCP6)[TCP6]
    assert not answer.startswith("peer ") and world.peer.sources() == [], (answer, world.peer.sources())


def a_pod_that_is_restarted_is_applied_again(world):
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    wanted = policy(outbound=8000, protocols=BOTH)
    endpoint = apply(world, app, wanted)
    app.stop()
    app.remove()
    app = pod.app()  # another container of the same pod: the network has stayed, and the policy with it
    is_proxied(world, proxy, app.talk, TCPS)
    pod.remove()
    done = world.stile("policy", "list", endpoint)
    assert done.status != 0 and endpoint in done.err, done
    pod.run()
    app, proxy = pod.app(), pod.proxy(8000)
    is_direct(world, proxy, app.talk, ALL)
    assert apply(world, app, wanted) != endpoint
    is_proxied(world, proxy, app.talk, ALL)


def policies_stay_while_the_runtime_is_away(world):
    pod = world.new_pod()
    app, proxy = pod.app(), pod.proxy(8000)
    endpoint = apply(world, app, policy(outbound=8000))
    world.stop_containerd()
    try:
        done = world.stile("policy", "lookup", app.id)
        assert done.status != 0 and not done.out and SOCKET in done.err, done
        assert '"8000"' in world.policy("list", endpoint, "--json")
    finally:
        world.start_containerd()
    is_proxied(world, proxy, app.talk, TCPS)


TESTS = [
    a_container_is_found_by_its_id,
    an_older_runtime_is_asked_in_its_own_version,
    what_has_no_endpoint_is_refused_with_the_reason,
    all_of_an_app_goes_through_the_proxy_and_nothing_past_it,
    a_guard_by_control_group_cant_be_faked_in_the_apps_container,
    inbound_to_an_app_goes_through_the_proxy,
    haproxy_is_told_the_original_destination,
    a_pod_that_is_restarted_is_applied_again,
    policies_stay_while_the_runtime_is_away,
]

if __name__ == "__main__":
    main(__file__, TESTS, ContainerWorld, programs=("haproxy",))
