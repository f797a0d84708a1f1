"""How a host is configured, in a form that can be compared: sections of text lines.

As a program (on the host, as root) prints one as JSON for each line it reads. Whatever changes without anybody's doing is left out: lifetimes,
counters, handles, cached routes.
"""

import difflib
import hashlib
import json
import os
import stat
import subprocess
import sys

RESOLVE1 = ("org.freedesktop.resolve1", "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager")
# Files whose text is worth seeing in a difference; of the others below TREES a digest will do.
TEXTS = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/systemd/resolve/stub-resolv.conf",
         "/run/NetworkManager/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf", "/run/resolvconf/resolv.conf"]
TREES = ["/etc", "/run/resolvconf", "/run/NetworkManager", "/run/systemd/resolve", "/var/lib/NetworkManager"]
# Written by the daemons themselves, at times of their own; and the administrator's policy.
OWN_FILES = ["/etc/stile", "/run/NetworkManager/devices", "/run/NetworkManager/proxy", "/var/lib/NetworkManager/timestamps",
             "/var/lib/NetworkManager/NetworkManager.state",
             "/var/lib/NetworkManager/seen-bssids"]
LINK_PROPERTIES = ["DNS", "Domains", "DefaultRoute", "LLMNR", "MulticastDNS", "DNSOverTLS", "DNSSEC",
                   "DNSSECNegativeTrustAnchors"]
NM_DNS = ("org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager/DnsManager", "org.freedesktop.NetworkManager.DnsManager")


class Snapshot:
    def __init__(self, sections):
        self.sections = sections

    def difference(self, other):
        """A unified difference, section by section; empty if there is none."""
        lines = []
        for name in sorted({*self.sections, *other.sections}):
            here, there = self.sections.get(name, []), other.sections.get(name, [])
            lines += difflib.unified_diff(here, there, f"{name} (before)", f"{name} (now)", lineterm="", n=1)
        return "\n".join(lines)

    def __getitem__(self, name):
        return self.sections[name]


def run(*argv, text=""):
    """What a program printed; nothing if it isn't there or fails."""
    try:
        done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def ip(*words):
    return json.loads(run("ip", "-j", "-d", *words) or "[]")


def routes_and_rules(family):
    """In one process, if it says something to each."""
    commands = ("route show table all", "rule")
    out, found = run("ip", "-j", "-d", family, "-batch", "-", text="\n".join(commands) + "\n").lstrip(), []
    while out:
        value, end = json.JSONDecoder().raw_decode(out)
        found.append(value)
        out = out[end:].lstrip()
    return found if len(found) == 2 else [ip(family, *command.split()) for command in commands]


def without(value, names):
    """A copy of a JSON value in which no object has members of these names."""
    if isinstance(value, dict):
        return {k: without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [without(v, names) for v in value]
    return value


def lines_of(values, *unsteady):
    return sorted(json.dumps(without(value, unsteady), sort_keys=True) for value in values)


def links(found):
    return lines_of([{k: v for k, v in link.items() if k != "addr_info"} for link in found], "stats64",
                    "hello_timer", "tcn_timer", "topology_change_timer", "gc_timer")


def addresses(found):
    return lines_of([{"ifname": link["ifname"], **a} for link in found for a in link.get("addr_info", []) if a],
                    "valid_life_time", "preferred_life_time")


def routes(found):
    return lines_of([r for r in found if "cache" not in r.get("flags", [])], "expires", "used", "users", "age")


def firewall():
    return lines_of(json.loads(run("nft", "-j", "list", "ruleset") or '{"nftables": []}')["nftables"], "handle", "packets", "bytes")


def sysctls():
    lines = []
    for family in ("ipv4", "ipv6"):
        top = f"/proc/sys/net/{family}/conf"
        for path, _, names in os.walk(top):
            for name in names:
                try:
                    with open(os.path.join(path, name), encoding="ascii", errors="replace") as file:
                        lines.append(f"{os.path.join(path, name)[14:]} = {file.read().strip()}")
                except OSError:
                    pass
    for name in ("ipv4/ip_forward", "ipv4/ip_unprivileged_port_start"):
        with open(f"/proc/sys/net/{name}", encoding="ascii") as file:
            lines.append(f"{name} = {file.read().strip()}")
    return sorted(lines)


def describe(path):
    """One line about a file: type, mode, owner, and target or digest."""
    status = os.lstat(path)
    line = f"{path}: {stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{line} -> {os.readlink(path)}"
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return f"{line} {hashlib.sha256(file.read()).hexdigest()[:16]}"
    return line


def files():
    lines = []
    for tree in TREES:
        for path, directories, names in os.walk(tree):
            for name in sorted(directories + names):
                full = os.path.join(path, name)
                own = any(full == own or full.startswith(own + "/") for own in OWN_FILES)
                # openresolv makes its directories when it needs them, and keeps them.
                empty = tree == "/run/resolvconf" and os.path.isdir(full) and not os.listdir(full)
                if not own and not empty:
                    lines.append(describe(full))
    return lines


def text(path):
    """What a file is and says. Comments in it too: a file put back is put back to the byte."""
    if not os.path.lexists(path):
        return [f"{path}: there is none"]
    lines = [describe(path)]
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines += file.read().splitlines()
    except OSError as error:
        lines.append(f"({error.strerror})")
    return lines


def busctl(*words):
    out = run("busctl", "--json=short", "--timeout=5", *words)
    return json.loads(out)["data"] if out else None


def bus_has(name):
    return (busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", name)
            or [False])[0]


def resolved(interfaces):
    if not bus_has(RESOLVE1[0]):
        return []
    lines = [f"{name} = {json.dumps(sorted(busctl('get-property', *RESOLVE1, name) or []))}"
             for name in ("DNS", "Domains", "DNSSECNegativeTrustAnchors")]
    for link in interfaces:
        found = busctl("call", *RESOLVE1, "GetLink", "i", str(link["ifindex"]))
        if found is None:
            continue
        got = busctl("call", RESOLVE1[0], found[0], "org.freedesktop.DBus.Properties", "GetAll", "s",
                     "org.freedesktop.resolve1.Link") or [{}]
        values = {name: got[0].get(name, {}).get("data") for name in LINK_PROPERTIES}
        lines.append(f"{link['ifname']}: {json.dumps(values, sort_keys=True)}")
    return sorted(lines)


def networkmanager():
    if not bus_has(NM_DNS[0]):
        return []
    lines = [json.dumps(entry, sort_keys=True) for entry in busctl("get-property", *NM_DNS, "Configuration") or []]
    lines += run("nmcli", "-t", "-f", "NAME,UUID,TYPE,DEVICE,STATE", "connection", "show").splitlines()
    lines += run("nmcli", "-t", "-f", "DEVICE,TYPE,STATE", "device").splitlines()
    return sorted(lines)


def take():
    interfaces, four, six = ip("link"), routes_and_rules("-4"), routes_and_rules("-6")
    sections = {"links": links(interfaces), "addresses": addresses(ip("addr")), "routes, IPv4": routes(four[0]),
                "routes, IPv6": routes(six[0]), "rules, IPv4": lines_of(four[1]), "rules, IPv6": lines_of(six[1]),
                "nftables": firewall(), "sysctls": sysctls(), "files": files(), "resolved": resolved(interfaces),
                "NetworkManager": networkmanager()}
    sections.update({path: text(path) for path in TEXTS})
    return sections


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(take()), flush=True)
