"""Two namespaces, the rules of policies in one of them, and sockets in both: the world of test_policy_rules*.py.

    app: 10.0.0.2 fd00::2 ──── 10.0.0.1 fd00::1 peer, which also is 203.0.113.1, 203.0.113.2, 2001:db8::1

All sockets are this process's own: a socket belongs to the namespace that its maker is in at that moment, and has the uid that its
maker has then. Environment: POLICY_RULES, the program that makes the rules.
"""

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import tempfile
import time

from common.process import CLONE_NEWNET, PATIENCE_S, libc, wait_until

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


NOTRACK = """table inet other {
    chain o { type filter hook output priority raw; notrack; }
    chain p { type filter hook prerouting priority raw; notrack; }
}"""


def tests_of(names):
    """The tests among a program's own names: functions that take the world."""
    return [value for value in names.values() if getattr(value, "__module__", "") == "__main__" and callable(value)
            and getattr(value, "__code__", None) is not None and value.__code__.co_varnames[:1] == ("world",)]
