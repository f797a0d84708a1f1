#!/usr/bin/python3
"""stile-cni in chains with the plugins of containernetworking-plugins, run as the CNI specification says; and what a failure leaves."""

import copy
import json
import os

from lib import trees
from lib.checks import ALL, is_direct, is_proxied
from lib.cni import ANNOTATIONS, PLUGINS, Chain, PluginFailed, lay_out_plugins, versions
from lib.policies import BOTH, policy
from lib.world import NETWORK, Namespace, Proxy, World, main

BRIDGE = NETWORK["plugins"][0]
LOOPBACK = {"type": "loopback"}
PTP = {"type": "ptp", "ipam": BRIDGE["ipam"]}
BANDWIDTH = {"type": "bandwidth", "ingressRate": 100000000, "ingressBurst": 100000000}
TUNING = {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}}
TABLE = "stile_policy"


class CniWorld(World):
    """Debian's plugins and ours in one directory; the container host's bridge is there."""

    def __init__(self):
        packaged = os.path.join(trees.tree("cni"), "usr/lib/cni")
        super().__init__("cni")
        lay_out_plugins(packaged if os.path.isdir(packaged) else "/usr/lib/cni")
        # Else a bridge has its lowest port's, and the bridge plugin finds at CHECK that it has changed.
        self.check("ip", "link", "set", "pods", "address", "02:00:00:00:00:01")

    def namespace(self):
        """As a runtime makes it: nothing in it."""
        self.counter += 1
        made = Namespace(self, f"cni{self.counter}")
        self.plain.append(made)
        return made


def ours(*policies, **members):
    rules = [{"Policies": list(policies or (policy(outbound=8000, protocols=BOTH),))}]
    return {"type": "stile-cni", **({"rules": rules} if "file" not in members and "rules" not in members else {}), **members}


def chain(world, *plugins, version="1.0.0", **how):
    return Chain(world, {"cniVersion": version, "name": "pods", "plugins": list(plugins)}, container=f"c{world.counter}", **how)


def has_policies(pod):
    return TABLE in pod.check("nft", "list", "ruleset")


def fails(code, words, call, *arguments):
    """It fails as the specification has it; what it printed."""
    try:
        call(*arguments)
    except PluginFailed as failed:
        assert failed.plugin == "stile-cni", failed
        assert failed.done.status != 0 and set(failed.error) == {"cniVersion", "code", "msg", "details"}, failed
        assert failed.error["code"] == code and words in failed.error["details"], failed
        return failed
    raise AssertionError(f"it didn't fail: {arguments}")


def without_what_differs(result):
    """A result without the names, addresses and namespaces that are another one's each time."""
    plain = copy.deepcopy(result)
    for interface in plain.get("interfaces", []):
        interface.pop("mac", None)
        interface.pop("sandbox", None)
        if interface["name"].startswith("veth"):
            interface["name"] = "veth"
    for address in plain.get("ips", []):
        address.pop("address", None)
    return plain


def a_chain_has_the_result_that_it_has_without_us_in_every_version(world):
    common = [v for v in versions(world, "bridge") if v in versions(world, "stile-cni")]
    assert {"0.3.0", "0.3.1", "0.4.0", "1.0.0"} <= set(common), common
    for version in common:
        with_us, without = world.namespace(), world.namespace()
        mine = chain(world, BRIDGE, ours(), TUNING, version=version)
        mine.container += "x"
        other = chain(world, BRIDGE, TUNING, version=version)
        result, usual = mine.add(with_us.path), other.add(without.path)
        given, passed_on = mine.of("stile-cni")
        assert passed_on == given["prevResult"] == mine.of("bridge")[1], (version, given["prevResult"], passed_on)
        assert without_what_differs(result) == without_what_differs(usual), (version, result, usual)
        assert result["cniVersion"] == version and has_policies(with_us) and not has_policies(without)
        if version not in ("0.3.0", "0.3.1"):
            mine.check(with_us.path)
            other.check(without.path)
        mine.delete(with_us.path)
        other.delete(without.path)
        assert not has_policies(with_us)


def loopback_and_other_plugins_before_and_after_go_with_us_too(world):
    for name, plugins in (("lo", [LOOPBACK, ours()]), ("eth0", [PTP, ours(), BANDWIDTH]), ("eth0", [BRIDGE, BANDWIDTH, TUNING, ours()])):
        pod = world.namespace()
        network = chain(world, *plugins, ifname=name)
        network.add(pod.path)
        network.check(pod.path)
        assert has_policies(pod)
        network.delete(pod.path)
        assert not has_policies(pod)


def what_runs_in_the_namespace_goes_through_the_proxy(world):
    pod = world.namespace()
    plain = chain(world, BRIDGE)
    plain.add(pod.path)
    proxy = Proxy(pod.proxy(8000).process)
    is_direct(world, proxy, pod.talk, ALL)
    plain.delete(pod.path)
    pod = world.namespace()
    with_us = chain(world, BRIDGE, ours())
    with_us.add(pod.path)
    proxy = pod.proxy(8000)
    is_proxied(world, proxy, pod.talk, ALL)
    with_us.delete(pod.path)


def annotations_and_the_pods_name_choose_the_rule(world):
    rules = [{"Labels": {"io.kubernetes.pod.namespace": "bank"}, "Policies": [policy(outbound=8001)]},
             {"Annotations": {"stile/proxy": "yes"}, "Policies": [policy(outbound=8000)]}]
    plugin = ours(rules=rules, capabilities={ANNOTATIONS: True})
    for annotations, args, port in (({"stile/proxy": "yes"}, "", "8000"), ({"stile/proxy": "no"}, "", None), (None, "", None),
                                    ({}, "IgnoreUnknown=1;K8S_POD_NAMESPACE=bank;K8S_POD_NAME=till", "8001")):
        pod = world.namespace()
        network = chain(world, LOOPBACK, plugin, ifname="lo", annotations=annotations, args=args)
        network.add(pod.path)
        rules_there = pod.check("nft", "list", "ruleset")
        assert (f":{port}" in rules_there) if port else rules_there == "", (annotations, args, rules_there)
        network.check(pod.path)
        network.delete(pod.path)


def it_waits_for_a_loopback_interface_that_another_plugin_brings_up(world):
    pod = world.namespace()
    network = chain(world, BRIDGE, ours())
    pod.check("ip", "link", "set", "lo", "down")
    fails(100, "loopback", network.add, pod.path)
    network.delete(pod.path)
    for attempt in range(5):  # a busy machine may take longer to bring it up than it waits
        pod.check("ip", "link", "set", "lo", "down")
        other = pod.start("sh", "-c", "sleep 0.4; ip link set lo up")
        try:
            network.add(pod.path)
            break
        except PluginFailed as failed:
            assert "loopback" in failed.error["details"] and attempt < 4, failed
            other.popen.wait()
            network.delete(pod.path)
    network.check(pod.path)
    network.delete(pod.path)


def rules_that_ask_for_what_no_plugin_is_told_are_refused(world):
    pod = world.namespace()
    fails(7, "label app", chain(world, LOOPBACK, ours(rules=[{"Labels": {"app": "x"}, "Policies": []}])).add, pod.path)
    fails(7, ANNOTATIONS, chain(world, LOOPBACK, ours(rules=[{"Annotations": {"a": "b"}, "Policies": []}])).add, pod.path)


def rules_come_from_a_file_that_nobody_else_may_write(world):
    pod = world.namespace()
    path = world.file(json.dumps({"Rules": [{"Policies": [policy(outbound=8000)]}]}))
    network = chain(world, LOOPBACK, ours(file=path))
    network.add(pod.path)
    assert has_policies(pod)
    network.delete(pod.path)
    os.chmod(path, 0o666)
    fails(7, path, network.add, pod.path)
    os.unlink(path)
    fails(7, path, network.add, pod.path)
    assert not has_policies(pod)


def check_finds_what_somebody_changed(world):
    pod = world.namespace()
    network = chain(world, LOOPBACK, ours())
    network.add(pod.path)
    network.check(pod.path)
    pod.check("nft", "delete", "table", "inet", TABLE)
    fails(101, "1 of them missing, 0 there", network.check, pod.path)
    assert not has_policies(pod), "a check changes nothing"
    network.add(pod.path)
    network.check(pod.path)
    chain_name = next(line.split()[1] for line in pod.check("nft", "list", "table", "inet", TABLE).splitlines() if "chain " in line)
    pod.check("nft", "insert", "rule", "inet", TABLE, chain_name, "accept")
    fails(101, "", network.check, pod.path)


def del_may_come_again_and_after_the_namespace(world):
    pod = world.namespace()
    network = chain(world, BRIDGE, ours())
    network.add(pod.path)
    network.delete(pod.path)
    network.delete(pod.path)
    assert not has_policies(pod)
    network.add(pod.path)
    world.check("ip", "netns", "del", pod.name)
    network.delete(pod.path)
    network.delete("")
    wrong = chain(world, LOOPBACK, ours(policy(outbound=90001)))
    fresh = world.namespace()
    fails(7, "90001", wrong.add, fresh.path)
    wrong.delete(fresh.path)


def a_failure_of_any_kind_fails_add_and_changes_nothing(world):
    pod = world.namespace()
    fails(7, "90001", chain(world, LOOPBACK, ours(policy(outbound=90001))).add, pod.path)
    fails(7, "rule 1", chain(world, LOOPBACK, ours(policy(outbound=8000, uid=None))).add, pod.path)
    fails(2, "bridge", chain(world, LOOPBACK, {**ours(), "bridge": "br0"}).add, pod.path)
    fails(7, "prevResult", chain(world, ours()).add, pod.path)
    fails(100, "/run/netns/nowhere", chain(world, ours()).call, ours(), "ADD", "/run/netns/nowhere", {"cniVersion": "1.0.0"})
    fails(100, "no/such/group", chain(world, LOOPBACK, ours(policy(outbound=8000, uid=None, Cgroup="no/such/group"))).add, pod.path)
    fails(1, "0.2.0", chain(world, ours(), version="0.2.0").call, ours(), "ADD", pod.path, {})
    assert pod.check("nft", "list", "ruleset") == ""


def the_hosts_own_network_is_refused(world):
    before = world.check("nft", "list", "ruleset")
    for path in ("/proc/self/ns/net", "/proc/1/ns/net"):
        fails(102, "host", chain(world, ours()).call, ours(), "ADD", path, {"cniVersion": "1.0.0"})
    assert world.check("nft", "list", "ruleset") == before


def without_nft_status_and_add_fail_and_del_clears_all_the_same(world):
    status = {"CNI_COMMAND": "STATUS"}
    configuration = json.dumps({**ours(), "cniVersion": "1.1.0", "name": "pods"})
    program = os.path.join(PLUGINS, "stile-cni")
    done = world.command(program, text=configuration, env=status)
    assert done.status == 0 and done.out == "", done
    pod, before = world.namespace(), world.namespace()
    had = chain(world, LOOPBACK, ours())
    had.add(before.path)
    assert has_policies(before) and "57110" in before.check("ip", "rule")
    hidden = world.check("sh", "-c", "readlink -f $(command -v nft)").strip()
    world.check("mount", "--bind", "/dev/null", hidden)
    try:
        done = world.command(program, text=configuration, env=status)
        assert done.status != 0 and json.loads(done.out)["code"] == 50, done
        fails(100, "nft", chain(world, LOOPBACK, ours()).add, pod.path)
        for _ in range(2):  # what nft left is taken away without it, and nothing is no failure
            had.delete(before.path)
        had.delete("/run/netns/nowhere")
    finally:
        world.check("umount", hidden)
    assert before.check("nft", "list", "ruleset") == "" and "57110" not in before.check("ip", "rule")


def what_is_no_configuration_is_refused(world):
    env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c0", "CNI_NETNS": "/run/netns/x", "CNI_IFNAME": "eth0"}
    program = os.path.join(PLUGINS, "stile-cni")
    for text in ("", "no JSON", "[]", '{"cniVersion": "1.0.0"', "[" * 100000, '{"a": "' + "x" * (10 * 1024 * 1024) + '"}'):
        done = world.command(program, text=text, env=env)
        assert done.status != 0 and json.loads(done.out)["code"] == 6, (text[:40], done)
    done = world.command(program, text="{}", env={**env, "CNI_COMMAND": "NONE"})
    assert done.status != 0 and json.loads(done.out)["code"] == 4, done


TESTS = [
    a_chain_has_the_result_that_it_has_without_us_in_every_version,
    loopback_and_other_plugins_before_and_after_go_with_us_too,
    what_runs_in_the_namespace_goes_through_the_proxy,
    annotations_and_the_pods_name_choose_the_rule,
    it_waits_for_a_loopback_interface_that_another_plugin_brings_up,
    rules_that_ask_for_what_no_plugin_is_told_are_refused,
    rules_come_from_a_file_that_nobody_else_may_write,
    check_finds_what_somebody_changed,
    del_may_come_again_and_after_the_namespace,
    a_failure_of_any_kind_fails_add_and_changes_nothing,
    the_hosts_own_network_is_refused,
    without_nft_status_and_add_fail_and_del_clears_all_the_same,
    what_is_no_configuration_is_refused,
]

if __name__ == "__main__":
    main(__file__, TESTS, CniWorld)
