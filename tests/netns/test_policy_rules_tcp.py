#!/usr/bin/python3
"""The rules of layer-4 policies against the kernel: which TCP connections reach a proxy, which don't, and what the proxy is told."""

import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402
from common.process import PATIENCE_S, wait_until  # noqa: E402
from rules_world import (  # noqa: E402
    APP, APP4, APP6, FAR4, FAR6, IN, NOTRACK, OTHER4, OUT, PEER4, PEER6, PROXY, QUIET, World, accept_or_none, accepted, nothing, policy,
    received, refused, send, tests_of)


# ---- TCP, outbound ----

def outbound_tcp_goes_to_the_proxy_which_learns_where_it_was_going(world):
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    for address in (FAR4, FAR6):
        world.connect(world.app, address, 80)  # the control
        assert accepted(server)[1] == (address, 80) and accepted(proxy, 0.05) is None
    world.apply(policy(outbound=OUT))
    for address in (FAR4, FAR6):
        world.connect(world.app, address, 80)
        assert accepted(proxy)[1] == (address, 80)
        assert accepted(server, QUIET) is None
    world.remove()
    world.connect(world.app, FAR4, 80)
    assert accepted(server)[1] == (FAR4, 80)


def the_proxys_own_connections_are_direct_by_uid_gid(world):
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    for guard in ({"uid": PROXY}, {"uid": None, "gid": PROXY}):
        world.apply(policy(outbound=OUT, **guard))
        for address in (FAR4, FAR6):
            world.connect(world.app, address, 80, PROXY, PROXY)
            assert accepted(server)[1] == (address, 80)
            world.connect(world.app, address, 80, APP, APP)
            assert accepted(proxy)[1] == (address, 80)


def exceptions_by_port_range_address_and_prefix_pass_the_proxy(world):
    proxy = world.listen(world.app, OUT)
    servers = {port: world.listen(world.peer, port) for port in (22, 80, 8000, 8050, 8100, 8101)}
    world.apply(policy(outbound=OUT, out_ports=("22", "8000-8100"), out_addresses=(OTHER4, "2001:db8::/32")))
    for port, direct in ((22, True), (8000, True), (8050, True), (8100, True), (8101, False), (80, False)):
        world.connect(world.app, FAR4, port)
        assert accepted(servers[port] if direct else proxy) is not None, port
    for address, direct in ((OTHER4, True), (FAR6, True), (PEER6, False), (PEER4, False)):
        world.connect(world.app, address, 80)
        assert accepted(servers[80] if direct else proxy) is not None, address


def a_filter_with_ipv4_addresses_alone_does_not_match_ipv6(world):
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    world.apply(policy(outbound=OUT, RemoteAddresses="203.0.113.0/24"))
    for address, direct in ((FAR4, False), (PEER4, True), (FAR6, True)):
        world.connect(world.app, address, 80)
        assert accepted(server if direct else proxy) is not None, address
    world.apply(policy(outbound=OUT, LocalAddresses="fd00::/8", RemoteAddresses="203.0.113.0/24,2001:db8::/32"))
    for address, direct in ((FAR4, True), (FAR6, False), (PEER6, True)):
        world.connect(world.app, address, 80)
        assert accepted(server if direct else proxy) is not None, address


def local_and_remote_ports_filter(world):
    proxy, server, other = world.listen(world.app, OUT), world.listen(world.peer, 80), world.listen(world.peer, 81)
    world.apply(policy(outbound=OUT, LocalPorts="4000-4010", RemotePorts="80"))
    for address, any_ in ((FAR4, "0.0.0.0"), (FAR6, "::")):
        world.connect(world.app, address, 80, source=(any_, 4003))
        assert accepted(proxy) is not None
        world.connect(world.app, address, 80, source=(any_, 4011))
        assert accepted(server) is not None
        world.connect(world.app, address, 81, source=(any_, 4004))
        assert accepted(other) is not None


def the_first_policy_that_matches_decides(world):
    first, second, server = world.listen(world.app, OUT), world.listen(world.app, 15002), world.listen(world.peer, 80)
    # By priority, not by place: 203.0.113.1 is for the first, all the rest for the second.
    world.apply(policy(outbound=15002, uid=1338, priority=10),
                policy(outbound=OUT, priority=1, RemoteAddresses=FAR4, out_ports=("81",)))
    world.connect(world.app, FAR4, 80)
    assert accepted(first) is not None
    world.connect(world.app, FAR6, 80)
    assert accepted(second) is not None
    # The guard of one policy is not that of another.
    world.connect(world.app, FAR6, 80, PROXY)
    assert accepted(second) is not None
    world.connect(world.app, FAR4, 80, PROXY)
    assert accepted(server) is not None
    # An exception of the first is direct: the second isn't asked.
    direct = world.listen(world.peer, 81)
    world.connect(world.app, FAR4, 81)
    assert accepted(direct) is not None and accepted(second, 0.05) is None


def loopback_is_left_alone_unless_it_is_named(world):
    proxy, own = world.listen(world.app, OUT), world.listen(world.app, 80)
    named = world.listen(world.app, 53, "127.0.0.11")
    world.apply(policy(outbound=OUT))
    for address in ("127.0.0.1", "::1", "127.9.9.9"):
        world.connect(world.app, address, 80)
        assert accepted(own)[1] == (address, 80)
    world.apply(policy(outbound=OUT, RemoteAddresses="127.0.0.11,0.0.0.0/0"))
    world.connect(world.app, "127.0.0.11", 53)
    assert accepted(proxy)[1] == ("127.0.0.11", 53)
    world.connect(world.app, "127.0.0.11", 53, PROXY)
    assert accepted(named) is not None
    world.connect(world.app, "127.0.0.1", 80)
    assert accepted(own) is not None


def a_proxy_that_is_not_there_is_not_passed(world):
    server = world.listen(world.peer, 80)
    world.apply(policy(outbound=OUT))
    for address in (FAR4, FAR6):
        assert refused(world.connect, world.app, address, 80) == "ConnectionRefusedError"
    assert accepted(server, QUIET) is None


def connections_go_on_when_the_policies_are_replaced(world):
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    world.apply(policy(outbound=OUT))
    direct, through = world.connect(world.app, FAR4, 80, PROXY), world.connect(world.app, FAR4, 80)
    ends = [(a, wait_until(lambda l=l: accept_or_none(l), "it is accepted")) for a, l in ((direct, server), (through, proxy))]
    for policies, survive in (([policy(outbound=15002, uid=5)], ends), ([policy(outbound=OUT, out_ports=("80",))], ends), ([], ends[:1])):
        world.apply(*policies) if policies else world.remove()
        for a, b in survive:
            b.settimeout(PATIENCE_S)
            a.sendall(b"ping")
            assert b.recv(10) == b"ping"
            b.sendall(b"pong")
            assert a.recv(10) == b"pong"
    for _, b in ends:
        b.close()


# ---- TCP, inbound ----

def inbound_tcp_goes_to_the_proxy(world):
    proxy, server = world.listen(world.app, IN), world.listen(world.app, 80)
    for address in (APP4, APP6):
        world.connect(world.peer, address, 80)
        assert accepted(server) is not None and accepted(proxy, 0.05) is None
    world.apply(policy(inbound=IN, in_ports=("9000",), in_addresses=(FAR4, FAR6)))
    admin = world.listen(world.app, 9000)
    for address, far in ((APP4, FAR4), (APP6, FAR6)):
        world.connect(world.peer, address, 80)
        assert accepted(proxy)[1] == (address, 80)
        world.connect(world.peer, address, 9000)
        assert accepted(admin) is not None
        world.connect(world.peer, address, 80, source=(far, 0))
        assert accepted(server) is not None
    assert accepted(proxy, 0.05) is None


def inbound_filters_by_remote_address_and_local_port(world):
    proxy, server, other = world.listen(world.app, IN), world.listen(world.app, 80), world.listen(world.app, 81)
    world.apply(policy(inbound=IN, LocalPorts="80", RemoteAddresses="10.0.0.0/24"))
    for port, source, want in ((80, PEER4, proxy), (80, FAR4, server), (81, PEER4, other)):
        world.connect(world.peer, APP4, port, source=(source, 0))
        assert accepted(want) is not None, (port, source)
    world.connect(world.peer, APP6, 80)
    assert accepted(server) is not None


def an_inbound_proxy_reaches_the_program_at_every_address_of_the_endpoint(world):
    inbound, outbound = world.listen(world.app, IN), world.listen(world.app, OUT)
    server = world.listen(world.app, 80)
    world.apply(policy(inbound=IN, outbound=OUT))
    for address in ("127.0.0.1", "::1", APP4, APP6):
        world.connect(world.app, address, 80, PROXY)
        assert accepted(server) is not None, address
    assert accepted(inbound, 0.05) is None and accepted(outbound, 0.05) is None


def a_proxys_port_is_closed_to_other_machines(world):
    ports = {OUT: world.listen(world.app, OUT), IN: world.listen(world.app, IN)}
    for port in (OUT, IN):
        for address in (APP4, APP6):
            world.connect(world.peer, address, port)  # the control
            assert accepted(ports[port]) is not None
    for inbound in (None, IN):
        world.apply(policy(inbound=inbound, outbound=OUT))
        for port in (OUT, IN) if inbound else (OUT,):
            for address in (APP4, APP6):
                assert refused(world.connect, world.peer, address, port) == "ConnectionRefusedError", (port, address)
    # Here it is open, as everything on loopback.
    world.connect(world.app, "127.0.0.1", OUT)
    assert accepted(ports[OUT]) is not None


def answers_of_a_proxy_and_of_others_with_its_port_number_come_through(world):
    world.apply(policy(outbound=OUT, inbound=IN, protocols="6,17"))
    proxy, server = world.listen(world.app, IN), world.listen(world.peer, OUT)
    # To another machine's port of the same number, by the proxy, whose socket has that port as well.
    world.connect(world.app, FAR4, OUT, PROXY, source=("0.0.0.0", IN - 1))
    assert accepted(server) is not None
    client = world.connect(world.peer, APP4, 80)
    s = wait_until(lambda: accept_or_none(proxy), "the proxy has it")
    s.sendall(b"hello")
    assert client.recv(10) == b"hello"
    s.close()
    far, own = world.udp(world.peer, FAR4, 0, OUT, FAR4), world.udp(world.app, FAR4, PROXY, 4500)
    own.sendto(b"question", (FAR4, OUT))
    text, source, _ = received([far])
    far.sendto(b"answer", source)
    assert text == "question" and received([own])[0] == "answer"


# ---- What conntrack can't follow ----

def untracked_connections_are_dropped_rather_than_passed(world):
    proxy, server, own = world.listen(world.app, OUT), world.listen(world.peer, 80), world.listen(world.app, 80)
    world.apply(policy(outbound=OUT))
    world.app.run("nft", "-f", "-", text=NOTRACK)
    for address in (FAR4, FAR6):
        assert refused(world.connect, world.app, address, 80, timeout=QUIET) == "TimeoutError"
        world.connect(world.app, address, 80, PROXY)
        assert accepted(server) is not None
    world.apply(policy(inbound=IN))
    closed = world.listen(world.app, IN)
    for address in (APP4, APP6):
        for port in (80, IN):
            assert refused(world.connect, world.peer, address, port, timeout=QUIET) == "TimeoutError"
    assert [accepted(s, 0.05) for s in (proxy, own, closed)] == [None, None, None]


def raw_tcp(flags):
    """A TCP header of the app's to FAR4, port 80."""
    header = struct.pack("!HHIIBBHHH", 4444, 80, 1, 1, 5 << 4, flags, 1000, 0, 0)
    summed = socket.inet_aton(APP4) + socket.inet_aton(FAR4) + struct.pack("!BBH", 0, 6, len(header)) + header
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    total = (total >> 16) + (total & 0xffff)
    return header[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + header[18:]


def segments_that_belong_to_no_connection_do_not_leave(world):
    with world.peer.inside():
        seen = world.kept(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    with world.app.inside():
        raw = world.kept(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    seen.settimeout(PATIENCE_S)
    rst, ack, all_flags = 4, 0x10, 0x3f
    raw.sendto(raw_tcp(rst), (FAR4, 0))
    assert seen.recv(100)  # the control
    seen.settimeout(QUIET)
    world.apply(policy(outbound=OUT))
    for flags in (rst, ack, rst | ack, 0, all_flags):
        send(raw, raw_tcp(flags), (FAR4, 0))
        assert refused(seen.recv, 100) == "TimeoutError", flags


def a_proxied_connection_goes_on_when_conntrack_has_forgotten_it(world):
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    world.apply(policy(outbound=OUT))
    for address in (FAR4, FAR6):
        client = world.connect(world.app, address, 80)
        end = wait_until(lambda: accept_or_none(proxy), "the proxy has it")
        with world.app.inside():
            flush = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
        with flush:  # IPCTNL_MSG_CT_DELETE without a tuple, NLM_F_REQUEST | NLM_F_ACK
            flush.send(struct.pack("=IHHII4x", 20, 1 << 8 | 2, 5, 1, 0))
            assert struct.unpack_from("=i", flush.recv(100), 16)[0] == 0
        end.settimeout(PATIENCE_S)
        client.sendall(b"ping")
        assert end.recv(10) == b"ping"
        end.sendall(b"pong")
        assert client.recv(10) == b"pong"
        end.close()
    assert accepted(server, 0.05) is None


def ways_around_address_translation_end_nowhere(world):
    """A socket bound to a device, a link-local address, a source route by way of an exception."""
    proxy, server = world.listen(world.app, OUT), world.listen(world.peer, 80)
    udp_proxy, udp_server = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53)
    with world.app.inside():
        index = socket.if_nametoindex("eth0")
    with world.peer.inside():
        lines = subprocess.run(["ip", "-6", "-o", "addr", "show", "dev", "eth1", "scope", "link"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout
    local = (lines.split()[3].split("/")[0], 80, 0, index)
    bind_to_device, source_route = 25, bytes([131, 7, 4]) + socket.inet_aton(PEER4) + b"\1"

    def tries():
        for address, options in (((FAR4, 80), (socket.SOL_SOCKET, bind_to_device, b"eth0")),
                                 ((FAR6, 80), (socket.SOL_SOCKET, bind_to_device, b"eth0")), (local, None),
                                 ((FAR4, 80), (socket.IPPROTO_IP, socket.IP_OPTIONS, source_route))):
            s = world.kept(world.app.socket(address[0], socket.SOCK_STREAM, APP))
            s.settimeout(QUIET)
            if options:
                s.setsockopt(*options)
            refused(s.connect, address)
            yield address

    for number, _ in enumerate(tries()):  # the control; hosts refuse source routes anyway
        assert (accepted(server, PATIENCE_S if number < 3 else QUIET) is not None) == (number < 3), number
    world.apply(policy(outbound=OUT, protocols="6,17", out_addresses=(PEER4,)))
    for address in tries():
        assert accepted(server, 0.1) is None, address
    for address in (FAR4, FAR6):
        s = world.udp(world.app, address)
        s.setsockopt(socket.SOL_SOCKET, bind_to_device, b"eth0")
        send(s, b"q", (address, 53))
        assert nothing(udp_server), address
    del proxy, udp_proxy


if __name__ == "__main__":
    run_tests(__file__, tests_of(globals()), World, programs=("nft",), root_only=True)
