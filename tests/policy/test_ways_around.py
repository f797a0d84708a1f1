#!/usr/bin/python3
"""Ways around a proxy that a program without privilege may try, and what a machine outside may. No proxy runs: whatever leaves the pod
has found one. Each has its control, without the policy."""

import contextlib
import socket
import time

from lib.policies import BOTH, policy, text
from lib.wire import Wire
from lib.world import APP_UID, PROXY_UID, PYTHON, Failed, main, wait_until

# What each attempt begins with. A failure is no matter: what counts is what leaves.
PRELUDE = """
import contextlib, socket, struct, sys
ip4, ip6, interface = sys.argv[1], sys.argv[2], socket.if_nametoindex("eth0")
IP_FREEBIND, IPV6_FREEBIND, IP_PKTINFO, IPV6_PKTINFO, IP_UNICAST_IF, IPV6_UNICAST_IF, SO_BINDTODEVICE = 15, 78, 8, 50, 50, 76, 25

def tcp(*address):
    return made(socket.SOCK_STREAM, *address)

def udp(*address):
    return made(socket.SOCK_DGRAM, *address)

def made(kind, family=4, source=None, device=None, listens=False):
    s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    s.settimeout(0.2)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if family == 6:
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, source is not None)
    if family == 6 and kind == socket.SOCK_DGRAM:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
    if device:
        s.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
    if source:
        s.bind(source)
    if listens:
        s.listen()
    return s

def to(s, *address, by=()):
    try:
        if s.type == socket.SOCK_STREAM:
            s.connect(address)
        else:
            s.sendmsg([b"hello"], by, 0, address)
    except OSError as error:
        print(error)
"""

BOUND_TO_THE_INTERFACE = [
    "to(udp(4, None, b'eth0'), '192.0.2.2', 7000)", "to(udp(6, None, b'eth0'), '2001:db8::2', 7000)",
    "to(tcp(4, None, b'eth0'), '192.0.2.2', 7000)", "to(tcp(6, None, b'eth0'), '2001:db8::2', 7000)",
    "to(udp(4, None, b'eth0'), '239.1.2.3', 7000)", "to(udp(6, None, b'eth0'), 'ff02::fb', 7000)",
    "to(udp(4, None, b'eth0'), '255.255.255.255', 7000)",
    "to(tcp(6), 'fe80::1234', 7000, 0, interface)", "to(udp(6), 'fe80::1234', 7000, 0, interface)"]
# The kernel sends these by eth0, too.
TO_LOOPBACK_BY_THE_INTERFACE = [
    "to(udp(4, None, b'eth0'), '127.0.0.1', 7000)", "to(tcp(4, None, b'eth0'), '127.1.2.3', 7000)",
    "to(udp(6, None, b'eth0'), '::1', 7000)", "to(tcp(6, None, b'eth0'), '::1', 7000)",
    "to(udp(6, None, b'eth0'), '::', 7000)",
    "to(udp(4), '127.0.0.1', 7000, by=[(0, IP_PKTINFO, struct.pack('i8x', interface))])",
    "to(udp(6), '::1', 7000, by=[(41, IPV6_PKTINFO, struct.pack('16xi', interface))])"]
# A program calls one of its own pod, or an exception, in the name of somebody outside; the answers go out.
IN_A_FOREIGN_NAME = [
    "l = tcp(6, ('::', 9099), None, True); to(tcp(6, ('2001:db8::2', 7000)), '::1', 9099)",
    "l = tcp(6, ('::', 9099), None, True); to(tcp(6, ('2001:db8::2', 7000)), ip6, 9099)",
    "to(udp(6, ('2001:db8::2', 7000)), '2001:db8::3', 7001); to(udp(6, ('2001:db8::3', 7001)), '2001:db8::2', 7000)",
    "to(udp(6, ('2001:db8::2', 7000)), '::1', 7001); to(udp(6, ('::1', 7001)), '2001:db8::2', 7000)",
    "to(udp(6, ('2001:db8::2', 7000)), ip6, 9099); to(udp(6, (ip6, 9099)), '2001:db8::2', 7000)"]
OTHER = [
    "to(udp(4), '192.0.2.2', 7000)", "to(udp(6), '2001:db8::2', 7000)", "to(udp(6), '::ffff:192.0.2.2', 7000)",
    "to(tcp(6), '::ffff:192.0.2.2', 7000)", "to(udp(4, ('0.0.0.0', 8000)), '192.0.2.2', 7000)",
    "to(tcp(4, ('0.0.0.0', 8000)), '192.0.2.2', 7000)",
    "to(udp(4), '192.0.2.2', 7000, by=[(0, IP_PKTINFO, struct.pack('i8x', interface))])",
    "to(udp(6), '2001:db8::2', 7000, by=[(41, IPV6_PKTINFO, struct.pack('16xi', interface))])",
    "s = udp(4); s.setsockopt(0, IP_UNICAST_IF, struct.pack('!i', interface)); to(s, '192.0.2.2', 7000)",
    "s = udp(6); s.setsockopt(41, IPV6_UNICAST_IF, struct.pack('!i', interface)); to(s, '2001:db8::2', 7000)",
    "s = udp(4); s.setsockopt(0, 32, socket.inet_aton(ip4)); to(s, '239.1.2.3', 7000)",
    "to(udp(6), 'ff0e::fb', 7000)", "to(udp(4), '10.9.0.255', 7000)",
    "s = udp(4); s.setsockopt(1, 5, 1); to(s, '10.9.0.1', 7000)", "s = udp(4); s.setsockopt(17, 103, 4); to(s, '192.0.2.2', 7000)",
    "with contextlib.suppress(OSError): tcp(4).sendto(b'hello', 0x20000000, ('192.0.2.2', 7000))"]

HEARS = """
import select
sockets = [udp(4, ("0.0.0.0", 7000)), udp(6, ("::", 7000))]
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        print(s.recv(100), flush=True)
"""


SHARES = """
import socket, sys
s = socket.socket(getattr(socket, sys.argv[1]), getattr(socket, sys.argv[2]))
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind((sys.argv[3], int(sys.argv[4])))
    print("bound")
except OSError as error:
    print(error)
"""


def leaves(pod, attempt, uid=APP_UID, wanted=0):
    """What of an attempt the pod's wire has seen; wanted: as soon as it is so much."""
    pod.check("ip", "neigh", "replace", "fe80::1234", "lladdr", "02:00:00:00:12:34", "dev", "eth0")
    wire = Wire(pod)
    try:
        done = pod.command(PYTHON, "-IS", "-c", f"{PRELUDE}\n{attempt}", pod.ip4, pod.ip6, uid=uid)
        assert "Traceback" not in done.err, done
        return wire.sent(wanted)
    finally:
        wire.close()


def leave_nothing(world, attempts):
    """In each mode of UDP. What an attempt leaves in conntrack is no matter for the next: it has a pod of its own."""
    for mode in ("tproxy", "redirect"):
        for attempt in attempts:
            pod = world.pod()
            path = world.file(text(policy(outbound=8000, protocols=BOTH, outbound_ports=["9099"], outbound_addresses=["2001:db8::3"],
                                          UdpMode=mode)))
            world.policy("apply", pod.path, "--file", path)
            left = leaves(pod, attempt)
            assert left == [], (mode, attempt, left)
            world.policy("clear", pod.path)
            assert leaves(pod, attempt, wanted=1) != [], ("the control", attempt)
            world.end_test()


def a_socket_of_an_interface_leads_to_nobody(world):
    leave_nothing(world, BOUND_TO_THE_INTERFACE)


def what_is_for_loopback_does_not_leave_by_another_interface(world):
    leave_nothing(world, TO_LOOPBACK_BY_THE_INTERFACE)


def nobody_begins_a_flow_in_a_foreign_name(world):
    leave_nothing(world, IN_A_FOREIGN_NAME)


def no_other_socket_leads_around_the_proxy(world):
    leave_nothing(world, OTHER)


def nobody_goes_on_with_a_flow_that_was_direct(world):
    for mode in ("tproxy", "redirect"):
        pod = world.pod()
        exception = policy(outbound=8000, protocols=BOTH, outbound_ports=["7000"], UdpMode=mode)
        none = policy(outbound=8000, protocols=BOTH, UdpMode=mode)
        world.policy("apply", pod.path, "--file", world.file(text(exception)))
        assert len(leaves(pod, from_port(4444), wanted=1)) == 1, (mode, "an exception")
        world.policy("apply", pod.path, "--file", world.file(text(none)))
        assert leaves(pod, from_port(4444)) == [], (mode, "an exception that has gone")
        assert len(leaves(pod, from_port(4445), PROXY_UID, 1)) == 1, (mode, "the proxy")
        assert leaves(pod, from_port(4445)) == [], (mode, "a flow of the proxy")
        assert len(leaves(pod, from_port(4445), PROXY_UID, 1)) == 1, (mode, "the proxy, again")
        world.end_test()


def from_port(port):
    return f"to(udp(4, ('0.0.0.0', {port})), '192.0.2.2', 7000)"


# Takes its connection, and breaks it off.
BREAKS_OFF = """
import socket, struct
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("192.0.2.2", 9555))
listener.listen()
print("ready", flush=True)
while True:
    s = listener.accept()[0]
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
"""
NOBODY, BREAKER = "'192.0.2.99', 7000", "'192.0.2.2', 9555"  # who has the first address takes no SYN


def nobody_goes_on_with_a_connection_that_was_direct(world):
    """Neither one that the proxy gave up, nor one that its server broke off."""
    pod = world.pod()
    world.outside.start(PYTHON, "-IS", "-c", BREAKS_OFF, ready="ready\n")
    world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, outbound_ports=["9555"]))))
    assert leaves(pod, broken_off(4445, BREAKER), wanted=2) != [], "an exception"
    world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000))))
    assert leaves(pod, broken_off(4445, BREAKER)) == [], "an exception that has gone"
    assert leaves(pod, tried(4446, NOBODY), PROXY_UID, 1) != [], "the proxy"
    assert leaves(pod, tried(4446, NOBODY)) == [], "a try of the proxy"
    assert leaves(pod, tried(4446, NOBODY), PROXY_UID, 1) != [], "the proxy, again"
    assert leaves(pod, broken_off(4447, BREAKER), PROXY_UID, 2) != [], "the proxy"
    assert leaves(pod, broken_off(4447, BREAKER)) == [], "a connection of the proxy"
    assert leaves(pod, broken_off(4447, BREAKER), PROXY_UID, 1) != [], "the proxy, again"
    world.policy("clear", pod.path)
    assert leaves(pod, tried(4446, NOBODY), wanted=1) != [] and leaves(pod, broken_off(4447, BREAKER), wanted=1) != [], "the control"


def tried(port, target):
    return f"to(tcp(4, ('0.0.0.0', {port})), {target})"


def broken_off(port, target):
    return f"s = tcp(4, ('0.0.0.0', {port})); to(s, {target})\nwith contextlib.suppress(OSError): s.recv(1)"


def a_flow_that_somebody_else_translates_is_no_less_direct(world):
    """The proxy's own, turned to another address by a table that isn't ours."""
    pod = world.pod()
    pod.check("nft", "add table ip others; add chain ip others c { type nat hook output priority -100; }; "
              "add rule ip others c ip daddr 192.0.2.98 dnat to 192.0.2.99")
    world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, protocols=BOTH, UdpMode="redirect"))))
    for attempt in ("to(udp(4, ('0.0.0.0', 4448)), '192.0.2.98', 7000)", tried(4449, "'192.0.2.98', 7000")):
        assert leaves(pod, attempt, PROXY_UID, 1) != [], "the proxy"
        assert leaves(pod, attempt) == [], attempt
        assert leaves(pod, attempt, PROXY_UID, 1) != [], "the proxy, again"


def both_ways(**exceptions):
    return text(policy(outbound=8000, inbound=8001, protocols=BOTH, **exceptions))


def nobody_answers_in_the_place_of_an_inbound_proxy(world):
    """Whoever is outside begins a flow of UDP, the proxy takes it; by the same ports the app would get out."""
    others = text(policy(outbound=8000, protocols=BOTH, UdpMode="redirect"), policy(inbound=8001, protocols=BOTH, uid=1338))
    for rules, uid in ((both_ways(), PROXY_UID), (others, 1338)):
        pod = world.pod()
        proxy = pod.proxy(8000, 8001, uid=uid)
        world.policy("apply", pod.path, "--file", world.file(rules))
        for ip, peer in ((pod.ip4, "10.9.0.1"), (pod.ip6, "fd09::1")):
            answer = f"to(udp({6 if ':' in ip else 4}, ('{'::' if ':' in ip else '0.0.0.0'}', 5000)), '{peer}', 6000)"
            knock(proxy, (peer, 6000), (ip, 5000))
            assert leaves(pod, answer) == [], "an app"
            assert leaves(pod, answer, uid, 1) != [], "the proxy"
            if rules == others:
                continue
            world.policy("apply", pod.path, "--file", world.file(both_ways(inbound_ports=[5000])))
            call(ip, 5000, b"an exception now", (peer, 6000))
            assert leaves(pod, answer, wanted=1) != [], "an exception"
            world.policy("apply", pod.path, "--file", world.file(rules))
        world.end_test()


def what_a_chain_has_missed_goes_nowhere(world):
    """While rules change a packet may meet old ones in one chain and new ones in another: as if one of them weren't there."""
    attempts = [f"to({kind}({family}), '{address}', 7000)" for kind in ("tcp", "udp")
                for family, address in ((4, "192.0.2.2"), (6, "2001:db8::2"))]
    for mode, chains in (("tproxy", ("output_nat", "output_udp")), ("redirect", ("output_nat",))):
        pod = world.pod()
        world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, protocols=BOTH, UdpMode=mode))))
        for chain in chains:
            pod.check("nft", "flush", "chain", "inet", "stile_policy", chain)
        for attempt in attempts:
            assert leaves(pod, attempt) == [], (mode, attempt)
            assert leaves(pod, attempt, PROXY_UID, 1) != [], ("the proxy", mode, attempt)
        pod.check("nft", "flush", "chain", "inet", "stile_policy", "output_end")
        for attempt in attempts:
            assert leaves(pod, attempt, wanted=1) != [], ("the control", mode, attempt)
        world.end_test()


def what_an_inbound_chain_has_missed_is_not_heard(world):
    for mode, chain in (("tproxy", "prerouting_udp"), ("redirect", "prerouting_nat")):
        pod = world.pod()
        heard = pod.start(PYTHON, "-IS", "-c", PRELUDE + HEARS, pod.ip4, pod.ip6, ready="ready\n")
        world.policy("apply", pod.path, "--file",
                     world.file(text(policy(inbound=8001, protocols=BOTH, UdpMode=mode))))
        pod.check("nft", "flush", "chain", "inet", "stile_policy", chain)
        for address in (pod.ip4, pod.ip6):
            call(address, 7000, b"hidden")
        world.policy("clear", pod.path)
        for address in (pod.ip4, pod.ip6):
            call(address, 7000, b"open " + address.encode())
        expected = [f"b'open {address}'" for address in (pod.ip4, pod.ip6)]
        assert sorted(wait_for(heard, expected)) == sorted(expected), (mode, heard.lines())
        world.end_test()


def a_routing_header_leads_nobody_out(world):
    """From loopback a redirected packet would go on to its next segment, in a pod that forwards."""
    header = "struct.pack('8B', 0, 4, 4, 1, 1, 0, 0, 0) + socket.inet_pton(10, '2001:db8::2') + socket.inet_pton(10, ip6)"
    attempts = [f"s = {kind}(6); s.setsockopt(41, 57, {header}); to(s, '2001:db8::2', 7000)" for kind in ("tcp", "udp")]
    pod = world.pod()
    for name in ("all.forwarding", "all.seg6_enabled", "lo.seg6_enabled", "eth0.seg6_enabled"):
        pod.check("sysctl", "-qw", f"net.ipv6.conf.{name}=1")
    pod.check("ip", "-6", "route", "replace", "default", "via", "fd09::1")
    for mode in ("tproxy", "redirect"):
        world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, protocols=BOTH, UdpMode=mode))))
        for attempt in attempts:
            assert leaves(pod, attempt) == [], (mode, attempt)
    world.policy("clear", pod.path)
    for attempt in attempts:
        assert leaves(pod, attempt, wanted=1) != [], ("the control", attempt)


def nobody_shares_the_port_of_a_redirecting_proxy_and_answers(world):
    """SO_REUSEADDR, which many servers set, lets a program of another user bind it, too."""
    pod = world.pod()
    resolver = pod.start(PYTHON, "-IS", "-c", SERVES_SHARED, pod.ip4, uid=PROXY_UID, ready="ready\n")
    world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, inbound=8001, protocols=BOTH, UdpMode="redirect"))))
    call(pod.ip4, 5000, b"question", ("10.9.0.1", 6000))
    wait_until(lambda: "b'question'" in resolver.lines(), "the proxy has it")
    answer = "s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(1, 2, 1); s.bind((ip4, 8001)); to(s, '10.9.0.1', 6000)"
    assert leaves(pod, answer) == [], "an app"
    assert leaves(pod, answer, PROXY_UID, 1) == [(17, pod.ip4, "10.9.0.1")], "the proxy"


SERVES_SHARED = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8001))
print("ready", flush=True)
while True:
    print(s.recv(100), flush=True)
"""


def knock(proxy, source, target):
    """Begins a flow of UDP from out here, by the inbound proxy."""
    proxy.forget()
    call(*target, b"knock", source)
    wait_until(lambda: proxy.entries() != [], "the proxy has it")


# Prints what it hears at a port after it has called somebody from there.
CALLS_AND_HEARS = """
s = udp(4, ("0.0.0.0", 5002))
s.settimeout(None)
while True:
    to(s, "10.9.0.1", 6002)
    print("called", flush=True)
    said = b""
    while said != b"again":
        said = s.recv(100)
        print(said, flush=True)
"""


def nobody_answers_in_the_place_of_an_outbound_proxy(world):
    """An app's flow of UDP has gone to the proxy. Who is outside answers by himself."""
    for rules in (both_ways(), text(policy(outbound=8000, protocols=BOTH))):
        pod = world.pod()
        proxy = pod.proxy(8000, 8001)
        world.policy("apply", pod.path, "--file", world.file(rules))
        app = pod.start(PYTHON, "-IS", "-c", PRELUDE + CALLS_AND_HEARS, pod.ip4, pod.ip6, uid=APP_UID, ready="called\n")
        wait_until(lambda: proxy.entries() != [], "the proxy has it")
        for _ in range(3):
            call(pod.ip4, 5002, b"forged", ("10.9.0.1", 6002))
        world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, protocols=BOTH, outbound_ports=[6002]))))
        tell_to_call_again(pod)
        wait_until(lambda: app.lines().count("called") == 2, "it calls directly")
        call(pod.ip4, 5002, b"genuine", ("10.9.0.1", 6002))
        wait_until(lambda: "b'genuine'" in app.lines(), "an answer that is direct now")
        assert "b'forged'" not in app.lines(), app.lines()
        world.end_test()


def tell_to_call_again(pod):
    pod.check(PYTHON, "-IS", "-c", "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'again', ('127.0.0.1', 5002))")


# An app that serves at the port 5000, breaks off each connection, and says who called.
SERVES = """
import select, socket, struct
sockets = []
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    sockets.append(socket.socket(type=kind))
    sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sockets[-1].bind(("0.0.0.0", 5000))
sockets[0].listen()
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        if s == sockets[1]:
            print("udp", s.recvfrom(100)[1][1], flush=True)
            continue
        s, peer = s.accept()
        print("tcp", peer[1], flush=True)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
"""


def nobody_outside_goes_on_with_what_was_direct(world):
    for mode in ("tproxy", "redirect"):
        pod = world.pod()
        app = pod.start(PYTHON, "-IS", "-c", SERVES, uid=APP_UID, ready="ready\n")
        for exceptions, heard in (({"inbound_ports": [5000]}, ["tcp 6000", "udp 6000"]), ({}, []), (None, ["tcp 6000", "udp 6000"])):
            before = len(app.lines())
            if exceptions is None:
                world.policy("clear", pod.path)
            else:
                world.policy("apply", pod.path, "--file",
                             world.file(text(policy(inbound=8001, protocols=BOTH, UdpMode=mode, **exceptions))))
            call_tcp((pod.ip4, 5000), ("10.9.0.1", 6000))
            call(pod.ip4, 5000, b"hello", ("10.9.0.1", 6000))
            if heard:
                wait_until(lambda b=before, h=heard: len(app.lines()) >= b + len(h), "the app hears it")
            else:
                time.sleep(0.05)
            assert sorted(app.lines()[before:]) == heard, (mode, exceptions, app.lines())
        world.end_test()


def call_tcp(target, source):
    with socket.socket() as s, contextlib.suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(0.3)
        s.bind(source)
        s.connect(target)
        s.recv(1)


def who_is_called_does_not_call_past_an_inbound_proxy(world):
    """The proxy's try to call somebody lets him in, by the same ports, to the app that listens there then."""
    pod = world.pod()
    world.check("nft", "add table inet deaf; add chain inet deaf c { type filter hook input priority 0; }; "
                "add rule inet deaf c tcp dport 6000 drop")
    try:
        for rules, heard in ((policy(inbound=8001), []), (policy(inbound=8001, inbound_ports=[5000]), ["tcp 6000"])):
            world.policy("apply", pod.path, "--file", world.file(text(rules)))
            world.check("nft", "add rule inet deaf c tcp dport 6000 drop")
            assert leaves(pod, tried(5000, "'10.9.0.1', 6000"), PROXY_UID, 1) != []
            world.check("nft", "flush chain inet deaf c")
            app = pod.start(PYTHON, "-IS", "-c", SERVES, uid=APP_UID, ready="ready\n")
            call_tcp((pod.ip4, 5000), ("10.9.0.1", 6000))
            if heard:
                wait_until(lambda a=app: len(a.lines()) > 1, "the app is called")
            assert app.lines()[1:] == heard, (rules, app.lines())
            app.stop()
    finally:
        world.check("nft", "delete table inet deaf")


def exceptions_by_link_local_addresses_pass(world):
    pod = world.pod()
    attempts = ["to(udp(6), 'fe80::1234', 7000, 0, interface)", "to(tcp(6), 'fe80::1234', 7000, 0, interface)"]
    world.policy("apply", pod.path, "--file", world.file(text(policy(outbound=8000, protocols=BOTH, outbound_addresses=["fe80::/10"]))))
    for attempt in attempts:
        assert leaves(pod, attempt, wanted=1) != [], attempt


def an_app_behind_an_inbound_proxy_hears_nothing_that_is_sent_to_all(world):
    for mode in ("tproxy", "redirect"):
        pod = world.pod()
        heard = pod.start(PYTHON, "-IS", "-c", PRELUDE + HEARS, pod.ip4, pod.ip6, ready="ready\n")
        calls = [("10.9.0.255", 7000), ("255.255.255.255", 7000), ("224.0.0.1", 7000), ("ff02::1", 7000)]
        world.policy("apply", pod.path, "--file", world.file(text(policy(inbound=8001, protocols=BOTH, UdpMode=mode))))
        for address, port in calls:
            call(address, port, b"hidden")
        world.policy("apply", pod.path, "--file",
                     world.file(text(policy(inbound=8001, protocols=BOTH, inbound_ports=["7000"], UdpMode=mode))))
        for address, port in calls:
            call(address, port, b"open " + address.encode())
        expected = ["b'open " + address + "'" for address, _ in calls]
        got = wait_for(heard, expected)
        assert sorted(got) == sorted(expected), (mode, got)
        world.end_test()


def nobody_shares_the_port_of_a_proxy_that_runs(world):
    pod = world.pod()
    pod.proxy(8000)
    for family, address in (("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")):
        for kind in ("SOCK_STREAM", "SOCK_DGRAM"):
            for port in (8000, 8002):
                done = pod.command(PYTHON, "-IS", "-c", SHARES, family, kind, address, str(port), uid=APP_UID)
                assert ("bound" if port == 8002 else "Address already in use") in done.out, (family, kind, port, done)


def call(address, port, what, source=None):
    """From the host's end of the pods' bridge; without a source by a socket of its own: another flow each time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.setsockopt(socket.SOL_SOCKET, 25, b"pods")
        if source:
            s.bind(source)
        s.sendto(what, (address, port))


def wait_for(process, expected):
    try:
        wait_until(lambda: len(process.lines()) > len(expected), "the app hears what is an exception")
    except Failed:
        pass
    return process.lines()[1:]


if __name__ == "__main__":
    main(__file__, [a_socket_of_an_interface_leads_to_nobody, what_is_for_loopback_does_not_leave_by_another_interface,
                    nobody_begins_a_flow_in_a_foreign_name, no_other_socket_leads_around_the_proxy,
                    nobody_goes_on_with_a_flow_that_was_direct, nobody_goes_on_with_a_connection_that_was_direct,
                    a_flow_that_somebody_else_translates_is_no_less_direct,
                    nobody_answers_in_the_place_of_an_inbound_proxy, nobody_shares_the_port_of_a_redirecting_proxy_and_answers,
                    nobody_answers_in_the_place_of_an_outbound_proxy,
                    nobody_outside_goes_on_with_what_was_direct, who_is_called_does_not_call_past_an_inbound_proxy,
                    what_a_chain_has_missed_goes_nowhere, what_an_inbound_chain_has_missed_is_not_heard,
                    a_routing_header_leads_nobody_out, nobody_shares_the_port_of_a_proxy_that_runs,
                    exceptions_by_link_local_addresses_pass, an_app_behind_an_inbound_proxy_hears_nothing_that_is_sent_to_all], limit_s=280)
