"""What tests of the DNS back-ends share: the driver of one back-end (dns_driver.c), and a link with a DNS server behind it."""

import os
import queue
import shutil
import subprocess
import threading

from common.process import PATIENCE_S, Failed, wait_until

LINK = "stile0"
SERVER4, SERVER6 = "100.64.0.2", "fd00:64::2"
SERVERS = f"{SERVER4},{SERVER6}"


class Driver:
    """A process with one back-end. Answers are words after "ok"; an error is raised with its name first."""

    def __init__(self, host, choice):
        target = os.path.join(host.dir, "opt", "stile", "dns_driver")
        if not os.path.exists(target):
            shutil.copy(os.environ["DNS_DRIVER"], target)
        with open(host.log_path("driver"), "ab") as log:
            self.process = host.spawn(["/opt/stile/dns_driver", choice], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=log, text=True)
        self.answers, self.events = queue.Queue(), queue.Queue()
        self.first = self.process.stdout.readline().strip()
        if not self.first.startswith("backend "):
            self.process.wait()
            raise Failed(self.first)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            line = line.strip()
            (self.events if line.startswith("event") else self.answers).put(line)
        self.answers.put("error END: the driver has ended")

    def ask(self, *words, seconds=60):
        """What it answers; Failed with "error NAME: text"."""
        try:
            self.process.stdin.write(" ".join(words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # killed before it could read this: its end is its answer
        answer = self.answers.get(timeout=seconds)
        if not answer.startswith("ok"):
            raise Failed(answer)
        return answer[3:]

    def fails(self, *words, seconds=60):
        """The error that it answers."""
        try:
            answer = self.ask(*words, seconds=seconds)
        except Failed as failed:
            return str(failed)
        raise Failed(f"no error but {answer}")

    def want(self, zones, servers=SERVERS, flags="0", link=LINK):
        self.ask("want", link, servers, ",".join(zones) or "-", flags)

    def set(self, zones, **how):
        """Wants, captures and applies; the undo bytes."""
        self.want(zones, **how)
        undo = self.ask("capture")
        self.ask("apply")
        return undo

    def event(self, seconds=PATIENCE_S):
        try:
            return self.events.get(timeout=seconds).split()[1:]
        except queue.Empty:
            raise Failed("no event") from None

    def no_event(self, seconds=0.7):
        try:
            event = self.events.get(timeout=seconds)
        except queue.Empty:
            return
        raise Failed(f"an event that should not be: {event}")

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=PATIENCE_S)
        if status != 0:
            raise Failed(f"the driver ended with {status}")

    def kill(self):
        self.process.kill()
        self.process.wait()


def told(driver, *words):
    """Events until all these words were among them: what changes in steps is told in steps."""
    left = set(words)
    while left:
        left -= set(driver.event())


def plug_zone_link(host, name=LINK, families=(4, 6)):
    """A link in the place of stile's TUN, with the addresses SERVER4 and SERVER6 behind it."""
    far = f"{host.name}zone"
    host.lan.command("ip", "link", "add", far, "type", "veth", "peer", "name", name, "netns", str(host.init))
    for words in (["link", "set", far, "up"], ["addr", "add", f"{SERVER4}/24", "dev", far],
                  ["addr", "add", f"{SERVER6}/64", "dev", far, "nodad"]):
        host.lan.command("ip", *words)
    host.check("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0")
    host.check("ip", "link", "set", name, "up")
    if 4 in families:
        host.check("ip", "addr", "add", "100.64.0.1/24", "dev", name)
    if 6 in families:
        host.check("ip", "addr", "add", "fd00:64::1/64", "dev", name, "nodad")


def own_zone_link(host, driver, families=(4, 6)):
    """The same, with addresses and routes that carry stile's tags, set as stile does."""
    plug_zone_link(host, families=())
    if 4 in families:
        driver.ask("own", LINK, "100.64.0.1", "100.64.0.0/10")
    if 6 in families:
        driver.ask("own", LINK, "fd00:64::1", "fd00:64::/48")
    return driver.ask("contents", LINK)


class ZoneServer:
    """dnsmasq behind the link: knows app.a.stile.test and app.b.stile.test, no other name below stile.test, and forwards the rest
    if it is told to."""

    def __init__(self, host, forward=False):
        self.log = os.path.join(host.log_dir, "zone-dns.log")
        words = ["--server=192.0.2.1"] if forward else []
        self.process = host.lan.spawn(
            ["dnsmasq", "--keep-in-foreground", "--user=", "--group=", "--conf-file=/dev/null", "--pid-file=", "--no-resolv",
             "--no-hosts", "--log-facility=-", "--log-queries", "--bind-interfaces", f"--listen-address={SERVER4},{SERVER6}",
             "--local=/stile.test/", "--host-record=app.a.stile.test,100.64.0.9,fd00:64::9",
             "--host-record=app.b.stile.test,100.64.0.10,fd00:64::10", *words],
            stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)
        host.lan.processes.append(self.process)
        wait_until(lambda: host.command("dig", "+tries=1", "+time=1", f"@{SERVER4}", "app.a.stile.test").status == 0,
                   "the DNS server of the zone")

    def asked(self, name):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return any(f"] {name} from" in line for line in log)

    def stop(self):
        self.process.kill()
        self.process.wait()


class BusMonitor:
    """Signals on the system bus of a service, as dbus-monitor sees them. Its own coming is not one."""

    def __init__(self, host, sender):
        self.host = host
        self.path = host.log_path("bus-monitor")
        self.process = host.spawn(["dbus-monitor", "--system", f"sender='{sender}'", f"destination='{sender}'"],
                                  stdout=open(self.path, "wb"), stderr=subprocess.DEVNULL)
        wait_until(lambda: "NameLost" in self.text(), "dbus-monitor")
        self.start = len(self.text())

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def seen(self, kind="signal"):
        """Messages of a kind since it began; nobody's calls of its own names."""
        return [line for line in self.text()[self.start:].splitlines() if line.startswith(kind)]

    def stop(self):
        self.process.terminate()
        self.process.wait()
