"""The rows of layer-4 policies: what a connection pays for them, and what commands take.

A program in a network namespace calls a server in another one, over a veth pair. Three namespaces side by side: one has policies,
one has the few rules that a person would write by hand for the same, one has nothing. In the first two the same proxies stand
(haproxy for TCP, examples/original-destination.c for UDP), so what differs is the rules alone.
"""

import json
import os
import re
import subprocess
import sys
import time

UID, SERVER = 1337, 7000
TCP_PROXY, UDP_PROXY = 15001, 15002
COUNTS = (1, 100, 1000)

# As short as it can be; nothing is closed, nothing dropped, no state.
BY_HAND = """table inet by_hand {{
    chain by_nat {{
        type nat hook output priority -100;
        meta skuid {uid} accept
        tcp dport {server} redirect to :{tcp_proxy}
    }}
    chain by_mark {{
        type route hook output priority mangle;
        meta skuid {uid} accept
        udp dport {server} meta mark set 1
    }}
    chain by_tproxy {{
        type filter hook prerouting priority mangle;
        iif lo meta mark 1 meta l4proto udp tproxy ip to :{udp_proxy} accept
    }}
}}
"""

HAPROXY = """global
    uid {uid}
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    maxconn 8000
listen policies
    bind 0.0.0.0:{proxy}
    server target {host}:{server}
"""


def document(count, protocol):
    """So many policies, each for a port of its own; the last is that of the server."""
    number, proxy = {"tcp": ("6", TCP_PROXY), "udp": ("17", UDP_PROXY)}[protocol]
    ports = [str(20000 + n) for n in range(count - 1)] + [str(SERVER)]
    return json.dumps([{"Type": "L4WFPPROXY", "Settings": {
        "OutboundProxyPort": str(proxy), "UserID": str(UID),
        "FilterTuple": {"Protocols": number, "RemotePorts": port}}} for port in ports])


def wait_for_listener(process, port):
    """In the process's own network, once it has entered it."""
    listens = re.compile(r": 00000000:%04X 00000000:0000 0A " % port)
    for _ in range(300):
        with open("/proc/%d/net/tcp" % process.pid) as f:
            if listens.search(f.read()):
                return
        time.sleep(0.05)
    sys.exit("bench: nothing listens on port %d" % port)


class Namespace:
    """One of those in which the program runs, with its way to the server's."""

    number = 0

    def __init__(self, bench, name, server=None):
        Namespace.number += 1
        self.bench, self.name = bench, "stile-bench-%d-%s" % (os.getpid(), name)
        self.inside = ["nsenter", "--net=/run/netns/" + self.name]
        self.host = "10.98.%d.2" % Namespace.number
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        bench.stack.callback(subprocess.run, ["ip", "netns", "delete", self.name], check=True)
        self.ip("link", "set", "lo", "up")
        if server:
            self.connect(server)

    def ip(self, *words):
        subprocess.run(["ip", "-n", self.name, *words], check=True)

    def connect(self, server):
        link = "v%d" % Namespace.number
        self.ip("link", "add", link, "type", "veth", "peer", "name", link, "netns", server.name)
        for side, address in ((self, "10.98.%d.1/24" % Namespace.number), (server, self.host + "/24")):
            side.ip("address", "add", address, "dev", link)
            side.ip("link", "set", link, "up")

    def start(self, *command, ready=None):
        return self.bench.start(*self.inside, *command, ready=ready)

    def start_proxies(self):
        config = self.bench.write(self.name + ".cfg", HAPROXY.format(uid=UID, proxy=TCP_PROXY, host=self.host, server=SERVER))
        wait_for_listener(self.start("haproxy", "-db", "-f", config), TCP_PROXY)
        example = os.path.join(self.bench.options.build, "examples", "original-destination")
        self.start(example, "-u", str(UID), str(UDP_PROXY), ready="ready")

    def nft(self, text):
        subprocess.run(self.inside + ["nft", "-f", "-"], input=text, text=True, check=True)

    def policy(self, verb, *words):
        command = [self.bench.program("stile"), "policy", verb, self.name, *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def apply(self, count, protocol):
        self.policy("apply", "--file", self.bench.write("policies.json", document(count, protocol)))


class PolicySide:
    """One of those that are compared, as run.py's Side: the load runs in this namespace."""

    def __init__(self, name, namespace):
        self.name, self.namespace = name, namespace

    def measure(self, mode, streams):
        bench = self.namespace.bench
        program = [bench.program("udp_load")] if mode == "udp" else [bench.program("load"), mode]
        command = self.namespace.inside + program + [self.namespace.host, str(SERVER), str(streams), str(bench.options.seconds)]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        if result["bytes"] == 0:
            sys.exit("bench: %s: nothing came through" % self.name)
        return result


def by_hand(namespace):
    namespace.ip("rule", "add", "fwmark", "1", "lookup", "100")
    namespace.ip("route", "add", "local", "default", "dev", "lo", "table", "100")
    namespace.nft(BY_HAND.format(uid=UID, server=SERVER, tcp_proxy=TCP_PROXY, udp_proxy=UDP_PROXY))


def path_sides(bench):
    """With policies, by hand, with nothing."""
    server = Namespace(bench, "server")
    sides = [PolicySide(name, Namespace(bench, short, server))
             for name, short in (("stile", "policy"), ("nft by hand", "hand"), ("no proxy", "direct"))]
    server.start(bench.program("load"), "serve", "0.0.0.0", str(SERVER), ready="ready")
    server.start(bench.program("udp_load"), "serve", "0.0.0.0", str(SERVER), ready="ready")
    for side in sides[:2]:
        side.namespace.start_proxies()
    by_hand(sides[1].namespace)
    return sides


def seconds_of(command, text=None):
    start = time.monotonic()
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def pairs_of(namespace, count):
    """For each command: what stile is asked, and the same as nft is asked it in the same namespace."""
    bench = namespace.bench
    file = bench.write("policies.json", document(count, "tcp"))
    policy = [bench.program("stile"), "policy"]
    nft = namespace.inside + ["nft"]
    rules = namespace.policy("apply", "--file", file, "--dry-run")
    return [("apply", (policy + ["apply", namespace.name, "--file", file], None), (nft + ["-f", "-"], rules)),
            ("list", (policy + ["list", namespace.name, "--json"], None), (nft + ["list", "table", "inet", "stile_policy"], None)),
            ("clear", (policy + ["clear", namespace.name], None), (nft + ["delete", "table", "inet", "stile_policy"], None))]


def command_times(namespace, count):
    """For each command two lists, stile's and nft's milliseconds, taken in turns."""
    times = {}
    pairs = pairs_of(namespace, count)
    for _ in range(5 * namespace.bench.options.rounds):
        for which in (0, 1):
            for name, *commands in pairs:
                times.setdefault(name, ([], []))[which].append(seconds_of(*commands[which]) * 1000)
    return times


def measure_path(compare, sides):
    """compare(name, sides, mode, streams, unit, take): one row for each of the sides after the first."""
    policies = sides[0].namespace
    def count_per_second(result):
        return result["count"] / result["seconds"]

    for count in COUNTS:
        beside = sides if count == 1 else sides[:2]
        policies.apply(count, "tcp")
        if count == 1:
            compare("up", beside, "up", 1, "Gbit/s", lambda r: r["bytes"] * 8 / r["seconds"] / 1e9)
            compare("rtt", beside, "rtt", 1, "1/s", count_per_second)
        compare("conn.%d" % count, beside, "conn", 16, "1/s", count_per_second)
        policies.apply(count, "udp")
        compare("udp.%d" % count, beside, "udp", 32, "datagrams/s", count_per_second)


def measure_commands(bench, wanted, add_row):
    """Each as a program of its own, from its start to its end. wanted and add_row as run.py's."""
    namespace = Namespace(bench, "commands")
    for count in (1, 10, 100, 1000):
        if not any(wanted("%s.%d" % (name, count)) for name in ("apply", "list", "clear")):
            continue
        for name, times in command_times(namespace, count).items():
            add_row("%s.%d" % (name, count), "ms", "nft", times, True)
