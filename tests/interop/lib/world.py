"""The world of an interop test: a client's machine and, behind it, servers that only a gateway reaches.

    this namespace (the client's machine)          a second one (the servers')
    ┌──────────────────────────────────────┐       ┌─────────────────────────────┐
    │ dnsmasq 127.0.0.1:53, the upstream   │       │ gateway (its listener is    │
    │ stile login, run, proxy, status …    │──────►│ out here) → servers.py on   │
    │ 127.0.0.1:7443, the gateway's socket │       │ 127.0.0.1 and ::1           │
    └──────────────────────────────────────┘       └─────────────────────────────┘

Made by the harness inside fresh namespaces; everything lies in DIR, on a tmpfs. Commands of stile run as an ordinary user
(UID) where the tests run as root, unless a test wants root.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

from common.process import CLONE_NEWNET, PATIENCE_S, PYTHON, Asked, Failed, Skip, alive, before_exec, command_line, finish, parent_of
from common.process import Stopwatch, processes, resident_kib, wait_until

__all__ = ["Failed", "PATIENCE_S", "PYTHON", "Skip", "Stopwatch", "World", "alive", "command_line", "processes", "resident_kib", "wait_until"]

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..")
TOOLS = os.path.join(TESTS, "tools")
DIR = "/run/stile-test"
UID = 1500
ZONE = "demo.stile.test"
GATEWAY = "127.0.0.1:7443"
SERVERS = "127.0.0.1"
PASSWORD = "correct horse battery staple"

CONFIG = """\
cluster: demo
listen: "{gateway}"
public_addr: "{gateway}"
names: [localhost, "::1"]
state: state.db
dns_zones: [{zone}]
ipv4_range: 100.64.0.0/10
apps:
{apps}"""

# Name, target, ports, who.
APPS = [
    ("echo", SERVERS + ":7001", "[7001]", "{users: [alice]}"),
    ("digest", SERVERS + ":7002", "[7002]", "{groups: [everyone]}"),
    ("first", SERVERS + ":7003", "[7003]", "{groups: [everyone]}"),
    ("last", SERVERS + ":7004", "[7004]", "{groups: [everyone]}"),
    ("slow", SERVERS + ":7005", "[7005]", "{groups: [everyone]}"),
    ("reset", SERVERS + ":7006", "[7006]", "{groups: [everyone]}"),
    ("bulk", SERVERS + ":7007", "[7007]", "{groups: [staff]}"),
    ("ranges", SERVERS, "[7002, 8000-8005]", "{groups: [everyone]}"),
    ("any", SERVERS, "any", "{groups: [everyone]}"),
    ("six", "[::1]:7001", "[7001]", "{groups: [everyone]}"),
    ("down", SERVERS + ":7999", "[7999]", "{groups: [everyone]}"),
    ("far", "192.0.2.1:80", "[80]", "{groups: [everyone]}"),
    ("bobs", SERVERS + ":7001", "[7001]", "{users: [bob]}"),
]

class Session(Asked):
    """A `stile run` that stays: its program does what the test asks for (inside.py)."""

    def __init__(self, world, options, **how):
        self.log_path = os.path.join(DIR, f"session-{world.next_number()}.log")
        command = [world.stile, "run", *options, "--", PYTHON, os.path.join(DIR, "common", "inside.py")]
        with open(self.log_path, "wb") as log:
            process = world.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, **how)
        super().__init__(process, self.messages)

    def connect(self, app, port, **arguments):
        return self.call("connect", host=f"{app}.{ZONE}", port=port, **arguments)

    def messages(self):
        """What stile run has said on standard error."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def child(self, role):
        """The pid of the session's engine or launcher."""
        for pid in processes():
            words = command_line(pid)
            if len(words) > 1 and os.path.basename(words[0]) == "stile" and words[1] == role and self._ours(pid):
                return pid
        raise Failed(f"there is no {role}: {[command_line(pid) for pid in processes()]}")

    def _ours(self, pid):
        while pid > 1:
            if pid == self.process.pid:
                return True
            pid = parent_of(pid)
        return False

    def end(self):
        """Ends the program by closing its input; the exit status of stile run."""
        self.close()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"stile run didn't end with its program: {self.messages()}") from None


class Gateway:
    """`stile gateway run`, socket-activated: the listener out here, the process among the servers."""

    def __init__(self, world):
        self.world = world
        self.process = None
        self.log_path = os.path.join(DIR, "gateway.log")
        self.config_path = os.path.join(DIR, "gateway", "gateway.yaml")
        self.ca = os.path.join(DIR, "ca.pem")

    def init(self):
        self.world.admin("gateway", "init", os.path.join(DIR, "gateway"), "--name", "demo")
        shutil.copy(os.path.join(DIR, "gateway", "ca", "ca.pem"), self.ca)
        os.chmod(self.ca, 0o644)
        self.configure(APPS)
        for user, groups in (("alice", ["staff"]), ("bob", [])):
            words = [word for group in groups for word in ("--group", group)]
            self.world.admin("gateway", "user", "add", user, "--config", self.config_path, *words,
                             "--password-file", "-", text=PASSWORD + "\n")

    def configure(self, apps):
        """Writes the configuration; a running gateway reads it again."""
        rows = [f'  - {{name: {name}, public_name: {name}.{ZONE}, target: "{target}", ports: {ports}, allow: {allow}}}\n'
                for name, target, ports, allow in apps]
        rows.append(f"  - {{name: dash, public_name: dash.{ZONE}, web: true}}\n")
        rows.append(f'  - {{name: wiki, public_name: wiki.{ZONE}, target: "{SERVERS}:7001", ports: [7001], '
                    f"http_hosts: [wiki.{ZONE}], allow: {{groups: [everyone]}}}}\n")
        with open(self.config_path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(gateway=GATEWAY, zone=ZONE, apps="".join(rows)))
        if self.process is not None:
            start = os.path.getsize(self.log_path)
            self.process.send_signal(signal.SIGHUP)
            wait_until(lambda: " again: " in self._log_from(start), "the gateway has read its configuration")

    def _log_from(self, start):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(start)
            return file.read()

    def start(self, *words, address=GATEWAY):
        ready = os.path.join(DIR, "gateway.address")
        with open(self.log_path, "ab") as log:
            self.process = self.world.spawn(
                [sys.executable, os.path.join(TOOLS, "listen_fd.py"), address, ready, "nsenter",
                 f"--net=/proc/{self.world.holder.pid}/ns/net", "--", self.world.stile, "gateway", "run", "--config",
                 self.config_path, "-v", *words], as_root=True, stdout=log, stderr=log)
        wait_until(lambda: self._answers(address), "the gateway's TLS port")

    def _answers(self, address):
        if self.process.poll() is not None:
            raise Failed(f"the gateway has ended: {self.messages()}")
        done = subprocess.run(["openssl", "s_client", "-connect", address, "-alpn", "h2", "-brief"], input=b"",
                              capture_output=True, timeout=PATIENCE_S, check=False)
        return b"TLSv1.3" in done.stderr + done.stdout

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            time.sleep(0.2)
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"the gateway didn't end on signal {how}") from None
        finally:
            self.process = None

    def messages(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


class World:
    """bare: without a gateway and what is behind it."""

    def __init__(self, as_root=False, bare=False):
        self.identity_root = as_root
        self.may_be_user = os.environ["STILE_WORLD"] == "root"
        self.sessions = []
        self.numbers = 0
        self.marks = {}
        self._make_dir()
        self._make_tun()
        self._make_resolver()
        self.backdrop = [self.dnsmasq]
        if bare:
            return
        self._make_servers()
        self.backdrop += [self.servers, self.holder]
        self.gateway = Gateway(self)
        self.gateway.init()
        self.gateway.start()
        self.log_in()

    # ---- making it ----

    def _make_dir(self):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
        os.mkdir(DIR, 0o755)
        self.stile = os.path.join(DIR, "stile")
        shutil.copy(os.environ["STILE"], self.stile)
        shutil.copytree(os.path.join(TESTS, "common"), os.path.join(DIR, "common"))
        self.home = os.path.join(DIR, "home")
        os.mkdir(self.home, 0o700)
        if self._drops():
            os.chown(self.home, UID, UID)

    def _make_tun(self):
        """A device that anyone may open, as on an ordinary Debian."""
        if self.may_be_user:
            try:
                os.mknod(os.path.join(DIR, "tun"), 0o020666, os.makedev(10, 200))
                os.chmod(os.path.join(DIR, "tun"), 0o666)
                subprocess.run(["mount", "--bind", os.path.join(DIR, "tun"), "/dev/net/tun"], check=True)
            except (OSError, subprocess.CalledProcessError):
                pass
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            raise Skip(f"/dev/net/tun can't be opened here: {error.strerror}") from None

    def _make_resolver(self):
        real = os.path.realpath("/etc/resolv.conf")
        own = os.path.join(DIR, "resolv.conf")
        with open(own, "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.1\n")
        if real.startswith("/run/"):
            os.makedirs(os.path.dirname(real), exist_ok=True)
            shutil.copy(own, real)
        elif os.path.exists(real):
            subprocess.run(["mount", "--bind", own, real], check=True)
        else:
            raise Skip("there is no /etc/resolv.conf to put another one over")
        self.dnsmasq = self.spawn(
            ["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=", "--no-resolv",
             "--no-hosts", "--log-facility=-", "--log-queries", "--bind-interfaces", "--listen-address=127.0.0.1", "--local=/test/",
             "--address=/outside.test/192.0.2.77", "--address=/outside.test/2001:db8::77", f"--address=/dash.{ZONE}/192.0.2.78",
             f"--txt-record=text.{ZONE},from upstream", "--port=53"], as_root=True,
            stdout=open(os.path.join(DIR, "dnsmasq.log"), "wb"), stderr=subprocess.STDOUT)
        wait_until(lambda: b"status: NOERROR" in subprocess.run(
            ["dig", "+tries=1", "+time=1", "@127.0.0.1", "outside.test"], stdout=subprocess.PIPE, check=False).stdout, "dnsmasq")

    def _make_servers(self):
        self.holder = self.spawn(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"],
                                 as_root=True, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise Skip("a network namespace can't be made within another")
        ready = os.path.join(DIR, "servers.ready")
        self.servers = self.spawn([sys.executable, os.path.join(DIR, "common", "servers.py"), SERVERS, ready], as_root=True,
                                  among_servers=True, stderr=open(os.path.join(DIR, "servers.log"), "wb"))
        wait_until(lambda: os.path.exists(ready), "servers.py")

    # ---- processes ----

    def next_number(self):
        self.numbers += 1
        return self.numbers

    def _drops(self):
        return self.may_be_user and not self.identity_root

    def _before_exec(self, as_root, among_servers):
        namespaces = [(f"/proc/{self.holder.pid}/ns/net", CLONE_NEWNET)] if among_servers else []
        return before_exec(namespaces, UID if self._drops() and not as_root else None)

    def environment(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("STILE", "LISTEN_", "XDG_", "DBUS_", "PG", "MALLOC_"))}
        env.update(STILE_HOME=self.home, HOME=DIR, LC_ALL="C.UTF-8", TERM="xterm")
        env.update(more)
        return env

    def spawn(self, command, as_root=False, among_servers=False, env=None, **how):
        """Starts a process; as_root: not as the ordinary user."""
        how.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, preexec_fn=self._before_exec(as_root, among_servers), cwd="/",
                                env=self.environment(**(env or {})), **how)

    def command(self, argv, text="", timeout=PATIENCE_S, **how):
        """Runs a command to its end."""
        process = self.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        return finish(process, argv, text, timeout)

    def stile_command(self, *words, **how):
        return self.command([self.stile, *words], **how)

    def admin(self, *words, **how):
        """A command of the gateway's administrator, which must succeed."""
        result = self.stile_command(*words, as_root=True, **how)
        if result.status != 0:
            raise Failed(f"stile {' '.join(words)}: {result!r}")
        return result

    # ---- what users do ----

    def log_in(self, user="alice", password=PASSWORD, **how):
        result = self.stile_command("login", "--gateway", GATEWAY, "--user", user, "--ca", self.gateway.ca,
                                    "--password-file", "-", text=password + "\n", **how)
        if result.status != 0:
            raise Failed(f"stile login: {result!r}")
        return result

    def run(self, *cmd, options=(), **how):
        """`stile run -- CMD` to its end."""
        return self.stile_command("run", *options, "--", *cmd, **how)

    def session(self, *options, **how):
        """A `stile run` that stays until the test's end."""
        session = Session(self, options, **how)
        self.sessions.append(session)
        return session

    def connections(self):
        """What `stile connections --json` lists."""
        return self.stile_command("connections", "--json").json()["connections"]

    def connection(self, app, port, verdict=None):
        """The newest connection record of an app and port, with this verdict, as soon as there is one."""
        def newest():
            found = [c for c in self.connections() if c["name"] == f"{app}.{ZONE}" and c["port"] == port]
            found = [c for c in found if verdict is None or c["verdict"] == verdict]
            return max(found, key=lambda c: c["started_us"], default=None)
        try:
            return wait_until(newest, "a record", step=0.2)
        except Failed:
            found = [(c["name"], c["port"], c["verdict"], c["reason"]) for c in self.connections()]
            raise Failed(f"no record of {app}:{port} with verdict {verdict}; the last are {found[-8:]}") from None

    # ---- ends ----

    def end_test(self):
        for session in self.sessions:
            if session.process.poll() is None:
                session.process.terminate()
                try:
                    session.process.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    session.process.kill()
                    session.process.wait()
        self.sessions = []

    def mark_logs(self):
        """From here on is a new test's."""
        self.marks = {name: os.path.getsize(os.path.join(DIR, name)) for name in os.listdir(DIR) if name.endswith(".log")}

    def logs(self):
        """What the logs have gained since mark_logs, at most their ends, for the report of a failure."""
        text = ""
        for name in sorted(name for name in os.listdir(DIR) if name.endswith(".log") and name != "dnsmasq.log"):
            with open(os.path.join(DIR, name), encoding="utf-8", errors="replace") as file:
                file.seek(self.marks.get(name, 0))
                lines = file.readlines()[-15:]
            if lines:
                text += f"--- {name}\n" + "".join(lines)
        return text

    def stop(self):
        self.end_test()
        if hasattr(self, "gateway"):
            self.gateway.stop()
        for process in self.backdrop:
            process.kill()
            process.wait()
