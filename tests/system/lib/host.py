"""One whole host of a system test, in namespaces of its own (network, mounts, processes, name): its own /etc, /run, /tmp, /home,
/var/lib and /var/log, users alice, bob and carol, an interface eth0 on the LAN (lan.py), and daemons on demand (daemons.py).

Root's view of a process of a host: its Popen has the pid of the namespace out here, so signals go to it directly.
"""

import json
import os
import shutil
import subprocess
import sys

from common.process import (CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, PATIENCE_S, PYTHON, Asked, Failed, Result, Skip, alive,
                            before_exec, command_line, finish, libc, processes, wait_until)
from lib import daemons, snapshot, systemd
from lib.stile import Broker, Up

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..")
USERS = {"alice": 1501, "bob": 1502, "carol": 1503}
STILE = "/opt/stile/stile"


class Host:
    """families: of eth0's addresses and of resolv.conf, (4,), (6,) or (4, 6). dns: who owns /etc/resolv.conf: "file", "resolved",
    "networkmanager", "resolvconf", "openresolv". ipv6: False switches it off by sysctl, as people do. number: not another's.
    systemd: whether it is the host's init; stile is then installed as by `make install`, and start_broker() starts its unit."""

    def __init__(self, lan, name, number, families=(4, 6), dns="file", ipv6=True, systemd=False):
        self.lan, self.name, self.number, self.families, self.dns = lan, name, number, families, dns
        self.dir = os.path.join("/run/stile-system", name)
        self.log_dir = os.path.join(self.dir, "logs")
        self.systemd = systemd
        self.tree = daemons.trees(dns) + ([lan.installed()] if systemd else [])
        self.numbers = 0
        self.children, self.asked, self.broker = [], [], None
        self.logged_in, self.watcher = {}, None
        self.ipv6 = ipv6
        self.group = ""
        os.makedirs(self.log_dir, 0o755)

    # ---- making it ----

    def start(self):
        self._start_init()
        self._copy_programs()
        if self.systemd:
            systemd.wait_booted(self)
        # Addresses are there at once, and none but the test's.
        settings = ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0"]
        if not self.ipv6:
            settings += [f"net.ipv6.conf.{name}.disable_ipv6=1" for name in ("all", "default", "lo")]
        self.check("sysctl", "-qw", *settings)
        self.plug("eth0")
        daemons.start(self, self.dns)

    def _start_init(self):
        if self.systemd:
            self.group = systemd.make_group()
        config = {"name": self.name, "dir": self.dir, "trees": self.tree, "users": USERS, "group": self.group}
        log = open(os.path.join(self.log_dir, "init.log"), "wb")
        self.unshare = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--", PYTHON, "-IS",
             os.path.join(HERE, "init.py"), json.dumps(config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, preexec_fn=before_exec(), env=self.lan.environment())
        log.close()
        if self.unshare.stdout.readline() != b"up\n":
            with open(os.path.join(self.log_dir, "init.log"), encoding="utf-8", errors="replace") as file:
                raise Skip(f"a host can't be made here: {file.read()}")
        with open(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children", encoding="ascii") as file:
            self.init = int(file.read().split()[0])

    def _copy_programs(self):
        os.makedirs(os.path.join(self.dir, "opt", "stile"))
        if self.systemd:
            os.symlink("/usr/local/bin/stile", os.path.join(self.dir, "opt", "stile", "stile"))
        else:
            shutil.copy(self.lan.stile, os.path.join(self.dir, "opt", "stile", "stile"))
        for name in ("common", os.path.join("system", "lib")):
            shutil.copytree(os.path.join(TESTS, name), os.path.join(self.dir, "opt", "tests", name),
                            ignore=shutil.ignore_patterns("__pycache__"))
        for name, cluster in self.lan.clusters.items():
            shutil.copy(cluster.ca, os.path.join(self.dir, "opt", "stile", f"ca-{name}.pem"))

    def addresses(self, number=None):
        """The addresses with prefix lengths that eth0 has: by the host's number, or another."""
        number = self.number if number is None else number
        both = {4: f"192.0.2.{10 + number}/24", 6: f"2001:db8:1::{10 + number}/64"}
        return [both[family] for family in self.families]

    def plug(self, interface, number=None):
        """A new interface on the LAN. NetworkManager configures its own; else it has its addresses at once."""
        far = f"{self.name}{interface}"[-15:]
        done = self.lan.command("ip", "link", "add", far, "type", "veth", "peer", "name", interface, "netns", str(self.init))
        if done.status != 0:
            raise Failed(f"veth of {self.name}: {done!r}")
        self.lan.command("ip", "link", "set", far, "master", "lan", "up")
        self.check("ip", "link", "set", interface, "up")
        if self.dns.startswith("networkmanager"):
            return
        for address in self.addresses(number):
            self.command("ip", "addr", "add", address, "dev", interface)
        for family, router in ((4, "192.0.2.1"), (6, "2001:db8:1::1")):
            if family in self.families:
                self.command("ip", f"-{family}", "route", "add", "default", "via", router, "dev", interface)

    def resolvers(self):
        """Addresses of the LAN's resolver."""
        return [{4: "192.0.2.1", 6: "2001:db8:1::1"}[family] for family in self.families]

    # ---- processes ----

    def path(self, path):
        """Where a file of the host is, seen from out here."""
        return f"/proc/{self.init}/root{path}"

    def read(self, path):
        with open(self.path(path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def log_path(self, name):
        return os.path.join(self.log_dir, f"{name}.log")

    def environment(self, user, more):
        env = {"PATH": "/opt/stile:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "LC_ALL": "C.UTF-8",
               "TERM": "xterm", "USER": user, "LOGNAME": user, "HOME": "/root" if user == "root" else f"/home/{user}",
               "PYTHONDONTWRITEBYTECODE": "1", "SHELL": "/bin/sh"}
        if user != "root":
            env["XDG_RUNTIME_DIR"] = f"/run/user/{USERS[user]}"
        env.update(more or {})
        return env

    def spawn(self, argv, user="root", env=None, **how):
        """Starts a process of the host."""
        how.setdefault("stdin", subprocess.DEVNULL)
        spaces = [(f"/proc/{self.init}/ns/{name}", kind) for name, kind in
                  (("net", CLONE_NEWNET), ("uts", CLONE_NEWUTS), ("mnt", CLONE_NEWNS))]
        with open(f"/proc/{self.init}/ns/pid", "rb") as theirs, open("/proc/self/ns/pid", "rb") as ours:
            # Only children are moved; back at once, for the others.
            if libc.setns(theirs.fileno(), CLONE_NEWPID) != 0:
                raise Failed(f"{self.name} has ended")
            try:
                process = subprocess.Popen(argv, preexec_fn=before_exec(spaces, USERS.get(user)),
                                           env=self.environment(user, env), **how)
            finally:
                if libc.setns(ours.fileno(), CLONE_NEWPID) != 0:
                    sys.exit("lib/host.py: no way back to the own pid namespace")
        self.children.append(process)
        return process

    def command(self, *argv, user="root", text="", timeout=60, env=None) -> Result:
        """Runs a command on the host to its end."""
        process = self.spawn(argv, user, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return finish(process, argv, text, timeout)

    def as_user(self, user, *argv, **how) -> Result:
        return self.command(*argv, user=user, **how)

    def check(self, *argv, **how):
        """A command that must succeed; what it printed."""
        result = self.command(*argv, **how)
        if result.status != 0:
            raise Failed(f"{self.name}: {' '.join(argv)}: {result!r}")
        return result.out

    def program(self, user="alice"):
        """A program of a user's that does what the test asks for (tests/common/inside.py)."""
        self.numbers += 1
        log_path = self.log_path(f"program-{self.numbers}")
        with open(log_path, "wb") as log:
            process = self.spawn([PYTHON, "-IS", "/opt/tests/common/inside.py"], user, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=log)

        def messages():
            with open(log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        self.asked.append(Asked(process, messages))
        return self.asked[-1]

    def processes(self, *words):
        """Pids (out here) of the host's processes whose command lines begin with these words; the program by its last part."""
        found = []
        for pid in processes():
            line = command_line(pid)
            if line and [os.path.basename(line[0]), *line[1:]][:len(words)] == list(words) and self._is_ours(pid):
                found.append(pid)
        return found

    def _is_ours(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self.init}/ns/pid")
        except OSError:
            return False

    # ---- stile ----

    def stile(self, *words, user="alice", **how) -> Result:
        return self.command(STILE, *words, user=user, **how)

    def log_in(self, user="alice", cluster="a", as_name=None, password=None):
        """A log-in of a user of the host as a user of the gateway's. Before there is a broker, what the same log-ins have made on
        another host is as good, and copied: a log-in is slow on purpose."""
        before = self.logged_in.get(user, ())
        done = (*before, (user, cluster, as_name))
        self.logged_in[user] = done
        if self.broker is None and password is None and self.lan.restore_log_ins(done, self, user):
            return None
        result = self.stile("login", "--gateway", self.lan.clusters[cluster].address, "--user", as_name or user, "--ca",
                            f"/opt/stile/ca-{cluster}.pem", "--password-file", "-",
                            text=(password or self.lan.password) + "\n", user=user)
        if result.status != 0:
            raise Failed(f"stile login: {result!r}")
        if self.broker is None and password is None:
            self.lan.keep_log_ins(done, self, user)
        return result

    def start_broker(self, *options, users=("alice", "bob"), config="", wait=True, env=None):
        """`stile broker` as root. users: who may start a session; config: more of broker.yaml."""
        self.write("/etc/stile/broker.yaml", f"allow_users: [{', '.join(users)}]\n{config}")
        self.broker = systemd.BrokerUnit(self) if self.systemd else Broker(self, options, env)
        if wait:
            self.broker.wait_for_socket()
        return self.broker

    def up(self, user="alice", *options, wait=True, **how):
        """`stile up` in the foreground; as soon as it is up, unless told otherwise."""
        session = Up(self, user, options, **how)
        if wait:
            session.wait_up()
        return session

    def down(self, user="alice"):
        return self.stile("down", user=user)

    # ---- how the host is ----

    def snapshot(self):
        """How the host is configured (snapshot.py)."""
        if self.watcher is None:
            with open(self.log_path("watcher"), "wb") as log:
                self.watcher = self.spawn([PYTHON, "-IS", "/opt/tests/system/lib/snapshot.py"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log)
        self.watcher.stdin.write(b"\n")
        self.watcher.stdin.flush()
        line = self.watcher.stdout.readline()
        if not line:
            with open(self.log_path("watcher"), encoding="utf-8", errors="replace") as log:
                raise Failed(f"no snapshot of {self.name}: {log.read()}")
        return snapshot.Snapshot(json.loads(line))

    def assert_restored(self, before, seconds=PATIENCE_S):
        """The host must be as it was, now or in so many seconds; Failed says what differs."""
        differences = [""]

        def restored():
            differences[0] = before.difference(self.snapshot())
            return not differences[0]
        try:
            wait_until(restored, "the host is as before", seconds, 0.1)
        except Failed:
            raise Failed(f"{self.name} isn't as it was before:\n{differences[0]}") from None

    def settle(self, seconds=PATIENCE_S):
        """The snapshot, as soon as two in a row are equal: daemons finish what they were doing."""
        last = [self.snapshot()]

        def same():
            before, last[0] = last[0], self.snapshot()
            return not before.difference(last[0])
        wait_until(same, f"{self.name} is quiet", seconds, 0.2)
        return last[0]

    # ---- its end ----

    def running(self):
        return alive(self.init)

    def stop(self):
        """The host's init is killed, and with it all its processes. It ends when those that are ours have been waited for."""
        if self.systemd and self.running():
            systemd.save_journal(self)
        if self.unshare.poll() is None:
            self.unshare.kill()
        self.unshare.wait()
        for process in self.children:
            process.wait()
        wait_until(lambda: not alive(self.init), f"the end of {self.name}")
        if self.group:
            wait_until(lambda: systemd.remove_group(self.group), "the control groups are empty")
        for asked in self.asked:
            asked.close()
        if self.watcher is not None:
            self.watcher.stdin.close()
            self.watcher.stdout.close()
