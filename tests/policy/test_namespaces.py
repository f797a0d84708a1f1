#!/usr/bin/python3
"""Policies of plain network namespaces: what programs in them get, what the proxy is told, and whom the peer outside sees. Each has
its control: without the policy the traffic goes direct."""

import os

from lib import groups
from lib.checks import ALL, TCP4, TCP6, TCPS, UDP4, UDP6, UDPS, app_is_reached_by_proxy, app_is_reached_directly, is_direct, is_proxied
from lib.policies import BOTH, UDP, policy, text
from lib.world import DIR, Skip, UserPod, main


def apply(world, pod, *policies):
    return world.policy("apply", pod.path, "--file", world.file(text(*policies)))


def all_of_an_app_goes_through_the_proxy_tcp_and_udp_both_families(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    is_direct(world, proxy, pod.talk, ALL, user="1000")
    apply(world, pod, policy(outbound=8000, protocols=BOTH))
    is_proxied(world, proxy, pod.talk, ALL, user="1000")
    is_proxied(world, proxy, pod.talk, ALL)  # root of the container is no exception
    world.policy("clear", pod.path)
    is_direct(world, proxy, pod.talk, ALL, user="1000")


def the_proxys_own_traffic_is_not_looped(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    apply(world, pod, policy(outbound=8000, protocols=BOTH))
    is_direct(world, proxy, pod.talk, ALL, user="1337")
    is_proxied(world, proxy, pod.talk, ALL, user="1338")


def a_policy_of_tcp_leaves_udp_alone_and_the_other_way_round(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    apply(world, pod, policy(outbound=8000))
    is_proxied(world, proxy, pod.talk, TCPS)
    is_direct(world, proxy, pod.talk, UDPS)
    apply(world, pod, policy(outbound=8000, protocols=UDP))
    is_direct(world, proxy, pod.talk, TCPS)
    is_proxied(world, proxy, pod.talk, UDPS)


def exceptions_of_ports_ranges_addresses_and_prefixes_pass_around_the_proxy(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    around = ["tcp/192.0.2.2/7001", "udp/2001:db8::2/7001", "tcp/192.0.2.2/7002", "udp/192.0.2.2/7003", "tcp/192.0.2.3/7000",
              "udp/198.51.100.7/7000", "tcp/2001:db8::3/7000"]
    apply(world, pod, policy(outbound=8000, protocols=BOTH))
    is_proxied(world, proxy, pod.talk, around)
    apply(world, pod, policy(outbound=8000, protocols=BOTH, outbound_ports=["7001", "7002-7003"],
                             outbound_addresses=["192.0.2.3", "198.51.100.0/24", "2001:db8::3"]))
    is_direct(world, proxy, pod.talk, around)
    is_proxied(world, proxy, pod.talk, ALL)


def a_filter_takes_only_what_it_names(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    apply(world, pod, policy(outbound=8000, protocols=BOTH, RemoteAddresses="192.0.2.0/24,2001:db8::2", RemotePorts="7000-7001"))
    is_proxied(world, proxy, pod.talk, [*ALL, "tcp/192.0.2.3/7001"])
    is_direct(world, proxy, pod.talk, ["tcp/198.51.100.7/7000", "udp/2001:db8::3/7000", "tcp/192.0.2.2/7002"])


def inbound_goes_through_the_proxy(world):
    pod = world.pod()
    proxy = pod.proxy(8001)
    pod.server(7000, 7001)
    calls = [f"{protocol}/{address}/7000" for protocol in ("tcp", "udp") for address in (pod.ip4, pod.ip6)]
    others = [call.replace("/7000", "/7001") for call in calls]
    app_is_reached_directly(proxy, world.outside, calls + others)
    apply(world, pod, policy(inbound=8001, protocols=BOTH, inbound_ports=[7001]))
    app_is_reached_by_proxy(proxy, world.outside, calls)
    app_is_reached_directly(proxy, world.outside, others)
    apply(world, pod, policy(inbound=8001, protocols=BOTH, inbound_addresses=["192.0.2.0/24", "2001:db8::/32"]))
    app_is_reached_directly(proxy, world.outside, calls)


def both_directions_by_two_ports_of_one_proxy(world):
    pod = world.pod()
    proxy = pod.proxy(8000, 8001)
    pod.server(7000)
    apply(world, pod, policy(outbound=8000, inbound=8001, protocols=BOTH))
    is_proxied(world, proxy, pod.talk, ALL)
    app_is_reached_by_proxy(proxy, world.outside, [f"tcp/{pod.ip4}/7000", f"udp/{pod.ip6}/7000"])


def what_stays_on_loopback_is_not_redirected(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    pod.server(7000)
    apply(world, pod, policy(outbound=8000, inbound=8000, protocols=BOTH))
    app_is_reached_directly(proxy, pod, ["tcp/127.0.0.1/7000", "udp/127.0.0.1/7000", "tcp/::1/7000", "udp/::1/7000"])
    # Its other addresses are redirected as outbound ones are, and once.
    app_is_reached_by_proxy(proxy, pod, [f"{protocol}/{ip}/7000" for protocol in ("tcp", "udp") for ip in (pod.ip4, pod.ip6)])


def the_proxys_ports_are_closed_to_other_machines(world):
    pod = world.pod()
    pod.start(f"{DIR}/talk", "-u", "1337", "-l", "8000", ready="ready\n")
    calls = [f"{protocol}/{address}/8000" for protocol in ("tcp", "udp") for address in (pod.ip4, pod.ip6)]
    answers = world.outside.talk(*calls)
    assert all(answers[call].startswith("app ") for call in calls), answers
    for which in (policy(outbound=8000, protocols=BOTH), policy(inbound=8000, protocols=BOTH), policy(inbound=8000)):
        apply(world, pod, which)
        answers = world.outside.talk(*calls, wait_ms=300)
        closed = calls if which["Settings"]["FilterTuple"]["Protocols"] == BOTH else calls[:2]
        assert all(answers[call].startswith("error ") for call in closed), (which, answers)
    answers = pod.talk("tcp/127.0.0.1/8000", "udp/::1/8000")
    assert all(answer.startswith("app ") for answer in answers.values()), answers


def without_a_proxy_nothing_goes_direct(world):
    pod = world.pod()
    apply(world, pod, policy(outbound=8000, protocols=BOTH))
    answers = pod.talk(*ALL, wait_ms=400)
    assert all(answer.startswith("error ") for answer in answers.values()), answers
    assert world.peer.sources() == [], world.peer.sources()


def dns_goes_to_a_resolver_by_a_policy_like_any_other(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    log = pod.start("dnsmasq", "-d", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=5353", "--log-queries",
                    "--user=nobody", "--listen-address=127.0.0.1,::1", "--bind-interfaces", "--host-record=app.test,10.1.2.3,fd01::3",
                    ready="started")

    def dig(seconds):
        words = ("dig", "+short", "+tries=1", f"+time={seconds}")
        return [pod.command(*words, *question).out.strip() for question in
                (("@192.0.2.2", "app.test"), ("@2001:db8::2", "app.test", "aaaa"), ("+tcp", "@192.0.2.2", "app.test"))]
    before = dig(1)
    assert not {"10.1.2.3", "fd01::3"} & set(before) and len(world.peer.sources()) == 3, (before, world.peer.sources())
    world.peer.forget()
    apply(world, pod, policy(outbound=8000, protocols=BOTH, priority=10),
          policy(outbound=5353, protocols=BOTH, uid=65534, priority=1, RemotePorts="53", UdpMode="redirect"))
    answers = dig(10)
    assert answers == ["10.1.2.3", "fd01::3", "10.1.2.3"], (answers, log.text())
    assert world.peer.sources() == [] and proxy.entries() == [], (world.peer.sources(), proxy.entries())
    is_proxied(world, proxy, pod.talk, ALL)


def two_proxies_by_priority_and_neither_gets_the_others(world):
    pod = world.pod()
    one, other = pod.proxy(8000), pod.proxy(9000, uid=1400)
    apply(world, pod, policy(outbound=8000, protocols=BOTH, priority=20),
          policy(outbound=9000, protocols=BOTH, uid=1400, priority=10, RemotePorts="7001"))
    is_proxied(world, other, pod.talk, ["tcp/192.0.2.2/7001", "udp/2001:db8::2/7001"])
    assert one.entries() == [], one.entries()
    one.forget()
    is_proxied(world, one, pod.talk, ALL)
    assert len(other.entries()) == 2, other.entries()


def guard_by_group_ignores_supplementary_groups(world):
    pod = world.pod()
    proxy = pod.proxy(8000)
    apply(world, pod, policy(outbound=8000, protocols=BOTH, uid=None, GroupID="1337"))
    is_direct(world, proxy, pod.talk, ALL, user="1000:1337")
    is_proxied(world, proxy, pod.talk, ALL, user="1000:1000,1337")


def guard_by_user_of_a_rootless_container_is_by_its_own_numbers(world):
    pod = world.pod(kind=UserPod)
    proxy = pod.proxy(8000)
    is_direct(world, proxy, pod.talk, ALL)
    apply(world, pod, policy(outbound=8000, protocols=BOTH))
    is_proxied(world, proxy, pod.talk, ALL)
    is_direct(world, proxy, pod.talk, ALL, user="1337")
    world.policy("clear", pod.path)
    is_direct(world, proxy, pod.talk, ALL)


def guard_by_control_group(world):
    pod = world.pod()
    top = os.path.join(groups.unified(), world.group)
    name = r"the\x2dproxy"  # as systemd writes the-proxy
    os.makedirs(os.path.join(top, name, "below"))
    join = ["sh", "-c", f"echo $$ > {top}/$0/cgroup.procs; exec \"$@\""]
    proxy = pod.proxy(8000, uid=1500)
    with open(os.path.join(top, name, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write(str(proxy.process.popen.pid))
    apply(world, pod, policy(outbound=8000, protocols=BOTH, uid=None, Cgroup=f"{world.group}/{name}"))
    assert world.policy("reconcile", pod.path) == "Nothing has drifted.\n"
    is_proxied(world, proxy, pod.talk, ALL, user="1500")
    is_direct(world, proxy, pod.talk, TCPS, before=[*join, name])
    is_direct(world, proxy, pod.talk, UDPS, before=[*join, f"{name}/below"])


def while_policies_change_nothing_goes_past_the_proxies(world):
    pod = world.pod()
    proxies = [pod.proxy(8000), pod.proxy(9000)]
    files = [world.file(text(policy(outbound=port, protocols=BOTH, outbound_ports=range(20000, 20000 + i * 20, 2))))
             for i, port in enumerate((8000, 9000))]
    world.policy("apply", pod.path, "--file", files[0])
    apps = []
    for change in range(1, 9):
        if not apps or apps[-1].popen.poll() is not None:
            apps.append(pod.start(f"{DIR}/talk", *(TCPS * 3 + UDPS) * 20))
        world.policy("apply", pod.path, "--file", files[change % 2])
    apps[-1].popen.wait()
    answers = [line.split() for app in apps for line in app.lines()]
    assert len(answers) == 160 * len(apps) and all(words[1] == "peer" for words in answers), [w for w in answers if w[1] != "peer"]
    called = {(protocol, via) for proxy in proxies for protocol, _, _, via in proxy.entries()}
    assert called and not set(world.peer.sources()) - called, set(world.peer.sources()) - called
    assert all(proxy.entries() for proxy in proxies), "each had some"


def applied_twice_is_unchanged_and_clear_leaves_no_trace(world):
    pod = world.pod()

    def state():
        return [pod.check(*words.split()) for words in
                ("nft -a list ruleset", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all",
                 "sysctl -a -r ^net[.]ipv[46][.]conf")]
    before = state()
    wanted = [policy(outbound=8000, inbound=8001, protocols=BOTH)]
    apply(world, pod, *wanted)
    once = state()
    assert once != before
    apply(world, pod, *wanted)
    assert state() == once, "not even written anew: handles are the same"
    world.policy("clear", pod.path)
    differing = [(a, b) for a, b in zip(before, state()) if a != b]
    assert not differing, differing


def the_hosts_own_network_is_refused_unless_it_is_meant(world):
    wanted = world.file(text(policy(outbound=8000)))
    for name in ("/proc/self/ns/net", "/proc/1/ns/net", "pid:1"):
        done = world.stile("policy", "apply", name, "--file", wanted)
        assert done.status != 0 and "--host" in done.err, done
        assert "stile_policy" not in world.check("nft", "list", "ruleset")
    world.policy("apply", "--host", "/proc/1/ns/net", "--file", wanted)
    assert "stile_policy" in world.check("nft", "list", "ruleset")
    world.policy("clear", "--host", "/proc/1/ns/net")
    assert "stile_policy" not in world.check("nft", "list", "ruleset")


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def with_the_number(pod, pid):
    """A process of this pod with a number that another one had."""
    for _ in range(50):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
            file.write(str(pid - 1))
        process = pod.start("sleep", "1000")
        if process.popen.pid == pid:
            return process
    raise Skip("a process can't be given a number here")


def a_process_that_died_and_another_one_with_its_number_are_told(world):
    pod, other = world.pod(), world.pod()
    app = pod.start("sleep", "1000")
    name = f"pid:{app.popen.pid}@{start_time(app.popen.pid)}"
    wanted = world.file(text(policy(outbound=8000)))
    world.policy("apply", name, "--file", wanted)
    assert "stile_policy" in pod.check("nft", "list", "ruleset")
    world.policy("clear", name)
    app.stop()
    done = world.stile("policy", "apply", name, "--file", wanted)
    assert done.status != 0 and str(app.popen.pid) in done.err, done
    another = with_the_number(other, app.popen.pid)
    done = world.stile("policy", "apply", name, "--file", wanted)
    assert done.status != 0 and str(app.popen.pid) in done.err, done
    world.policy("apply", f"pid:{app.popen.pid}@{start_time(another.popen.pid)}", "--file", wanted)
    assert "stile_policy" in other.check("nft", "list", "ruleset") and "stile_policy" not in pod.check("nft", "list", "ruleset")


def what_is_no_endpoint_is_told(world):
    wanted = world.file(text(policy(outbound=8000)))
    for name in ("/run/netns/nowhere", wanted, "/proc/self/ns/mnt"):
        done = world.stile("policy", "apply", name, "--file", wanted)
        assert done.status != 0 and name in done.err, done


TESTS = [
    all_of_an_app_goes_through_the_proxy_tcp_and_udp_both_families,
    the_proxys_own_traffic_is_not_looped,
    a_policy_of_tcp_leaves_udp_alone_and_the_other_way_round,
    exceptions_of_ports_ranges_addresses_and_prefixes_pass_around_the_proxy,
    a_filter_takes_only_what_it_names,
    inbound_goes_through_the_proxy,
    both_directions_by_two_ports_of_one_proxy,
    what_stays_on_loopback_is_not_redirected,
    the_proxys_ports_are_closed_to_other_machines,
    without_a_proxy_nothing_goes_direct,
    dns_goes_to_a_resolver_by_a_policy_like_any_other,
    two_proxies_by_priority_and_neither_gets_the_others,
    guard_by_group_ignores_supplementary_groups,
    guard_by_user_of_a_rootless_container_is_by_its_own_numbers,
    guard_by_control_group,
    while_policies_change_nothing_goes_past_the_proxies,
    applied_twice_is_unchanged_and_clear_leaves_no_trace,
    the_hosts_own_network_is_refused_unless_it_is_meant,
    a_process_that_died_and_another_one_with_its_number_are_told,
    what_is_no_endpoint_is_told,
]

if __name__ == "__main__":
    main(__file__, TESTS, programs=("dnsmasq", "dig"))
