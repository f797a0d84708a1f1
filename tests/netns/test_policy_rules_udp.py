#!/usr/bin/python3
"""The rules of layer-4 policies against the kernel: which datagrams reach a proxy, which don't, and what the proxy is told."""

import contextlib
import errno
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402
from common.process import wait_until  # noqa: E402
from rules_world import (  # noqa: E402
    APP, APP4, APP6, FAR4, FAR6, IN, NOTRACK, OTHER4, OUT, PROXY, QUIET, World, accepted, nothing, policy, received, send, tests_of)


# ---- UDP ----

def udp_out(**options):
    return policy(outbound=OUT, protocols="17", **options)


def outbound_udp_goes_to_a_transparent_proxy_which_answers_from_the_original_destination(world):
    proxy, server = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53)
    app = {a: world.udp(world.app, a) for a in (FAR4, FAR6)}
    for address, s in app.items():
        s.sendto(b"direct", (address, 53))
        assert received(server)[0] == "direct"
    world.apply(udp_out())
    app = {a: world.udp(world.app, a) for a in (FAR4, FAR6)}
    for address, s in app.items():
        for number in range(3):
            s.sendto(b"q%d" % number, (address, 53))
            text, source, to = received(proxy)
            assert (text, to) == (f"q{number}", (address, 53))
            assert source == (APP4 if address == FAR4 else APP6, s.getsockname()[1])
            answer = world.udp(world.app, address, PROXY, 53, address, True)
            answer.sendto(b"a", source)
            assert received([s]) == ("a", (address, 53), None)
            answer.close()
        big = b"x" * 9000  # in fragments
        s.sendto(big, (address, 53))
        assert received(proxy)[0] == big.decode()
    assert nothing(server)


def the_proxys_own_udp_and_exceptions_are_direct(world):
    proxy, servers = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53) + world.udp_pair(world.peer, 54)
    world.apply(udp_out(out_ports=("54",), out_addresses=(OTHER4,)))
    for address, port, uid, direct in ((FAR4, 53, PROXY, True), (FAR6, 53, PROXY, True), (FAR4, 54, APP, True), (FAR6, 54, APP, True),
                                       (OTHER4, 53, APP, True), (FAR4, 53, APP, False), (FAR6, 53, APP, False)):
        world.udp(world.app, address, uid).sendto(b"q", (address, port))
        assert received(servers if direct else proxy) is not None, (address, port, uid)
        assert nothing(proxy if direct else servers), (address, port, uid)


def udp_without_its_proxy_or_its_routes_is_dropped(world):
    server = world.udp_pair(world.peer, 53)
    world.apply(udp_out())
    for address in (FAR4, FAR6):
        world.udp(world.app, address).sendto(b"no listener", (address, 53))
    assert nothing(server)
    proxy = world.udp_pair(world.app, OUT, PROXY, True)
    world.routes(False)
    for address in (FAR4, FAR6):
        send(world.udp(world.app, address), b"no route", (address, 53))
    assert nothing(server) and nothing(proxy)
    world.udp(world.app, FAR4, PROXY).sendto(b"guard", (FAR4, 53))
    assert received(server) is not None


def flows_that_began_outside_are_answered_directly(world):
    proxy = world.udp_pair(world.app, OUT, PROXY, True)
    world.apply(udp_out())
    own = world.udp_pair(world.app, 5000, APP)
    for address, client in ((APP4, world.udp(world.peer, FAR4, bind=FAR4)), (APP6, world.udp(world.peer, FAR6, bind=FAR6))):
        client.sendto(b"q", (address, 5000))
        _, source, _ = received(own)
        own[0 if ":" in address else 1].sendto(b"a", source)
        assert received([client])[0] == "a"
    assert nothing(proxy)


def an_answer_after_the_flow_is_forgotten_does_not_open_a_way_past_the_proxy(world):
    proxy, server = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53)
    world.apply(udp_out())
    for address in (FAR4, FAR6):
        app = world.udp(world.app, address, port=4000)
        answer = world.udp(world.app, address, PROXY, 53, address, True)
        send(answer, b"late", (APP4 if address == FAR4 else APP6, 4000))
        assert nothing([app])
        app.sendto(b"q", (address, 53))
        assert received(proxy)[0] == "q" and nothing(server)


def a_mark_that_a_program_or_a_packet_has_by_itself_counts_for_nothing(world):
    proxy, server = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53)
    world.apply(udp_out(out_ports=("54",)))
    direct, own = world.udp_pair(world.peer, 54), world.udp_pair(world.app, 5000, APP)
    for address in (FAR4, FAR6):
        for port, uid, want in ((53, APP, proxy), (54, APP, direct), (53, PROXY, server)):
            s = world.udp(world.app, address, uid, bind=APP4 if address == FAR4 else APP6)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x100000)
            s.sendto(b"q", (address, port))
            assert received(want) is not None, (address, port, uid)
    world.app.run("nft", "-f", "-", text="""table inet other {
        chain p { type filter hook prerouting priority raw; iif "eth0" meta mark set 0x100000; }
    }""")
    for address, client in ((APP4, world.udp(world.peer, FAR4, bind=FAR4)), (APP6, world.udp(world.peer, FAR6, bind=FAR6))):
        client.sendto(b"q", (address, 5000))
        assert received(own) is not None and nothing(proxy)


def an_icmp_error_about_an_answer_is_told_to_the_proxy_and_to_nobody_else(world):
    proxy = world.udp_pair(world.app, OUT, PROXY, True)
    world.apply(udp_out())
    with world.peer.inside():
        seen = [world.kept(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
                world.kept(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))]
    for number, address in enumerate((FAR4, FAR6)):
        seen[number].settimeout(QUIET)
        app = world.udp(world.app, address)
        app.sendto(b"q", (address, 53))
        _, source, _ = received(proxy)
        app.close()
        answer = world.udp(world.app, address, PROXY, 53, address, True)
        answer.connect(source)
        answer.send(b"a")
        wait_until(lambda s=answer: s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "the error is told", step=0.01)
        kinds = set()
        with contextlib.suppress(TimeoutError):
            while True:
                data = seen[number].recv(2000)
                kinds.add(data[20] if number == 0 else data[0])
        assert not kinds & {1, 3}, kinds  # unreachable: 3 of ICMP, 1 of ICMPv6


def inbound_udp_goes_to_a_transparent_proxy(world):
    own = world.udp_pair(world.app, 5000, APP)
    clients = {APP4: world.udp(world.peer, FAR4, bind=FAR4), APP6: world.udp(world.peer, FAR6, bind=FAR6)}
    for address, client in clients.items():
        client.sendto(b"control", (address, 5000))
        assert received(own)[0] == "control"
    clients = {APP4: world.udp(world.peer, FAR4, bind=FAR4), APP6: world.udp(world.peer, FAR6, bind=FAR6)}
    world.apply(policy(inbound=IN, protocols="17", in_ports=("5001",)))
    for address, client in clients.items():
        client.sendto(b"nobody", (address, 5000))
        assert nothing(own)
    proxy = world.udp_pair(world.app, IN, PROXY, True)
    excepted = world.udp_pair(world.app, 5001, APP)
    for address, client in clients.items():
        client.sendto(b"q", (address, 5000))
        text, source, to = received(proxy)
        assert (text, source, to) == ("q", client.getsockname()[:2], (address, 5000))
        own[0 if ":" in address else 1].close()
        answer = world.udp(world.app, address, PROXY, 5000, address, True)
        answer.sendto(b"a", source)
        assert received([client])[:2] == ("a", (address, 5000))
        client.sendto(b"more", (address, 5000))
        # An answering socket on the same address and port may be given what follows, as with every transparent proxy.
        assert received([*proxy, answer])[0] == "more"
        client.sendto(b"excepted", (address, 5001))
        assert received(excepted)[0] == "excepted"


def answers_to_what_began_here_are_not_inbound_udp(world):
    proxy, server = world.udp_pair(world.app, IN, PROXY, True), world.udp_pair(world.peer, 53)
    world.apply(policy(inbound=IN, protocols="17"))
    for address in (FAR4, FAR6):
        s = world.udp(world.app, address)
        s.sendto(b"q", (address, 53))
        _, source, _ = received(server)
        answer = world.udp(world.peer, address, 0, 53, address)
        answer.sendto(b"a", source)
        assert received([s])[0] == "a" and nothing(proxy)


def a_proxys_udp_port_is_closed_to_other_machines(world):
    proxy = world.udp_pair(world.app, OUT, PROXY) + world.udp_pair(world.app, IN, PROXY, True)
    client = {APP4: world.udp(world.peer, FAR4, bind=FAR4), APP6: world.udp(world.peer, FAR6, bind=FAR6)}
    for address in (APP4, APP6):
        client[address].sendto(b"control", (address, OUT))
        assert received(proxy) is not None
    client = {APP4: world.udp(world.peer, FAR4, bind=FAR4), APP6: world.udp(world.peer, FAR6, bind=FAR6)}
    for mode in ("tproxy", "redirect"):
        for inbound in (None, IN):
            world.apply(policy(outbound=OUT, inbound=inbound, protocols="17", udp=mode))
            for address in (APP4, APP6):
                for port in (OUT, IN) if inbound else (OUT,):
                    client[address].sendto(b"q", (address, port))
                    assert nothing(proxy), (mode, inbound, address, port)


def udp_by_redirection(world):
    # On loopback itself: from any address the answer would be chosen to come from another.
    proxy = [world.udp(world.app, a, PROXY, OUT, a) for a in ("::1", "127.0.0.1")]
    server = world.udp_pair(world.peer, 53)
    world.apply(udp_out(udp="redirect", RemotePorts="53", out_addresses=(OTHER4,)))
    other = world.udp_pair(world.peer, 54)
    for number, address in enumerate((FAR6, FAR4)):
        s = world.udp(world.app, address)
        s.sendto(b"q", (address, 53))
        _, source, _ = received(proxy)
        proxy[number].sendto(b"a", source)
        assert received([s])[:2] == ("a", (address, 53))
        world.udp(world.app, address, PROXY).sendto(b"own", (address, 53))
        assert received(server)[0] == "own"
        s.sendto(b"else", (address, 54))
        assert received(other)[0] == "else"
    world.udp(world.app, OTHER4).sendto(b"excepted", (OTHER4, 53))
    assert received(server)[0] == "excepted"
    inbound = world.udp_pair(world.app, IN, PROXY)
    world.apply(policy(inbound=IN, protocols="17", udp="redirect"))
    for number, (address, far) in enumerate(((APP6, FAR6), (APP4, FAR4))):
        client = world.udp(world.peer, far, bind=far)
        client.sendto(b"q", (address, 5000))
        _, source, _ = received(inbound)
        inbound[number].sendto(b"a", source)
        assert received([client])[:2] == ("a", (address, 5000))


def both_ways_of_udp_on_one_endpoint(world):
    dns, proxy = world.udp_pair(world.app, 15053, PROXY), world.udp_pair(world.app, OUT, PROXY, True)
    tcp_dns, tcp_proxy = world.listen(world.app, 15053), world.listen(world.app, OUT)
    server = world.udp_pair(world.peer, 53) + world.udp_pair(world.peer, 123)
    world.apply(policy(outbound=15053, protocols="6,17", udp="redirect", priority=1, RemotePorts="53"),
                policy(outbound=OUT, protocols="6,17", priority=10))
    for address in (FAR4, FAR6):
        world.udp(world.app, address).sendto(b"dns", (address, 53))
        assert received(dns)[0] == "dns"
        world.udp(world.app, address).sendto(b"ntp", (address, 123))
        text, _, to = received(proxy)
        assert (text, to) == ("ntp", (address, 123))
        world.connect(world.app, address, 53)
        assert accepted(tcp_dns)[1] == (address, 53)
        world.connect(world.app, address, 80)
        assert accepted(tcp_proxy)[1] == (address, 80)
    assert nothing(server)


def udp_to_a_named_loopback_address(world):
    named, proxy = world.udp(world.app, "127.0.0.11", 0, 53, "127.0.0.11"), world.udp_pair(world.app, OUT, PROXY, True)
    plain = world.udp_pair(world.app, 15053, PROXY)
    world.apply(udp_out())
    world.udp(world.app, FAR4).sendto(b"left alone", ("127.0.0.11", 53))
    assert received([named])[0] == "left alone"
    world.apply(udp_out(RemoteAddresses="127.0.0.11"))
    world.udp(world.app, FAR4).sendto(b"named", ("127.0.0.11", 53))
    assert received(proxy)[2] == ("127.0.0.11", 53)
    world.udp(world.app, FAR4, PROXY).sendto(b"own", ("127.0.0.11", 53))
    assert received([named])[0] == "own"
    world.apply(policy(outbound=15053, protocols="17", udp="redirect", RemoteAddresses="127.0.0.11"))
    world.udp(world.app, FAR4).sendto(b"redirected", ("127.0.0.11", 53))
    assert received(plain)[0] == "redirected"


def untracked_udp_is_never_passed(world):
    proxy, server = world.udp_pair(world.app, OUT, PROXY, True), world.udp_pair(world.peer, 53)
    for options in ({}, {"udp": "redirect"}):
        world.apply(udp_out(**options))
        world.app.run("nft", "-f", "-", text=NOTRACK)
        for address in (FAR4, FAR6):
            send(world.udp(world.app, address), b"q", (address, 53))
            assert nothing(server) and nothing(proxy)
            world.udp(world.app, address, PROXY).sendto(b"own", (address, 53))
            assert received(server)[0] == "own"
        world.app.run("nft", "delete", "table", "inet", "other")


if __name__ == "__main__":
    run_tests(__file__, tests_of(globals()), World, programs=("nft",), root_only=True)
