#!/usr/bin/python3
"""Measures stile beside its peers, each pair in turns within one run; writes bench/results.json and the table in
docs/benchmarks.md.

usage: bench/run.py [--rounds N] [--seconds N] [--only PREFIX [--write]] [--build DIR]

Rows are medians over the rounds. The peers: a bare epoll relay between two loopback sockets (bench/relay.c) for the data plane
without TLS, haproxy -> TLS -> haproxy for the whole path, dnsmasq for DNS, rules written by hand for policies (bench/policies.py).
Congestion control is cubic on all sides (docs/benchmarks.md says why). Needs root: it makes network namespaces, and removes them.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import policies

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GIB = 1 << 30
TICK = os.sysconf("SC_CLK_TCK")


class Bench:
    """Everything that runs during one benchmark; released in reverse order."""

    def __init__(self, options):
        self.options = options
        self.stack = contextlib.ExitStack()
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="stile-bench-"))
        self.rows = []

    def program(self, name):
        return os.path.join(self.options.build, name if name == "stile" else "bench/" + name)

    def start(self, *command, ready=None, **popen):
        """A process that lives until the benchmark ends; waits for a line that says it is ready."""
        log = open(os.path.join(self.directory, "log"), "a")
        process = subprocess.Popen(command, stdout=subprocess.PIPE if ready else log, stderr=log, text=True, **popen)
        self.stack.callback(self.stop, process)
        if ready and process.stdout.readline().strip() != ready:
            sys.exit("bench: %s did not start:\n%s" % (command[0], open(log.name).read()))
        return process

    @staticmethod
    def stop(process):
        if process.stdin:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, name, text, mode=0o600):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
            f.write(text)
        return self.path(name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port):
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit("bench: nothing listens on port %d" % port)


def cpu_seconds(pids):
    """What these processes have used so far, user and system."""
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(word) for word in f.read().split()]


class Side:
    """One of the two that are compared: how a load reaches its server, and whose CPU time counts."""

    def __init__(self, bench, name, host, port, prefix=(), pids=(), engine=False):
        self.bench, self.name, self.host, self.port = bench, name, host, port
        self.prefix, self.pids, self.engine = list(prefix), list(pids), engine

    def measure(self, mode, streams):
        """Gives what load printed, and the CPU time it took on this side."""
        command = self.prefix + [self.bench.program("load"), mode, self.host, str(self.port), str(streams),
                                 str(self.bench.options.seconds)]
        before = cpu_seconds(self.pids)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        own = self.watch(process) if self.engine else 0
        out, err = process.communicate()
        if process.returncode != 0:
            sys.exit("bench: %s: %s failed: %s" % (self.name, mode, err))
        result = json.loads(out)
        result["cpu"] = cpu_seconds(self.pids) - before + own
        return result

    def watch(self, run):
        """The agent's and the engine's CPU time: both end with the program, so they are read until then."""
        own = 0.0
        while run.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                pids = [run.pid] + children(run.pid)[:1]
                own = max(own, cpu_seconds(pids))
            time.sleep(0.05)
        return own


def plain_sides(bench):
    """The data plane alone, in a network namespace, beside the relay."""
    server, relay = free_port(), free_port()
    bench.start(bench.program("load"), "serve", "127.0.0.1", str(server), ready="ready")
    peer = bench.start(bench.program("relay"), "127.0.0.1", str(relay), "127.0.0.1", str(server), ready="ready")
    namespace = "stile-bench-%d" % os.getpid()
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    bench.stack.callback(subprocess.run, ["ip", "netns", "delete", namespace], check=True)
    engine = bench.start(bench.program("plain_engine"), namespace, "127.0.0.1", str(os.cpu_count()), ready="ready",
                         stdin=subprocess.PIPE)
    inside = ["nsenter", "--net=/run/netns/" + namespace]
    return (Side(bench, "stile", "10.99.0.7", server, inside, [engine.pid]),
            Side(bench, "loopback relay", "127.0.0.1", relay, [], [peer.pid]))


HAPROXY = """global
    nbthread {threads}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    maxconn 8000
listen bench
    bind 127.0.0.1:{listen}{bind_tls}
    server target 127.0.0.1:{target}{server_tls}
"""


def haproxy(bench, name, **values):
    config = bench.write(name, HAPROXY.format(threads=os.cpu_count(), **values))
    process = bench.start("haproxy", "-db", "-f", config)
    wait_for_port(values["listen"])
    return process.pid


def haproxy_side(bench, server):
    near, far = free_port(), free_port()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", bench.path("peer.key"),
                    "-out", bench.path("peer.crt")], check=True, stderr=subprocess.DEVNULL)
    with open(bench.path("peer.crt")) as crt, open(bench.path("peer.key")) as key:
        bench.write("peer.pem", crt.read() + key.read())
    tls = "crt {0} ca-file {1} verify required ssl-min-ver TLSv1.3"
    pair = tls.format(bench.path("peer.pem"), bench.path("peer.crt"))
    pids = [haproxy(bench, "far.cfg", listen=far, bind_tls=" ssl " + pair, target=server, server_tls=""),
            haproxy(bench, "near.cfg", listen=near, bind_tls="", target=far, server_tls=" ssl " + pair)]
    return Side(bench, "haproxy-TLS-haproxy", "127.0.0.1", near, [], pids)


GATEWAY_APPS = """apps:
  - {{name: load, public_name: load.bench.test, target: "127.0.0.1:{0}", ports: [{0}], allow: {{groups: [everyone]}}}}
"""


def stile_side(bench, server):
    stile, port = bench.program("stile"), free_port()
    os.environ["STILE_HOME"] = bench.path("home")
    config = bench.path("gateway", "gateway.yaml")
    subprocess.run([stile, "gateway", "init", bench.path("gateway"), "--name", "bench"], check=True, stdout=subprocess.DEVNULL)
    with open(config) as f:
        text = f.read().split("\napps:")[0].replace("7443", str(port)).replace("bench.internal", "bench.test")
    bench.write("gateway/gateway.yaml", text + "\n" + GATEWAY_APPS.format(server))
    password = bench.write("password", "benchmark pass phrase\n")
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([stile, "gateway", "user", "add", "bench", "--config", config, "--password-file", password], **quiet)
    gateway = bench.start(stile, "gateway", "run", "--config", config)
    wait_for_port(port)
    subprocess.run([stile, "login", "--gateway", "127.0.0.1:%d" % port, "--user", "bench", "--ca",
                    bench.path("gateway", "ca", "ca.pem"), "--password-file", password], **quiet)
    return Side(bench, "stile", "load.bench.test", server, [stile, "run", "--"], [gateway.pid], engine=True)


def tls_sides(bench):
    server = free_port()
    bench.start(bench.program("load"), "serve", "127.0.0.1", str(server), ready="ready")
    return stile_side(bench, server), haproxy_side(bench, server)


class DnsSide(Side):
    def measure(self, mode, streams):
        command = self.prefix + [self.bench.program("dns_load"), self.host, str(self.port), "load.bench.test", str(streams),
                                 str(self.bench.options.seconds)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def dns_sides(bench, stile):
    port = free_port()
    bench.start("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=%d" % port,
                "--listen-address=127.0.0.1", "--bind-interfaces", "--address=/load.bench.test/100.64.0.9", "--user=root",
                "--pid-file=" + bench.path("dnsmasq.pid"))
    time.sleep(0.5)
    return (DnsSide(bench, "stile", "100.64.0.2", 53, stile.prefix),
            DnsSide(bench, "dnsmasq", "127.0.0.1", port))


# id, mode of load, streams, what is taken from its result, unit, whether less is better
BULK = [("up.1", "up", 1), ("up.8", "up", 8), ("down.1", "down", 1), ("down.8", "down", 8)]


def gbits(r):
    return r["bytes"] * 8 / r["seconds"] / 1e9


def cpu_per_gib(r):
    return r["cpu"] / (r["bytes"] / GIB)


def per_second(r):
    return r["count"] / r["seconds"]


def wanted(bench, row_id):
    """Whether --only takes this row, or rows of this prefix."""
    return row_id.startswith(bench.options.only) or bench.options.only.startswith(row_id + ".")


def measure_in_turns(bench, sides, mode, streams):
    results = [[] for _ in sides]
    for _ in range(bench.options.rounds):
        for i, side in enumerate(sides):
            results[i].append(side.measure(mode, streams))
    return results


def compare(bench, prefix, sides, measurements):
    """Measures both sides in turns and adds a row for each value taken."""
    for name, mode, streams, values in measurements:
        if not wanted(bench, prefix + "." + name):
            continue
        results = measure_in_turns(bench, sides, mode, streams)
        for suffix, unit, take, less_is_better in values:
            add_row(bench, prefix + "." + name + suffix, unit, sides[1].name, [[take(r) for r in side] for side in results],
                    less_is_better)


def compare_policies(bench):
    """The first side beside each of the others."""
    def compare_sides(name, sides, mode, streams, unit, take):
        if not wanted(bench, "policy." + name):
            return
        values = [[take(r) for r in results] for results in measure_in_turns(bench, sides, mode, streams)]
        for side, theirs in zip(sides[1:], values[1:]):
            suffix = "" if side is sides[1] else ".direct"
            add_row(bench, "policy." + name + suffix, unit, side.name, [values[0], theirs], False)

    policies.measure_path(compare_sides, policies.path_sides(bench))
    policies.measure_commands(bench, lambda name: wanted(bench, "policy." + name),
                              lambda name, *rest: add_row(bench, "policy." + name, *rest))


def add_row(bench, row_id, unit, peer, values, less_is_better):
    stile, other = (statistics.median(v) for v in values)
    ratio = (other / stile if less_is_better else stile / other) if stile and other else 0
    bench.rows.append({"id": row_id, "unit": unit, "stile": round(stile, 3), "peer": peer, "peer_value": round(other, 3),
                       "ratio": round(ratio, 3)})
    print("%-20s %-10s %12.3f %12.3f  %6.2f  %s" % (row_id, unit, stile, other, ratio, peer), flush=True)


def machine():
    with open("/proc/cpuinfo") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    version = {"haproxy": ["haproxy", "-v"], "dnsmasq": ["dnsmasq", "-v"], "nft": ["nft", "--version"]}
    found = {name: subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.split("\n")[0]
             for name, command in version.items()}
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as f:
        default = f.read().strip()
    return {"cpu": models[0] if models else "unknown", "cores": os.cpu_count(), "kernel": platform.release(),
            "default_congestion_control": default, "date": time.strftime("%Y-%m-%d"), **found}


def measure_all(bench):
    bulk = [(name, mode, streams, [("", "Gbit/s", gbits, False), (".cpu", "CPU-s/GiB", cpu_per_gib, True)])
            for name, mode, streams in BULK]
    counted = [("rtt", "rtt", 1, [("", "1/s", per_second, False)]), ("rtt.32", "rtt", 32, [("", "1/s", per_second, False)]),
               ("conn", "conn", 32, [("", "1/s", per_second, False)])]
    print("%-20s %-10s %12s %12s  %6s  %s" % ("row", "unit", "stile", "peer", "ratio", "the peer"))
    if wanted(bench, "plain"):
        compare(bench, "plain", plain_sides(bench), bulk + counted)
    if wanted(bench, "tls") or wanted(bench, "dns"):
        tls = tls_sides(bench)
        compare(bench, "tls", tls, bulk + counted)
        compare(bench, "dns", dns_sides(bench, tls[0]), [("known", "", 64, [("", "answers/s", per_second, False)])])
    if wanted(bench, "policy"):
        compare_policies(bench)


BEGIN, END = "<!-- bench/run.py: begin -->\n", "<!-- bench/run.py: end -->\n"


def write_document(results):
    """The figures between the two marks of docs/benchmarks.md, so that they are always those of the last whole run."""
    path = os.path.join(ROOT, "docs", "benchmarks.md")
    with open(path) as f:
        before, rest = f.read().split(BEGIN)
    m = results["machine"]
    lines = ["%s, %d cores, Linux %s, %s; %s; %s; %s. Default congestion control of the host: %s. Load average before: %s." % (
        m["cpu"], m["cores"], m["kernel"], m["date"], m["haproxy"], m["dnsmasq"], m["nft"], m["default_congestion_control"], m["load"])]
    lines += ["Rows `%s*` by themselves: %s, load average before: %s." % (only, run["date"], run["load"])
              for only, run in results["apart"].items()]
    lines += ["",
        "| row | unit | stile | peer | ratio | the peer |", "|---|---|---:|---:|---:|---|"]
    lines += ["| %(id)s | %(unit)s | %(stile)s | %(peer_value)s | **%(ratio)s** | %(peer)s |" % row for row in results["rows"]]
    with open(path, "w") as f:
        f.write(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def write(rows, only, load):
    """Those of other prefixes stay as they are."""
    path = os.path.join(ROOT, "bench", "results.json")
    with open(path) as f:
        old = json.load(f)
    kept = [row for row in old["rows"] if only and not row["id"].startswith(only)]
    apart = {**old.get("apart", {}), only: {"date": time.strftime("%Y-%m-%d"), "load": load}} if only else {}
    results = {"machine": {**machine(), "load": old["machine"].get("load", "unknown") if only else load}, "apart": apart, "rows": kept + rows}
    with open(path, "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    write_document(results)


def main():
    parser = argparse.ArgumentParser(description="Measures stile beside its peers and writes bench/results.json.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", default="", help="only rows whose id starts so; results.json is left alone")
    parser.add_argument("--write", action="store_true", help="with --only: puts these rows in the place of those in results.json")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: it makes a network namespace: run it as root")
    for program in ("haproxy", "dnsmasq", "openssl", "nsenter", "ip", "nft"):
        if shutil.which(program) is None:
            sys.exit("bench: %s is missing; `make bench` installs it" % program)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load = round(os.getloadavg()[0], 1)
    bench = Bench(options)
    with bench.stack:
        measure_all(bench)
    if options.write or not options.only:
        write(bench.rows, options.only, load)


if __name__ == "__main__":
    main()
