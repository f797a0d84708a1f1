"""Plain network namespaces, as `ip netns` makes them, and `stile policy` run beside them: the world of test_command*.py."""

import json
import os
import subprocess

from common.process import CLONE_NEWNET, Failed, before_exec, finish

STILE = os.environ.get("STILE", "")
DIR = "/run/test"
TABLE = "stile_policy"


def expect(condition, what):
    if not condition:
        raise Failed(str(what))


def write(name, value):
    path = os.path.join(DIR, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
    return path


def policy(number=1, **settings):
    """One of many in HNS's form, each with another port."""
    return {"Type": "L4WFPPROXY", "Settings": {"OutboundProxyPort": "15001", "FilterTuple": {
        "Protocols": "6", "RemotePorts": str(number), "Priority": number}, "UserID": "1337", **settings}}


class World:
    """Network namespaces by name, as ip netns makes them, in a /run of the test's own."""

    def __init__(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
        os.mkdir(DIR)
        os.chmod(DIR, 0o755)
        self.names = []
        self.said = []

    def namespace(self, name):
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        self.names.append(name)
        return name

    def run(self, argv, text="", namespace=None, uid=None, timeout=90, executable=None):
        enter = [(f"/run/netns/{namespace}", CLONE_NEWNET)] if namespace else []
        process = subprocess.Popen(argv, executable=executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=before_exec(enter, uid))
        result = finish(process, argv, text, timeout)
        self.said.append(f"{' '.join(map(str, argv))[:300]}: {result!r}"[:3000])
        return result

    def stile(self, *words, **more):
        return self.run([STILE, "policy", *words], **more)

    def good(self, *words, **more):
        """The same, when it must succeed."""
        result = self.stile(*words, **more)
        if result.status != 0:
            raise Failed(f"stile policy {' '.join(map(str, words))}: {result!r}")
        return result

    def refused(self, status, *words, says=(), **more):
        """The same, when it must fail; `says` must be in its message, and nothing on standard output."""
        result = self.stile(*words, **more)
        missing = [text for text in says if text not in result.err]
        if result.status != status or missing or result.out or "\x1b" in result.err:
            raise Failed(f"stile policy {' '.join(map(str, words))}: wanted status {status} and {missing}: {result!r}")
        return result

    def nft(self, namespace, *words, text=""):
        result = self.run(["nft", *words], text=text, namespace=namespace)
        if result.status != 0:
            raise Failed(f"nft {' '.join(map(str, words))}: {result!r}")
        return result.out

    def ruleset(self, namespace):
        """Everything that a change could change, with handles: they tell whether something was written anew."""
        rules = self.run(["ip", "-n", namespace, "rule"]).out + self.run(["ip", "-n", namespace, "-6", "rule"]).out
        return self.nft(namespace, "-a", "list", "ruleset") + rules

    def policies(self, namespace):
        return self.good("list", namespace, "--json").json()

    def mark_logs(self):
        self.said = []

    def logs(self):
        return "\n" + "\n".join(self.said[-6:])

    def end_test(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)
        self.names = []

    def stop(self):
        pass
