#!/usr/bin/python3
"""Policies of podman's containers: an app, and a proxy that shares its network. The endpoint is found by asking podman."""

import os

from lib.checks import ALL, is_direct, is_proxied
from lib.policies import BOTH, policy, text
from lib.podman import PodmanWorld
from lib.world import Failed, main


def endpoint_of(world, container):
    """One line, the endpoint."""
    return world.policy("lookup", container, "--runtimeendpoint", "podman").rstrip("\n")


def same_namespace(path, pid):
    return os.stat(path).st_ino == os.stat(f"/proc/{pid}/ns/net").st_ino


def an_app_of_podmans_goes_through_the_proxy(world):
    app = world.container("app", "/bin/sleep", "100000")
    proxy = world.proxy(8000, network="container:app")
    is_direct(world, proxy, app.talk, ALL)
    endpoint = endpoint_of(world, app.id)
    assert endpoint == endpoint_of(world, app.id[:12]), "a short id is as good"
    if endpoint.startswith("/"):
        assert same_namespace(endpoint, app.inspect()["State"]["Pid"]), endpoint
    world.policy("apply", endpoint, "--file", world.file(text(policy(outbound=8000, protocols=BOTH))))
    is_proxied(world, proxy, app.talk, ALL)
    is_proxied(world, proxy, app.talk, ALL, user="1000")
    world.policy("clear", endpoint)
    is_direct(world, proxy, app.talk, ALL)


def containers_of_a_podman_pod_share_an_endpoint(world):
    world.podman("pod", "create", "--name", "both", "--network", world.network, "--cgroup-parent", f"/{world.group}", "--infra-command",
                 "/bin/sleep 100000", "--infra-image", "policytest.local/all:1")
    app = world.container("app", "/bin/sleep", "100000", pod="both")
    proxy = world.proxy(8000, pod="both")
    endpoint = endpoint_of(world, app.id)
    world.policy("apply", endpoint, "--file", world.file(text(policy(outbound=8000, protocols=BOTH))))
    is_proxied(world, proxy, app.talk, ALL)


def podmans_container_on_the_hosts_network_is_refused(world):
    app = world.container("app", "/bin/sleep", "100000", network="host")
    done = world.stile("policy", "lookup", app.id, "--runtimeendpoint", "podman")
    assert done.status != 0 and "host" in done.err and not done.out, done
    done = world.stile("policy", "lookup", "nosuchcontainer", "--runtimeendpoint", "podman")
    assert done.status != 0 and "nosuchcontainer" in done.err and not done.out, done


def stile_cni_in_a_network_of_podmans_gives_policies_from_the_start(world):
    rules = [{"Policies": [policy(outbound=8000, protocols=BOTH)]}]
    world.new_network("proxied", {"type": "stile-cni", "rules": rules})
    app = world.container("app", "/bin/sleep", "100000", network="proxied")
    proxy = world.proxy(8000, network="container:app")
    is_proxied(world, proxy, app.talk, ALL)
    other = world.container("other", "/bin/sleep", "100000")
    is_direct(world, proxy, other.talk, ALL)
    world.new_network("proxied", {"type": "stile-cni", "rules": [{"Policies": [policy(outbound=90001)]}]})
    try:
        world.container("none", "/bin/sleep", "100000", network="proxied")
    except Failed as failed:
        assert "90001" in str(failed), failed
    else:
        raise Failed("it was started without its policies")


TESTS = [an_app_of_podmans_goes_through_the_proxy, containers_of_a_podman_pod_share_an_endpoint,
         podmans_container_on_the_hosts_network_is_refused, stile_cni_in_a_network_of_podmans_gives_policies_from_the_start]

if __name__ == "__main__":
    main(__file__, TESTS, PodmanWorld)
