"""The world of a policy test: a container host, which is this process's own network namespace, pods on its bridge, and another
machine behind it.

    a pod: 10.9.0.x, fd09::x ──── bridge "pods" (10.9.0.1, fd09::1)  this namespace  192.0.2.1 ──── "outside"
                                                                                2001:db8::1         192.0.2.2, 192.0.2.3, 198.51.100.7
                                                                                                    2001:db8::2, 2001:db8::3

Outside, a peer (peer.py) answers on PORTS, TCP and UDP, and writes down who called. Nothing translates addresses on the way: a peer
sees the pod's.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from common import harness
from common.process import CLONE_NEWNET, PYTHON, Failed, Result, Skip, before_exec, finish, libc, wait_until
from lib import groups, trees

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = (53, 7000, 7001, 7002, 7003)
OUTSIDE4, OUTSIDE6 = ("192.0.2.2", "192.0.2.3", "198.51.100.7"), ("2001:db8::2", "2001:db8::3")
CLONE_NEWUSER = 0x10000000
PROXY_UID = 1337
APP_UID = 1000
DIR = "/run/policytest"
# A CNI configuration list: pods on the bridge, with addresses below those of pods without a runtime.
NETWORK = {
    "cniVersion": "0.4.0", "name": "pods",
    "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": False,
                 "ipam": {"type": "host-local", "dataDir": "/run/cni-addresses",
                          "ranges": [[{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.90"}],
                                     [{"subnet": "fd09::/64", "rangeStart": "fd09::10", "rangeEnd": "fd09::ff"}]],
                          "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}
ENTRY = re.compile(r"(tcp|udp) (\S+) -> (\S+) via (\S+)")


class Process:
    """One that goes on until it is ended; standard output and error go to a log."""

    def __init__(self, argv, log, namespaces=(), uid=None, groups=(), env=None, ready=None):
        self.argv, self.log = argv, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
                                          preexec_fn=before_exec(namespaces, uid, groups))
        if ready:
            wait_until(lambda: ready in self.text() or self.popen.poll() is not None, f"{argv[0]} is ready", step=0.02)
        if ready and ready not in self.text():
            raise Failed(f"{' '.join(argv)} has ended: {self.text()}")

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def lines(self):
        return self.text().splitlines()

    def stop(self, sig=signal.SIGKILL):
        self.popen.send_signal(sig)
        self.popen.wait()


class Namespace:
    """A network namespace by name: a pod without a container, or a machine."""

    def __init__(self, world, name):
        self.world, self.name, self.path = world, name, f"/run/netns/{name}"
        self.entered = {"namespaces": [(self.path, CLONE_NEWNET)]}
        self.make()
        self.check("ip", "link", "set", "lo", "up")
        self.check("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")

    def make(self):
        self.world.check("ip", "netns", "add", self.name)

    def command(self, *argv, **how) -> Result:
        return self.world.command(*argv, **self.entered, **how)

    def check(self, *argv, **how):
        return self.world.check(*argv, **self.entered, **how)

    def start(self, *argv, **how) -> Process:
        return self.world.start(*argv, **self.entered, **how)

    def talk(self, *targets, user=None, wait_ms=10000, before=()):
        """What each target ("tcp/ADDRESS/PORT") answers to a program of this user ("UID:GID,GID"): {target: answer}."""
        words = [*before, f"{DIR}/talk", "-w", str(wait_ms), *(["-u", user] if user else []), *targets]
        return talked(self.check(*words, timeout=60))

    def proxy(self, *ports, uid=PROXY_UID):
        """The example proxy."""
        words = [f"{DIR}/original-destination", "-u", str(uid), *(str(port) for port in ports)]
        return Proxy(self.start(*words, ready="ready\n"))

    def server(self, *ports):
        """An app that serves: answers "app ADDRESS PORT", which is whom it took its client for."""
        return self.start(f"{DIR}/talk", "-l", *(str(port) for port in ports), ready="ready\n")


class Pod(Namespace):
    """A namespace with an interface eth0 on the bridge of pods."""

    def __init__(self, world, name, number):
        super().__init__(world, name)
        self.ip4, self.ip6 = f"10.9.0.{number}", f"fd09::{number}"
        veth = f"veth{number}"
        world.check("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
        world.check("ip", "link", "set", veth, "master", "pods", "up")
        self.check("ip", "link", "set", "eth0", "up")
        self.check("ip", "addr", "add", f"{self.ip4}/24", "dev", "eth0")
        self.check("ip", "addr", "add", f"{self.ip6}/64", "dev", "eth0")
        self.check("ip", "route", "add", "default", "via", "10.9.0.1")
        self.check("ip", "-6", "route", "add", "default", "via", "fd09::1")


class UserPod(Pod):
    """One whose network belongs to a user namespace, as those of rootless containers do: its user N is N + FIRST out here."""

    FIRST = 200000

    def make(self):
        holder = self.world.start("unshare", "--user", "--net", "sleep", "100000")
        directory = f"/proc/{holder.popen.pid}"
        wait_until(lambda: open(f"{directory}/comm", encoding="ascii").read() == "sleep\n", "the namespaces are there")
        for name in ("uid_map", "gid_map"):
            with open(f"{directory}/{name}", "w", encoding="ascii") as file:
                file.write(f"0 {self.FIRST} 65536")
        self.world.check("touch", self.path)
        self.world.check("mount", "--bind", f"{directory}/ns/net", self.path)
        self.entered = {"namespaces": [(f"{directory}/ns/user", CLONE_NEWUSER), (self.path, CLONE_NEWNET)], "uid": 0}


def talked(text):
    return dict(line.split(" ", 1) for line in text.splitlines())


class Seen:
    """What a log has gained since forget()."""

    def __init__(self, lines):
        self.all, self.before = lines, 0

    def forget(self):
        self.before = len(self.all())

    def lines(self):
        return self.all()[self.before:]


class Proxy(Seen):
    """The example proxy, wherever it runs; lines(): those that it printed."""

    def __init__(self, process, lines=None):
        super().__init__(lines or process.lines)
        self.process = process

    def entries(self):
        """(protocol, from, to, via) of each connection and flow."""
        found = [match.groups() for match in map(ENTRY.fullmatch, self.lines()) if match]
        return [(protocol, *(socket_text(*re.fullmatch(r"\[?([^\]]*)\]?:(\d+)", s).groups()) for s in sockets))
                for protocol, *sockets in found]


class Peer(Seen):
    """The program outside."""

    def __init__(self, namespace, name, ports):
        self.log = os.path.join(DIR, f"{name}.seen")
        self.process = namespace.start(PYTHON, "-IS", os.path.join(HERE, "peer.py"), name, self.log,
                                       ",".join((*OUTSIDE4, *OUTSIDE6)), *(str(p) for p in ports), ready="ready\n")
        super().__init__(self._lines)

    def _lines(self):
        with open(self.log, encoding="ascii") as file:
            return file.read().splitlines()

    def sources(self):
        """(protocol, "ADDRESS:PORT") of each that called."""
        return [(line.split()[0], socket_text(*line.split()[1:3])) for line in self.lines()]


def socket_text(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class World:
    """trees: of extracted packages, laid over /usr and /etc."""

    def __init__(self, *tree_names):
        self.processes, self.plain, self.counter, self.marks = [], [], 0, {}
        self.kept = set()
        self._own_mounts(tree_names)
        self._group = ""
        self.check("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0",
                   "net.ipv6.conf.all.accept_dad=0")
        self.check("ip", "link", "set", "lo", "up")
        self._make_bridge()
        self._make_outside()

    def _own_mounts(self, tree_names):
        found = [trees.tree(name) for name in tree_names]  # before it is hidden
        for path in ("/run", "/var/lib", "/var/log", "/var/cache"):
            if not any(directory.startswith(path + "/") for directory in (*found, os.environ["STILE"])):
                trees.mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        os.makedirs(DIR)
        for variable in ("TALK", "PROXY"):
            shutil.copy(os.environ[variable], DIR)
        os.makedirs("/run/netns", exist_ok=True)
        if tree_names:
            trees.lay_over(*tree_names)

    def _make_bridge(self):
        self.check("ip", "link", "add", "pods", "type", "bridge")
        self.check("ip", "addr", "add", "10.9.0.1/24", "dev", "pods")
        self.check("ip", "addr", "add", "fd09::1/64", "dev", "pods", "nodad")
        self.check("ip", "link", "set", "pods", "up")

    def _make_outside(self):
        self.outside = Namespace(self, "outside")
        self.check("ip", "link", "add", "out", "type", "veth", "peer", "name", "eth0", "netns", "outside")
        self.check("ip", "link", "set", "out", "up")
        self.check("ip", "addr", "add", "192.0.2.1/24", "dev", "out")
        self.check("ip", "addr", "add", "2001:db8::1/64", "dev", "out", "nodad")
        self.check("ip", "route", "add", "198.51.100.7", "via", "192.0.2.2")
        self.outside.check("ip", "link", "set", "eth0", "up")
        for address in (*(f"{a}/24" for a in OUTSIDE4), *(f"{a}/64" for a in OUTSIDE6)):
            self.outside.check("ip", "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        self.outside.check("ip", "route", "add", "default", "via", "192.0.2.1")
        self.outside.check("ip", "-6", "route", "add", "default", "via", "2001:db8::1")
        self.peer = Peer(self.outside, "peer", PORTS)

    @property
    def group(self):
        """The control group of all that the test starts in one, as a path below the top; Skip where there can be none."""
        self._group = self._group or groups.make()
        return self._group

    # ---- processes ----

    def command(self, *argv, namespaces=(), uid=None, groups=(), text="", timeout=30, env=None) -> Result:
        """Runs a command to its end; on the container host, unless told otherwise."""
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, **(env or {})}, preexec_fn=before_exec(namespaces, uid, groups))
        return finish(process, argv, text, timeout)

    def check(self, *argv, **how):
        """A command that must succeed; what it printed."""
        done = self.command(*argv, **how)
        if done.status != 0:
            raise Failed(f"{' '.join(argv)}: {done!r}")
        return done.out

    def start(self, *argv, env=None, **how) -> Process:
        """Starts a command that goes with the test."""
        self.counter += 1
        log = os.path.join(DIR, f"{self.counter}-{os.path.basename(argv[0])}.log")
        self.processes.append(Process(argv, log, env={**os.environ, **(env or {})}, **how))
        return self.processes[-1]

    def stile(self, *words, **how) -> Result:
        return self.command(os.environ["STILE"], *words, **how)

    def policy(self, *words, **how):
        """`stile policy …`, which must succeed; what it printed."""
        return self.check(os.environ["STILE"], "policy", *words, **how)

    # ---- pods ----

    def pod(self, name="pod", kind=Pod):
        """A pod without a container; it goes with the test."""
        self.counter += 1
        self.plain.append(kind(self, f"{name}{self.counter}", 100 + self.counter % 100))
        return self.plain[-1]

    def file(self, text):
        """A new file with this text; its path."""
        descriptor, path = tempfile.mkstemp(dir=DIR, suffix=".json")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ---- what the harness asks for ----

    def mark_logs(self):
        self.peer.forget()
        self.kept = set(self.processes)
        self.marks = {name: os.path.getsize(os.path.join(DIR, name)) for name in os.listdir(DIR) if name.endswith(".log")}

    def logs(self):
        text = ""
        for name in sorted(name for name in os.listdir(DIR) if name.endswith(".log")):
            with open(os.path.join(DIR, name), encoding="utf-8", errors="replace") as file:
                file.seek(self.marks.get(name, 0))
                lines = file.readlines()[-20:]
            if lines:
                text += f"--- {name}\n" + "".join(lines)
        return text

    def end_test(self):
        for process in [p for p in self.processes if p not in self.kept]:
            process.stop()
            self.processes.remove(process)
        for pod in self.plain:
            self.command("ip", "netns", "del", pod.name)
        self.plain = []

    def stop(self):
        for process in self.processes:
            process.stop()
        if self._group:
            groups.remove(self._group, patience_s=10)


def main(file, tests, make_world=World, programs=(), limit_s=240):
    """Runs the tests of a file."""
    harness.run_tests(file, tests, make_world, programs=("nft", "sysctl", *programs), root_only=True, limit_s=limit_s)


__all__ = ["APP_UID", "Failed", "NETWORK", "OUTSIDE4", "OUTSIDE6", "PORTS", "PROXY_UID", "PYTHON", "Namespace", "Pod", "Process", "Proxy", "Skip", "UserPod", "World",
           "libc", "main", "socket_text", "talked", "wait_until"]
