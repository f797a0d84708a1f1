#!/usr/bin/python3
"""The rules of layer-4 policies against the kernel: which connections reach a proxy, which don't, and what the proxy is told.

    app: 10.0.0.2 fd00::2 ──── 10.0.0.1 fd00::1 peer, which also is 203.0.113.1, 203.0.113.2, 2001:db8::1

All sockets are this process's own: a socket belongs to the namespace that its maker is in at that moment, and has the uid that its
maker has then. Environment: POLICY_RULES, the program that makes the rules.
"""

import contextlib
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402
from common.process import CLONE_NEWNET, PATIENCE_S, Skip, libc, wait_until  # noqa: E402

RULES = os.environ.get("POLICY_RULES", "")
PROXY, APP = 1337, 1000  # uids
OUT, IN = 15001, 15006
APP4, APP6, PEER4, PEER6 = "10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1"
FAR4, FAR6, OTHER4 = "203.0.113.1", "2001:db8::1", "203.0.113.2"
SO_ORIGINAL_DST, IP_TRANSPARENT, IPV6_TRANSPARENT = 80, 19, 75
IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR = 20, 74
QUIET = 0.3  # how long nothing must come


def policy(outbound=None, inbound=None, protocols="6", uid=PROXY, priority=None, udp=None, gid=None, cgroup=None, out_ports=(),
           out_addresses=(), in_ports=(), in_addresses=(), **filter_):
    settings = {"FilterTuple": {"Protocols": protocols, **filter_}}
    if priority is not None:
        settings["FilterTuple"]["Priority"] = priority
    for name, value in (("OutboundProxyPort", outbound), ("InboundProxyPort", inbound), ("UserID", uid), ("GroupID", gid),
                        ("Cgroup", cgroup), ("UdpMode", udp)):
        if value is not None:
            settings[name] = str(value)
    for name, ports, addresses in (("Outbound", out_ports, out_addresses), ("Inbound", in_ports, in_addresses)):
        if ports or addresses:
            settings[name + "Exceptions"] = {"PortExceptions": [str(p) for p in ports], "IpAddressExceptions": list(addresses)}
    return {"Type": "L4WFPPROXY", "Settings": settings}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Namespace:
    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        self.run("ip", "link", "set", "lo", "up")

    @contextlib.contextmanager
    def inside(self, uid=0, gid=0):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        libc.setns(self.fd, CLONE_NEWNET)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            libc.setns(home, CLONE_NEWNET)
            os.close(home)

    def run(self, *argv, text=None):
        with self.inside():
            done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def socket(self, address, kind, uid=0, gid=0):
        with self.inside(uid, gid):
            return socket.socket(family(address), kind)


def rules(verb, *arguments, text=""):
    done = subprocess.run([RULES, verb, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class World:
    def __init__(self):
        self.app, self.peer = Namespace(), Namespace()
        self.sockets = []
        self.app.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        self.app.run("ip", "link", "set", "eth1", "netns", f"/proc/{os.getpid()}/fd/{self.peer.fd}")
        for ns, link, addresses in ((self.app, "eth0", (APP4 + "/24", APP6 + "/64")),
                                    (self.peer, "eth1", (PEER4 + "/24", PEER6 + "/64", FAR4 + "/32", OTHER4 + "/32", FAR6 + "/128"))):
            for address in addresses:
                ns.run("ip", "addr", "add", address, "dev", link, *(("nodad",) if ":" in address else ()))
            ns.run("ip", "link", "set", link, "up")
        self.app.run("ip", "route", "add", "default", "via", PEER4)
        self.app.run("ip", "-6", "route", "add", "default", "via", PEER6)
        for address in (FAR4, FAR6):
            wait_until(lambda a=address: refused(self.connect, self.app, a, 9) == "ConnectionRefusedError", f"{address} answers")

    # What the harness asks for.
    def mark_logs(self):
        pass

    def logs(self):
        return ""

    def stop(self):
        pass

    def end_test(self):
        for s in self.sockets:
            s.close()
        self.sockets.clear()
        self.app.run("nft", "flush", "ruleset")
        self.peer.run("nft", "flush", "ruleset")
        self.routes(False)
        time.sleep(0.02)

    def kept(self, s):
        self.sockets.append(s)
        return s

    # Policies.
    def routes(self, wanted):
        for version in ("-4", "-6"):
            there = "57110" in self.app.run("ip", version, "rule")
            if wanted and not there:
                self.app.run("ip", version, "rule", "add", "iif", "lo", "fwmark", "0x100000/0x100000", "lookup", "57110", "priority", "5711")
                self.app.run("ip", version, "route", "add", "local", "default", "dev", "lo", "table", "57110")
            if there and not wanted:
                self.app.run("ip", version, "rule", "del", "priority", "5711")
                self.app.run("ip", version, "route", "flush", "table", "57110")

    def apply(self, *policies, routes=True):
        if routes:
            self.routes(any("17" in p["Settings"]["FilterTuple"]["Protocols"] for p in policies))
        self.app.run("nft", "-f", "-", text=rules("replace", text=json.dumps(policies)))
        self.unchanged(*policies)

    def unchanged(self, *policies):
        """The kernel has what was written, and says it in words that we take for it."""
        listing = self.app.run("nft", "list", "table", "inet", "stile_policy")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(json.dumps(policies))
            file.flush()
            assert rules("compare", file.name, text=listing) == ""
        assert len(json.loads(rules("read", text=listing))) == len(policies)

    def remove(self):
        self.app.run("nft", "-f", "-", text=rules("remove"))

    # TCP.
    def listen(self, ns, port, address="::"):
        s = self.kept(ns.socket(address, socket.SOCK_STREAM))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family(address) == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind((address, port))
        s.listen(64)
        s.setblocking(False)
        return s

    def connect(self, ns, address, port, uid=APP, gid=APP, source=None, timeout=PATIENCE_S):
        s = self.kept(ns.socket(address, socket.SOCK_STREAM, uid, gid))
        s.settimeout(timeout)
        if source:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if s.family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(source)
        s.connect((address, port))
        return s

    def udp(self, ns, address, uid=APP, port=0, bind=None, transparent=False):
        s = self.kept(ns.socket(address, socket.SOCK_DGRAM, uid, uid))
        v6 = family(address) == socket.AF_INET6
        if transparent:
            s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, IPV6_TRANSPARENT if v6 else IP_TRANSPARENT, 1)
            s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, IPV6_RECVORIGDSTADDR if v6 else IP_RECVORIGDSTADDR, 1)
        if v6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port or bind:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((bind or ("::" if v6 else "0.0.0.0"), port))
        s.setblocking(False)
        return s

    def udp_pair(self, ns, port, uid=0, transparent=False):
        return [self.udp(ns, "::", uid, port, transparent=transparent), self.udp(ns, "0.0.0.0", uid, port, transparent=transparent)]


def accepted(listener, timeout=PATIENCE_S):
    """(address it came from, address that was called) or None."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            s, address = listener.accept()
        except BlockingIOError:
            time.sleep(0.005)
            continue
        with s:
            return address[0].removeprefix("::ffff:"), original(s)
    return None


def accept_or_none(listener):
    try:
        return listener.accept()[0]
    except BlockingIOError:
        return None


def original(s):
    try:
        if s.getpeername()[0].startswith("::ffff:") or s.family == socket.AF_INET:
            data = s.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
            return socket.inet_ntop(socket.AF_INET, data[4:8]), struct.unpack_from("!H", data, 2)[0]
        data = s.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, data[8:24]), struct.unpack_from("!H", data, 2)[0]
    except OSError:  # conntrack isn't there
        return s.getsockname()[0].removeprefix("::ffff:"), s.getsockname()[1]


def refused(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except OSError as error:
        return type(error).__name__
    return None


def received(sockets, timeout=PATIENCE_S):
    """(text, source address, destination) of the next datagram to one of these; None: none comes."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for s in sockets:
            try:
                data, ancillary, _, source = s.recvmsg(65536, 512)
            except BlockingIOError:
                continue
            to = None
            for level, kind, value in ancillary:
                if (level, kind) == (socket.IPPROTO_IP, IP_RECVORIGDSTADDR):
                    to = (socket.inet_ntop(socket.AF_INET, value[4:8]), struct.unpack_from("!H", value, 2)[0])
                elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR):
                    to = (socket.inet_ntop(socket.AF_INET6, value[8:24]), struct.unpack_from("!H", value, 2)[0])
            return data.decode(), source[:2], to
        time.sleep(0.005)
    return None


def send(s, data, to):
    """What the rules drop on its way out is refused to its sender."""
    with contextlib.suppress(PermissionError):
        s.sendto(data, to)


def nothing(sockets):
    return received(sockets, QUIET) is None


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

NOTRACK = """table inet other {
    chain o { type filter hook output priority raw; notrack; }
    chain p { type filter hook prerouting priority raw; notrack; }
}"""


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


TESTS = [value for name, value in list(globals().items()) if getattr(value, "__module__", "") == "__main__" and callable(value)
         and getattr(value, "__code__", None) is not None and value.__code__.co_varnames[:1] == ("world",)]

if __name__ == "__main__":
    run_tests(__file__, TESTS, World, programs=("nft",), root_only=True)
