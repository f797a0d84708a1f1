#!/usr/bin/python3
"""The rules of layer-4 policies against the kernel: beside others, many of them, read back, changed by hand; guards and the block."""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402
from common.process import Skip  # noqa: E402
from rules_world import (  # noqa: E402
    APP4, APP6, FAR4, FAR6, IN, OTHER4, OUT, PROXY, QUIET, Namespace, World, accepted, nothing, policy, received, refused, rules, send,
    tests_of)


# ---- Beside others ----

def forwarded_traffic_is_never_touched(world):
    """The endpoint is a router, as a host's own network is."""
    inner = Namespace()
    world.app.run("ip", "link", "add", "in0", "type", "veth", "peer", "name", "in1")
    world.app.run("ip", "link", "set", "in1", "netns", f"/proc/{os.getpid()}/fd/{inner.fd}")
    world.app.run("ip", "addr", "add", "10.7.0.1/24", "dev", "in0")
    world.app.run("ip", "link", "set", "in0", "up")
    inner.run("ip", "addr", "add", "10.7.0.2/24", "dev", "in1")
    inner.run("ip", "link", "set", "in1", "up")
    inner.run("ip", "route", "add", "default", "via", "10.7.0.1")
    world.peer.run("ip", "route", "add", "10.7.0.0/24", "via", APP4)
    world.app.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    try:
        world.apply(policy(outbound=OUT, inbound=IN, protocols="6,17"))
        # One of them is marked on its way in, as others' rules may do with bits that are theirs.
        world.app.run("nft", "-f", "-", text="""table inet other {
            chain p { type filter hook prerouting priority raw; udp dport 54 meta mark set 0x00100000; }
            chain n { type nat hook prerouting priority dstnat; ip daddr 10.0.0.2 tcp dport 8080 dnat ip to 10.7.0.2:80; }
        }""")
        out_, in_, published = world.listen(world.peer, 80), world.listen(inner, 81), world.listen(inner, 80)
        server = world.udp_pair(world.peer, 53) + world.udp_pair(world.peer, 54)
        world.connect(inner, FAR4, 80)
        assert accepted(out_) is not None
        world.connect(world.peer, "10.7.0.2", 81)
        assert accepted(in_) is not None
        world.connect(world.peer, APP4, 8080)
        assert accepted(published) is not None
        for port in (53, 54):
            world.udp(inner, FAR4).sendto(b"q", (FAR4, port))
            assert received(server) is not None
        # The control: what the router itself sends is caught.
        proxy = world.listen(world.app, OUT)
        world.connect(world.app, FAR4, 80)
        assert accepted(proxy) is not None
    finally:
        world.app.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        world.app.run("ip", "link", "del", "in0")
        world.peer.run("ip", "route", "del", "10.7.0.0/24")
        os.close(inner.fd)


DOCKER = """table ip nat {
    chain DOCKER_OUTPUT { ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40053; }
    chain OUTPUT { type nat hook output priority -100; ip daddr 127.0.0.11 jump DOCKER_OUTPUT; }
}"""


def dockers_own_resolver_works_and_its_table_stays(world):
    world.app.run("nft", "-f", "-", text=DOCKER)
    before = world.app.run("nft", "list", "table", "ip", "nat")
    resolver, proxy = world.listen(world.app, 40053, "127.0.0.11"), world.listen(world.app, OUT)
    world.apply(policy(outbound=OUT))
    world.connect(world.app, "127.0.0.11", 53)
    assert accepted(resolver) is not None
    world.apply(policy(outbound=OUT, RemoteAddresses="127.0.0.11"))
    world.connect(world.app, "127.0.0.11", 53)
    assert accepted(proxy)[1] == ("127.0.0.11", 53)
    world.connect(world.app, "127.0.0.11", 53, PROXY)
    assert accepted(resolver) is not None
    assert world.app.run("nft", "list", "table", "ip", "nat") == before
    world.remove()
    assert world.app.run("nft", "list", "ruleset").strip() == before.strip()


MANY = [policy(outbound=OUT, inbound=IN, protocols="6,17", out_ports=("22", "8000-8100"), out_addresses=("10.9.0.0/16", "fd09::/16"),
               in_ports=("9000",), in_addresses=("10.0.0.1", "fd00::1", "10.8.0.0/16")),
        policy(outbound=15053, protocols="6,17", udp="redirect", priority=1, RemotePorts="53,853",
               RemoteAddresses="127.0.0.11,10.0.0.0/9,10.128.0.0/9,1.1.1.1,1.1.1.2,1.1.1.4,2001:db8::/33,2001:db8:8000::/33,::1"),
        policy(outbound=15002, uid=None, gid=7, LocalPorts="1-1024", RemoteAddresses="0.0.0.0/0"),
        policy(outbound=15003, uid=0, LocalAddresses="fd00::2", RemoteAddresses="::/0,255.255.255.255,255.255.255.254"),
        policy(inbound=15004, uid=None, protocols="17", RemotePorts="1-65535"),
        policy(outbound=15006, uid=None, gid=8, cgroup=None, RemotePorts="1,3,5,7,9,11,13,15,17", LocalPorts="2,4,6",
               RemoteAddresses=",".join(f"10.1.{i}.0/24" for i in range(0, 40, 2)), out_ports=range(100, 140, 2),
               out_addresses=[f"10.1.{i}.1" for i in range(9)] + [f"2001:db8:{i}::/48" for i in range(0, 24, 2)]),
        policy(inbound=15005, uid=None, protocols="6,17", udp="redirect", LocalAddresses="10.0.0.2,fd00::2")]


def what_nft_lists_can_be_loaded_again(world):
    for policies in ([p] for p in MANY):
        world.apply(*policies)
    world.apply(*MANY)
    listing = world.app.run("nft", "list", "ruleset")
    world.app.run("nft", "flush", "ruleset")
    world.app.run("nft", "-f", "-", text=listing)
    world.unchanged(*MANY)


def many_by_port(count=50, **options):
    """Each for a port of its own, every seventh for a range too, by turns to two proxies."""
    first, second = ("inbound", "LocalPorts") if "inbound" in options else ("outbound", "RemotePorts")
    proxies = options.pop(first)
    return [policy(**{first: proxies[n % 2], second: f"{2000 + 2 * n}" + (f",{4000 + 10 * n}-{4004 + 10 * n}" if n % 7 == 0 else "")}, **options)
            for n in range(count)]


def a_look_up_of_many_ports_is_listed_as_it_was_written(world):
    for shape in ({"outbound": (OUT, 15002)}, {"outbound": (OUT, OUT)}, {"inbound": (IN, 15002)}, {"inbound": (IN, IN), "in_ports": ("22",)}):
        for protocols, udp in (("6", None), ("17", None), ("6,17", None), ("6,17", "redirect")):
            policies = many_by_port(protocols=protocols, udp=udp, **shape)
            world.apply(*policies)
            listing = world.app.run("nft", "list", "ruleset")
            assert "map { " in listing or "inbound" in shape and protocols == "17", listing
            world.app.run("nft", "flush", "ruleset")
            world.app.run("nft", "-f", "-", text=listing)
            world.unchanged(*policies)
    neighbours = [policy(inbound=IN, LocalPorts=str(port)) for port in range(1, 50)] + [policy(inbound=IN, LocalPorts="65500-65535")]
    world.apply(*neighbours)
    world.unchanged(*neighbours)


def each_of_many_outbound_ports_goes_to_its_own_proxy(world):
    tcp = [world.listen(world.app, port) for port in (OUT, 15002, 15003)]
    udp = [world.udp_pair(world.app, port, PROXY, True) for port in (OUT, 15002, 15003)]
    ports = {2000: 0, 2002: 1, 2060: 0, 2098: 1, 4004: 0, 4070: 1, 4005: 2, 2001: 2, 5000: 2, 5001: None}
    servers = {port: (world.listen(world.peer, port), world.udp_pair(world.peer, port)) for port in ports}
    # The last one is asked where none of the others matches, and one of them excepts an address.
    policies = many_by_port(outbound=(OUT, 15002), protocols="6,17", out_addresses=(OTHER4,))
    world.apply(*policies, policy(outbound=15003, protocols="6,17", RemotePorts="2000-5000"))
    for port, which in ports.items():
        for address in (FAR4, FAR6):
            world.connect(world.app, address, port)
            got = accepted(servers[port][0] if which is None else tcp[which])
            assert got is not None and got[1] == (address, port), (address, port)
            world.udp(world.app, address).sendto(b"q", (address, port))
            assert received(servers[port][1] if which is None else udp[which]) is not None, (address, port)
            world.connect(world.app, address, port, PROXY, PROXY)
            assert accepted(servers[port][0]) is not None, (address, port)
    for port, excepted in ((2002, True), (4004, True), (2001, False)):
        world.connect(world.app, OTHER4, port)
        assert accepted(servers[port][0] if excepted else tcp[2]) is not None, port
        world.udp(world.app, OTHER4).sendto(b"q", (OTHER4, port))
        assert received(servers[port][1] if excepted else udp[2]) is not None, port
    assert all(accepted(proxy, 0.05) is None for proxy in tcp)


def each_of_many_inbound_ports_goes_to_its_own_proxy(world):
    ports = {2000: 0, 2002: 1, 2060: 0, 2098: 1, 4004: 0, 4070: 1, 4005: None, 2001: None}
    servers = {port: world.listen(world.app, port) for port in ports}
    tcp = [world.listen(world.app, port) for port in (IN, 15002)]
    for exceptions in ((), (FAR4, FAR6)):
        world.apply(*many_by_port(inbound=(IN, 15002), in_addresses=exceptions))
        for port, which in ports.items():
            for address, far in ((APP4, FAR4), (APP6, FAR6)):
                world.connect(world.peer, address, port)
                assert accepted(servers[port] if which is None else tcp[which]) is not None, (address, port)
                world.connect(world.peer, address, port, source=(far, 0))
                assert accepted(servers[port] if which is None or exceptions else tcp[which]) is not None, (address, port)


def the_policies_are_read_back_as_they_were_given(world):
    world.apply(*MANY)
    listing = world.app.run("nft", "list", "table", "inet", "stile_policy")
    got = json.loads(rules("read", text=listing))
    assert [p["Settings"].get("OutboundProxyPort") for p in got] == [p["Settings"].get("OutboundProxyPort") for p in MANY]
    assert json.loads(rules("read", text=world.app.run("nft", "list", "ruleset"))) == got
    assert got[1]["Settings"]["FilterTuple"]["RemoteAddresses"] == MANY[1]["Settings"]["FilterTuple"]["RemoteAddresses"]


def what_somebody_changes_by_hand_is_named(world):
    def differences():
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(json.dumps([MANY[0]]))
            file.flush()
            return rules("compare", file.name, text=world.app.run("nft", "list", "table", "inet", "stile_policy"))

    def handle(chain, word):
        listing = world.app.run("nft", "-a", "list", "chain", "inet", "stile_policy", chain)
        return next(line.rsplit(" ", 1)[1] for line in listing.splitlines() if word in line)

    table = ("inet", "stile_policy")
    for change, want in (
            (lambda: ("delete", "rule", *table, "outbound_policy_1", "handle", handle("outbound_policy_1", "skuid")),
             "rule 1 of chain outbound_policy_1 is missing: meta skuid 1337 return\n"),
            (lambda: ("add", "rule", *table, "outbound_policy_1", "accept"), "rule 7 of chain outbound_policy_1 is not ours: accept\n"),
            (lambda: ("insert", "rule", *table, "input", "accept"), "rule 1 of chain input is not ours: accept\n"),
            (lambda: ("replace", "rule", *table, "outbound_policy_1", "handle", handle("outbound_policy_1", "skuid"), "meta", "skuid", "0", "return"),
             "rule 1 of chain outbound_policy_1 was changed: meta skuid 0 return\n"),
            (lambda: ("add", "chain", *table, "mine"), "chain mine is not ours\n"),
            (lambda: ("flush", "chain", *table, "outbound_redirect_to"), "rule 1 of chain outbound_redirect_to is missing: meta l4proto tcp redirect to :15001\n"
             "rule 2 of chain outbound_redirect_to is missing: drop\n"),
            (lambda: ("delete", "table", *table), None)):
        world.apply(MANY[0])
        assert differences() == ""
        world.app.run("nft", *change())
        if want is not None:
            assert differences() == want, differences()
    world.app.run("nft", "add", "table", *table)
    assert differences() == "the table inet stile_policy is missing\n", differences()


def a_guard_by_cgroup_is_whoever_is_in_or_below_it(world):
    if not os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        done = subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Skip("no cgroup v2: " + done.stderr.strip())
    name = f"stile-test-{os.getpid()}-{os.urandom(4).hex()}"
    path = "/sys/fs/cgroup/" + name
    os.makedirs(path + "/proxy/worker")
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    try:
        world.apply(policy(outbound=OUT, uid=None, cgroup=name + "/proxy"))
        for group, want in ((path, proxy), (path + "/proxy", server), (path + "/proxy/worker", server)):
            child = os.fork()
            if child == 0:
                with open(group + "/cgroup.procs", "w", encoding="ascii") as file:
                    file.write("0")
                world.connect(world.app, FAR4, 80)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert accepted(want) is not None, group
    finally:
        world.app.run("nft", "flush", "ruleset")
        for group in (path + "/proxy/worker", path + "/proxy", path):
            os.rmdir(group)


def a_block_lets_nothing_in_or_out_until_policies_are_applied(world):
    server, own = world.listen(world.peer, 80), world.listen(world.app, 80)
    udp = world.udp_pair(world.peer, 53)
    world.app.run("nft", "-f", "-", text=rules("block"))
    for address in (FAR4, FAR6):
        assert refused(world.connect, world.app, address, 80, 0, timeout=QUIET) in ("PermissionError", "TimeoutError")
        send(world.udp(world.app, address, 0), b"q", (address, 53))
    for address in (APP4, APP6):
        assert refused(world.connect, world.peer, address, 80, timeout=QUIET) == "TimeoutError"
    assert nothing(udp)
    for address in ("127.0.0.1", "::1", APP4):
        world.connect(world.app, address, 80)
        assert accepted(own) is not None
    proxy = world.listen(world.app, OUT)
    world.apply(policy(outbound=OUT))
    world.connect(world.app, FAR4, 80)
    assert accepted(proxy) is not None and accepted(server, 0.05) is None
    world.app.run("nft", "-f", "-", text=rules("block"))
    world.remove()
    assert world.app.run("nft", "list", "ruleset") == ""


if __name__ == "__main__":
    run_tests(__file__, tests_of(globals()), World, programs=("nft",), root_only=True)
