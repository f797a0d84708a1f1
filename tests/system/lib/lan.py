"""What is around the hosts of a system test: a local network, and behind it servers that only gateways reach.

    a host (host.py)        this namespace: the LAN and its router       a third one: the servers'
    ┌──────────────┐       ┌──────────────────────────────────────┐     ┌──────────────────────────┐
    │ eth0         │──────►│ bridge "lan": 192.0.2.1,             │     │ gateways a and b (their  │
    │ 192.0.2.10…  │ veth  │ 2001:db8:1::1                        │────►│ listeners are out here)  │
    │ 2001:db8:1:: │       │ dnsmasq: DNS and DHCP                │     │ → servers.py, nginx,     │
    │ 10…          │       │ gateways' sockets, ports 7443, 7444  │     │ postgres, redis, sshd    │
    └──────────────┘       └──────────────────────────────────────┘     └──────────────────────────┘

Made by the harness inside fresh namespaces; everything lies in DIR, on a tmpfs.
"""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys

from common.process import CLONE_NEWNET, PYTHON, Failed, Result, Skip, before_exec, finish, wait_until
from lib import daemons
from lib.host import USERS, Host

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..")
TOOLS = os.path.join(TESTS, "tools")
DIR = "/run/stile-system"
PASSWORD = "correct horse battery staple"
SERVERS = "127.0.0.1"
ROUTER4, ROUTER6 = "192.0.2.1", "2001:db8:1::1"

CONFIG = """\
cluster: {name}
listen: "[::]:{port}"
public_addr: "{address}"
names: ["{router4}", "{router6}"]
state: state.db
dns_zones: {zones}
ipv4_range: {range}
{apps}"""

# Name, target, ports, who: of every cluster.
APPS = [
    ("echo", SERVERS + ":7001", "[7001]", "{groups: [everyone]}"),
    ("digest", SERVERS + ":7002", "[7002]", "{groups: [everyone]}"),
    ("bulk", SERVERS + ":7007", "[7007]", "{groups: [everyone]}"),
    ("ports", SERVERS, "[8000-8010]", "{groups: [everyone]}"),
    ("web", SERVERS + ":80", "[80]", "{groups: [everyone]}"),
    ("pg", SERVERS + ":5432", "[5432]", "{groups: [everyone]}"),
    ("cache", SERVERS + ":6379", "[6379]", "{groups: [everyone]}"),
    ("shell", SERVERS + ":22", "[22]", "{groups: [everyone]}"),
    ("alices", SERVERS + ":7001", "[7001]", "{users: [alice]}"),
]


class Cluster:
    """One `stile gateway run`: its listener on the LAN, the process among the servers. Users alice and bob."""

    def __init__(self, lan, name, port, ipv4_range="100.64.0.0/10"):
        self.lan, self.name, self.port, self.range = lan, name, port, ipv4_range
        self.zone = f"{name}.stile.test"
        self.zones = [self.zone]
        self.address = f"gw-{name}.lan.test:{port}"
        self.dir = os.path.join(DIR, f"gateway-{name}")
        self.config_path = os.path.join(self.dir, "gateway.yaml")
        self.ca = os.path.join(DIR, f"ca-{name}.pem")
        self.log_path = os.path.join(DIR, f"gateway-{name}.log")
        self.process = None
        self._init()
        self.start()

    def app(self, app):
        return f"{app}.{self.zone}"

    def _init(self):
        self.lan.admin("gateway", "init", self.dir, "--name", self.name)
        shutil.copy(os.path.join(self.dir, "ca", "ca.pem"), self.ca)
        os.chmod(self.ca, 0o644)
        self.configure(APPS)
        for user in ("alice", "bob"):
            self.lan.admin("gateway", "user", "add", user, "--config", self.config_path, "--password-file", "-",
                           text=PASSWORD + "\n")

    def configure(self, apps, zones=None):
        """Writes the configuration; a running gateway reads it again."""
        self.zones = zones or self.zones
        rows = [f'  - {{name: {name}, public_name: {name}.{self.zone}, target: "{target}", ports: {ports}, allow: {allow}}}\n'
                for name, target, ports, allow in apps]
        with open(self.config_path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(name=self.name, port=self.port, address=self.address, router4=ROUTER4, router6=ROUTER6,
                                     zones="[" + ", ".join(self.zones) + "]", range=self.range, apps="apps:\n" + "".join(rows) if rows else "apps: []\n"))
        if self.process is not None:
            start = os.path.getsize(self.log_path)
            self.process.send_signal(signal.SIGHUP)
            wait_until(lambda: " again: " in self._log_from(start), "the gateway has read its configuration")

    def _log_from(self, start):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(start)
            return file.read()

    def start(self):
        ready = os.path.join(DIR, f"gateway-{self.name}.address")
        with open(self.log_path, "ab") as log:
            self.process = self.lan.spawn(
                [sys.executable, os.path.join(TOOLS, "listen_fd.py"), f"[::]:{self.port}", ready, "nsenter",
                 f"--net=/proc/{self.lan.holder.pid}/ns/net", "--", self.lan.stile, "gateway", "run", "--config",
                 self.config_path, "-v"], stdout=log, stderr=log)
        wait_until(self._answers, f"the gateway of {self.name}")

    def _answers(self):
        if self.process.poll() is not None:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                raise Failed(f"the gateway of {self.name} has ended: {file.read()}")
        done = subprocess.run(["openssl", "s_client", "-connect", f"{ROUTER4}:{self.port}", "-alpn", "h2", "-brief"], input=b"",
                              capture_output=True, timeout=40, check=False)
        return b"TLSv1.3" in done.stderr + done.stdout

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Lan:
    """clusters: their names; each has its zone NAME.stile.test."""

    def __init__(self, clusters=("a", "b")):
        self.processes, self.hosts, self.marks, self.log_ins = [], [], {}, {}
        self.numbers, self.password = 0, PASSWORD
        self._make_dir()
        self._make_bridge()
        self._make_resolver()
        self._make_servers()
        self.clusters = {name: Cluster(self, name, 7443 + i) for i, name in enumerate(clusters)}

    # ---- making it ----

    def _make_dir(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
        os.mkdir(DIR, 0o755)
        self.stile = os.path.join(DIR, "stile")
        shutil.copy(os.environ["STILE"], self.stile)

    def _make_bridge(self):
        for words in (["link", "set", "lo", "up"], ["link", "add", "lan", "type", "bridge"],
                      ["link", "set", "lan", "up"], ["addr", "add", f"{ROUTER4}/24", "dev", "lan"],
                      ["addr", "add", f"{ROUTER6}/64", "dev", "lan", "nodad"]):
            done = subprocess.run(["ip", *words], stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                raise Skip(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def _make_resolver(self):
        records = [f"--host-record=gw-{name}.lan.test,{ROUTER4},{ROUTER6}" for name in "abc"]
        self.dns_log = os.path.join(DIR, "dnsmasq.log")
        self.dnsmasq = self.spawn(
            ["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=", "--no-resolv",
             "--no-hosts", "--log-facility=-", "--log-queries", "--bind-interfaces", f"--listen-address={ROUTER4},{ROUTER6}",
             "--local=/test/", "--address=/outside.test/198.51.100.77", "--address=/outside.test/2001:db8:77::1", *records,
             "--txt-record=text.a.stile.test,from upstream", "--local=/arpa/", "--dhcp-range=192.0.2.100,192.0.2.199,1h",
             f"--dhcp-leasefile={DIR}/leases"],
            stdout=open(self.dns_log, "wb"), stderr=subprocess.STDOUT)
        self.processes.append(self.dnsmasq)
        wait_until(lambda: b"status: NOERROR" in subprocess.run(
            ["dig", "+tries=1", "+time=1", f"@{ROUTER4}", "outside.test"], stdout=subprocess.PIPE, check=False).stdout, "dnsmasq")

    def _make_servers(self):
        self.holder = self.spawn(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"],
                                 stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise Skip("a network namespace can't be made within another")
        ready = os.path.join(DIR, "servers.ready")
        servers = self.spawn([sys.executable, os.path.join(TESTS, "common", "servers.py"), SERVERS, ready], among_servers=True,
                             stderr=open(os.path.join(DIR, "servers.log"), "wb"))
        self.processes += [self.holder, servers]
        wait_until(lambda: os.path.exists(ready), "servers.py")

    # ---- processes out here ----

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("STILE", "LISTEN_", "XDG_", "DBUS_", "PG", "MALLOC_"))}
        env.update(HOME=DIR, LC_ALL="C.UTF-8", TERM="xterm")
        return env

    def spawn(self, command, among_servers=False, uid=None, **how):
        namespaces = [(f"/proc/{self.holder.pid}/ns/net", CLONE_NEWNET)] if among_servers else []
        how.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, preexec_fn=before_exec(namespaces, uid), cwd="/", env=self.environment(), **how)

    def command(self, *argv, text="", timeout=60, **how) -> Result:
        """Runs a command out here to its end."""
        process = self.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        return finish(process, argv, text, timeout)

    def admin(self, *words, **how):
        """A command of a gateway's administrator, which must succeed."""
        result = self.command(self.stile, *words, **how)
        if result.status != 0:
            raise Failed(f"stile {' '.join(words)}: {result!r}")
        return result

    # ---- servers on demand ----

    def _server(self, name, command, answers, **how):
        with open(os.path.join(DIR, f"{name}.log"), "ab") as log:
            process = self.spawn(command, among_servers=True, stdout=log, stderr=log, **how)
        self.processes.append(process)

        def ready():
            if process.poll() is not None:
                with open(os.path.join(DIR, f"{name}.log"), encoding="utf-8", errors="replace") as file:
                    raise Failed(f"{name} has ended: {file.read()}")
            return self.command(*answers, among_servers=True).status == 0
        wait_until(ready, name)

    def _server_dir(self, name, uid=65534):
        path = os.path.join(DIR, name)
        os.mkdir(path, 0o700)
        os.chown(path, uid, uid)
        return path

    def start_nginx(self, word):
        if not shutil.which("nginx"):
            raise Skip("there is no nginx")
        path = self._server_dir("nginx", 0)
        with open(os.path.join(path, "conf"), "w", encoding="ascii") as file:
            temp = "".join(f"{kind}_temp_path {path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            file.write(f"daemon off; pid {path}/pid; user root; error_log stderr; worker_processes 1; events {{}}\n"
                       f"http {{ access_log off; {temp} server {{ listen {SERVERS}:80; default_type text/html;\n"
                       f"location / {{ return 200 '<html><body><p>{word} from nginx</p></body></html>'; }} }} }}\n")
        self._server("nginx", ["nginx", "-c", os.path.join(path, "conf"), "-e", "stderr"],
                     ["curl", "-sf", f"http://{SERVERS}/"])

    def start_redis(self, word):
        if not shutil.which("redis-server"):
            raise Skip("there is no redis-server")
        self._server("redis", ["redis-server", "--bind", SERVERS, "--port", "6379", "--save", "", "--appendonly", "no", "--dir",
                               self._server_dir("redis", 0), "--daemonize", "no"],
                     ["redis-cli", "-e", "-h", SERVERS, "set", "word", word])

    def start_postgres(self, word):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise Skip("there is no PostgreSQL under /usr/lib/postgresql")
        data = self._server_dir("pg")
        done = self.command(os.path.join(found[-1], "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                            "--locale=C.UTF-8", "--no-sync", uid=65534)
        if done.status != 0:
            raise Failed(f"initdb: {done!r}")
        self._server("postgres", [os.path.join(found[-1], "postgres"), "-D", data, "-h", SERVERS, "-p", "5432", "-k", "", "-c",
                                  "fsync=off", "-c", "shared_buffers=16MB"],
                     ["psql", "-X", "-h", SERVERS, "-U", "postgres", "-c", f"create table secret as select '{word}' as word"],
                     uid=65534)

    def start_sshd(self):
        """A real sshd of root's among the servers; the private key that logs in there."""
        sshd = shutil.which("sshd") or os.path.join(daemons.trees("openssh")[0], "usr", "sbin", "sshd")
        path = self._server_dir("sshd", 0)
        for name in ("host", "user"):
            self.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(path, name))
        os.makedirs("/run/sshd", 0o755, exist_ok=True)
        with open("/etc/passwd", encoding="utf-8") as file, open(os.path.join(path, "passwd"), "w", encoding="utf-8") as own:
            own.write(file.read() + "sshd:x:983:65534::/run/sshd:/usr/sbin/nologin\n")
        with open(os.path.join(path, "conf"), "w", encoding="ascii") as file:
            file.write(f"ListenAddress {SERVERS}:22\nHostKey {path}/host\nAuthorizedKeysFile {path}/user.pub\nStrictModes no\n"
                       "PidFile none\nUsePAM no\n")
        libraries = os.path.join(os.path.dirname(sshd), "..", "lib", "x86_64-linux-gnu")
        self._server("sshd.out", ["unshare", "--mount", "sh", "-c",
                                  f"mount --bind {path}/passwd /etc/passwd && LD_LIBRARY_PATH={libraries} exec {sshd} -D -e -f {path}/conf"],
                     ["ssh-keyscan", "-T", "2", SERVERS])
        with open(os.path.join(path, "user"), encoding="ascii") as file:
            return file.read()

    # ---- log-ins ----

    def keep_log_ins(self, done, host, user):
        """Keeps the profiles that these log-ins have made."""
        self.log_ins[done] = os.path.join(DIR, f"log-ins-{len(self.log_ins)}")
        shutil.copytree(host.path(f"/home/{user}/.config"), self.log_ins[done], symlinks=True,
                        ignore=shutil.ignore_patterns("*.sock"))

    def restore_log_ins(self, done, host, user):
        """Gives a user of a host what was kept; false if nothing was."""
        if done not in self.log_ins:
            return False
        top = host.path(f"/home/{user}/.config")
        shutil.rmtree(top, ignore_errors=True)
        shutil.copytree(self.log_ins[done], top, symlinks=True)
        for path, directories, files in os.walk(top):
            for name in (".", *directories, *files):
                os.lchown(os.path.join(path, name), USERS[user], USERS[user])
        return True

    # ---- hosts ----

    def installed(self):
        """The root directory of what `make install` installs."""
        path = os.path.join(DIR, "installed")
        if not os.path.exists(path):
            done = self.command(os.environ.get("MESON", "meson"), "install", "-C", os.environ["STILE_BUILD"], "--no-rebuild",
                                "--destdir", path)
            if done.status != 0:
                raise Failed(f"meson install: {done!r}")
        if not os.path.exists(os.path.join(path, "usr/local/bin/stile")):
            raise Skip("the build directory has another prefix than /usr/local")
        return path

    def host(self, **options):
        """A new host on this LAN; it goes with the test."""
        self.numbers += 1
        host = Host(self, f"host{self.numbers}", self.numbers, **options)
        self.hosts.append(host)
        host.start()
        return host

    def asked(self, name):
        """Whether the LAN's resolver was asked for a name since the test began."""
        with open(self.dns_log, encoding="utf-8", errors="replace") as log:
            log.seek(self.marks.get("dnsmasq.log", 0))
            return any(f"] {name.lower()} from" in line.lower() for line in log)

    # ---- what the harness asks for ----

    def mark_logs(self):
        self.forget_hosts()
        self.marks = {name: os.path.getsize(os.path.join(DIR, name)) for name in os.listdir(DIR) if name.endswith(".log")}

    def logs(self):
        """What the logs have gained since mark_logs, at most their ends, for the report of a failure."""
        text = ""
        for path in sorted(glob.glob(os.path.join(DIR, "*.log")) + glob.glob(os.path.join(DIR, "host*", "logs", "*.log"))):
            name = os.path.relpath(path, DIR)
            with open(path, encoding="utf-8", errors="replace") as file:
                file.seek(self.marks.get(name, 0))
                lines = file.readlines()[-15:]
            if lines and name != "dnsmasq.log":
                text += f"--- {name}\n" + "".join(lines)
        return text

    def end_test(self):
        for host in self.hosts:
            host.stop()

    def forget_hosts(self):
        for host in self.hosts:
            with contextlib.suppress(OSError):
                shutil.rmtree(host.dir)
        self.hosts = []

    def stop(self):
        self.forget_hosts()
        for cluster in self.clusters.values():
            cluster.stop()
        for process in self.processes:
            process.kill()
            process.wait()


__all__ = ["DIR", "Cluster", "Lan", "PASSWORD", "PYTHON", "ROUTER4", "ROUTER6", "SERVERS"]
