"""The world of the tests of stile.exe: wine with doubles of HNS's libraries in its own system directory.

WINEPREFIX names the prefix; STILE, HNS_DOUBLES (a directory) and WINE (cross/wine.sh) are the build's. What the doubles hold is a JSON
file that a test writes and reads; what they were asked is a list of lines.
"""

import json
import os
import shutil
import subprocess
import tempfile

ENDPOINT = "93f86a7f-e361-4362-b8a4-81bbb6a622dd"
OTHER = "c0ffee00-0000-4000-8000-000000000002"
SPACE = "11111111-2222-3333-4444-555555555555"
LIBRARIES = ("computenetwork.dll", "vmcompute.dll")
# A policy of another kind, which is nobody's here.
ACL = {"Type": "ACL", "Settings": {"Protocols": "6", "Action": "Allow", "Direction": "Out", "Priority": 200}}


def wfp(settings):
    return {"Type": "L4WFPPROXY", "Settings": settings}


def endpoint(policies=(), guid=ENDPOINT, space=SPACE, **more):
    return {"ID": guid.upper(), "Name": "endpoint", "HostComputeNetwork": "0b1e0000-0000-4000-8000-000000000001",
            "HostComputeNamespace": space, "Policies": list(policies), "IpConfigurations": [
                {"IpAddress": "10.1.2.3", "PrefixLength": 24}], "Health": {"Extra": {}}, "Flags": 0,
            "SchemaVersion": {"Major": 2, "Minor": 15}, **more}


def namespace(kind="Host", guids=(ENDPOINT,), space=SPACE):
    return {"ID": space, "NamespaceId": 5, "Type": kind, "Resources":
            [{"Type": "Container", "Data": {"ID": "a-container"}}] + [{"Type": "Endpoint", "Data": {"ID": g.upper()}} for g in guids],
            "SchemaVersion": {"Major": 2, "Minor": 15}}


class Result:
    """What a program said."""

    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def ok(self):
        assert self.status == 0, f"exit status {self.status}: {self.err}"
        return self

    def failed(self, *texts, status=1):
        assert self.status == status, f"exit status {self.status}, not {status}: {self.out}{self.err}"
        for text in texts:
            assert text in self.err, f"{text!r} isn't in {self.err!r}"
        return self


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="stile-hns-")
        self.system = os.path.join(os.environ["WINEPREFIX"], "drive_c/windows/system32")
        self.exe = os.environ["STILE"]
        self.install()

    # What the harness asks for.
    def mark_logs(self):
        self.hold([endpoint()])

    def end_test(self):
        self.install()

    def logs(self):
        return "\ncalls:\n" + "\n".join(self.calls())

    def stop(self):
        self.uninstall()
        shutil.rmtree(self.dir)

    # The doubles.
    def install(self, names=LIBRARIES):
        for name in names:
            shutil.copy(os.path.join(os.environ["HNS_DOUBLES"], name), os.path.join(self.system, name))

    def uninstall(self, names=LIBRARIES):
        for name in names:
            os.unlink(os.path.join(self.system, name))

    def path(self, name):
        return os.path.join(self.dir, name)

    def hold(self, endpoints, namespaces=None, version=None):
        state = {"version": {"Major": 13, "Minor": 2} if version is None else version, "endpoints": endpoints,
                 "namespaces": [namespace()] if namespaces is None else namespaces}
        with open(self.path("state.json"), "w", encoding="utf-8") as file:
            json.dump(state, file)
        self.forget_calls()

    def held(self, guid=ENDPOINT):
        """The policies of an endpoint, of every type."""
        with open(self.path("state.json"), encoding="utf-8") as file:
            return next(e["Policies"] for e in json.load(file)["endpoints"] if e["ID"].lower() == guid)

    def forget_calls(self):
        with open(self.path("calls"), "w", encoding="utf-8"):
            pass

    def calls(self, function=""):
        """Lines "FUNCTION#N ARGUMENT" of what was called since the state was set, and of what was leaked."""
        with open(self.path("calls"), encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line.startswith(function)]

    def requests(self):
        return [line.split(" ", 1)[1] for line in self.calls("HcnModifyEndpoint")]

    def no_leak(self):
        leaks = [line for line in self.calls() if "LEAK" in line or "no spy" in line]
        assert not leaks, leaks

    # Programs.
    def windows_path(self, path):
        return "Z:" + path.replace("/", "\\")

    def start(self, *arguments, exe=None, fail="", how="", cwd=None, stdin=None):
        environment = dict(os.environ, HNS_STATE=self.windows_path(self.path("state.json")),
                           HNS_LOG=self.windows_path(self.path("calls")), HNS_FAIL=fail, HNS_FAIL_HOW=how)
        return subprocess.Popen([os.environ["WINE"], exe or self.exe, *arguments], env=environment, cwd=cwd, encoding="utf-8",
                                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *arguments, stdin=None, **options):
        process = self.start(*arguments, stdin=stdin, **options)
        out, err = process.communicate(stdin)
        return Result(subprocess.CompletedProcess(arguments, process.returncode, out, err))

    def policy(self, *arguments, **options):
        """`stile policy ...`: nothing is leaked, however it ends."""
        result = self.run("policy", *arguments, **options)
        self.no_leak()
        return result

    def file(self, name, value):
        """A file with this JSON, by the name that the program is given."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))
        return self.windows_path(self.path(name))

    def json(self, *arguments):
        return json.loads(self.policy(*arguments, "--json").ok().out)
