"""Debian's own daemons on a host (host.py): the system bus, and who owns /etc/resolv.conf. Those that aren't installed come from
trees of extracted packages (scripts/test-daemons.sh), laid over the host's /usr and /etc."""

import functools
import os
import subprocess

from common.process import Failed, Skip, wait_until

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "scripts", "test-daemons.sh")
TREES = {"file": [], "resolved": ["resolved"], "networkmanager": ["networkmanager"], "resolvconf": ["resolvconf"],
         "openresolv": ["openresolv"], "networkmanager+resolved": ["networkmanager", "resolved"], "openssh": ["openssh"]}

# NetworkManager manages what the host is given, and nothing that stile makes unless it likes to.
NM_CONF = """\
[main]
plugins=keyfile
dns={dns}
no-auto-default=*

[logging]
level=INFO
"""
NM_PROFILE = """\
[connection]
id=lan
uuid=11111111-2222-3333-4444-555555555555
type=ethernet
interface-name=eth0

[ipv4]
{ipv4}

[ipv6]
{ipv6}
"""


@functools.lru_cache
def _daemons_dir(*names):
    done = subprocess.run([SCRIPT, "--cached", *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Skip(done.stderr.strip())
    return done.stdout.strip()


def trees(dns):
    """The root directories to lay over the machine's for this owner of resolv.conf. Skip if they aren't here."""
    names = TREES[dns]
    return [os.path.join(_daemons_dir(*names), name) for name in names] if names else []


def start(host, dns):
    """Starts what a host with this owner of resolv.conf runs, and waits until names resolve."""
    {"file": start_file, "resolved": start_resolved, "networkmanager": start_networkmanager,
     "networkmanager+resolved": start_both, "resolvconf": start_resolvconf, "openresolv": start_openresolv}[dns](host)
    if host.families and dns != "none":
        wait_until(lambda: host.command("getent", "ahosts", "outside.test").status == 0, f"names on {host.name} ({dns})")


def start_bus(host):
    if host.systemd:
        return  # its own units
    host.bus = host.spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile"], stdout=open(host.log_path("dbus"), "ab"),
                          stderr=subprocess.STDOUT)
    wait_until(lambda: os.path.exists(host.path("/run/dbus/system_bus_socket")), "the system bus")


def has_name(host, name):
    done = host.command("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                        "org.freedesktop.DBus", "NameHasOwner", "s", name)
    return done.status == 0 and "true" in done.out


def daemon(host, name, argv, bus_name):
    """Starts a daemon of the bus; its process."""
    process = host.spawn(argv, stdout=open(host.log_path(name), "ab"), stderr=subprocess.STDOUT,
                         env={"SYSTEMD_LOG_TARGET": "console"})

    def ready():
        if process.poll() is not None:
            with open(host.log_path(name), encoding="utf-8", errors="replace") as file:
                raise Failed(f"{name} has ended: {file.read()}")
        return has_name(host, bus_name)
    wait_until(ready, f"{name} on the bus")
    return process


def link_resolv_conf(host, target):
    path = host.path("/etc/resolv.conf")
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(target, path)


def plain_resolv_conf(host):
    path = host.path("/etc/resolv.conf")
    if os.path.lexists(path):
        os.unlink(path)
    host.write("/etc/resolv.conf", "# of the LAN\n" + "".join(f"nameserver {address}\n" for address in host.resolvers()))


def start_file(host):
    plain_resolv_conf(host)


def run_resolved(host):
    """systemd-resolved alone; for a restart too."""
    if host.systemd:
        host.check("systemctl", "restart", "systemd-resolved.service")
        return
    host.resolved = daemon(host, "resolved", ["/usr/lib/systemd/systemd-resolved"], "org.freedesktop.resolve1")


def start_resolved(host):
    link_resolv_conf(host, "../run/systemd/resolve/stub-resolv.conf")
    start_bus(host)
    run_resolved(host)
    host.check("resolvectl", "dns", "eth0", *host.resolvers())
    host.check("resolvectl", "default-route", "eth0", "yes")


def run_networkmanager(host):
    host.networkmanager = daemon(host, "networkmanager", ["NetworkManager", "--debug"], "org.freedesktop.NetworkManager")


def configure_networkmanager(host, dns):
    host.write("/etc/NetworkManager/NetworkManager.conf", NM_CONF.format(dns=dns))
    addresses = dict(zip(host.families, host.addresses()))
    parts = {}
    for family, router in ((4, "192.0.2.1"), (6, "2001:db8:1::1")):
        parts[f"ipv{family}"] = "method=disabled"
        if family in addresses:
            parts[f"ipv{family}"] = f"method=manual\naddress1={addresses[family]},{router}\ndns={router};\nmay-fail=false"
    host.write("/etc/NetworkManager/system-connections/lan.nmconnection", NM_PROFILE.format(**parts), 0o600)


def start_networkmanager(host, dns="default"):
    plain_resolv_conf(host)
    start_bus(host)
    configure_networkmanager(host, dns)
    run_networkmanager(host)


def start_both(host):
    link_resolv_conf(host, "../run/systemd/resolve/stub-resolv.conf")
    start_bus(host)
    run_resolved(host)
    configure_networkmanager(host, "systemd-resolved")
    run_networkmanager(host)


def _resolvconf_add(host):
    text = "".join(f"nameserver {address}\n" for address in host.resolvers())
    host.check("resolvconf", "-a", "eth0", text=text)


def start_resolvconf(host):
    """Debian's resolvconf: made ready as its maintainer scripts do."""
    host.check("mkdir", "-p", "/run/resolvconf/interface")
    run = host.path("/etc/resolvconf/run")
    if not os.path.lexists(run):
        os.symlink("/run/resolvconf", run)
    host.check("resolvconf", "--enable-updates")
    link_resolv_conf(host, "/etc/resolvconf/run/resolv.conf")
    _resolvconf_add(host)


def start_openresolv(host):
    plain_resolv_conf(host)
    _resolvconf_add(host)
