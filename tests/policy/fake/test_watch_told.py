#!/usr/bin/python3
"""What `stile policy watch` tells a person and a program: of rules that are none, of runtimes that lie, and of nothing that it won't do."""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from common import harness  # noqa: E402
from runtime import Fake  # noqa: E402

STILE = os.environ["STILE"]
WEB = {"app": "web"}
RULES = json.dumps({"Rules": [{"Labels": WEB, "Policies": [{"Type": "L4WFPPROXY", "Settings": {
    "OutboundProxyPort": "8000", "UserID": "1337", "FilterTuple": {"Protocols": "6"}}}]}]})
HOSTILE = "pod\x1b[31m\nINJECTED\r\x9b2J\u202e\x7f"


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="stile-told-")
        self.socket, self.path, self.closing = os.path.join(self.dir, "fake.sock"), os.path.join(self.dir, "rules"), []

    def fake(self):
        fake = Fake(self.socket)
        self.closing.append(fake.stop)
        return fake

    def once(self, *words, rules=RULES, runtime=None):
        """Of the containers that run now; each is told and fails, as their networks aren't there."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(rules)
        return subprocess.run([STILE, "policy", "watch", "--once", "--file", self.path, "--runtimeendpoint",
                               runtime or f"unix://{self.socket}", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)

    def mark_logs(self):
        pass

    def logs(self):
        return ""

    def end_test(self):
        while self.closing:
            self.closing.pop()()

    def stop(self):
        for name in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, name))
        os.rmdir(self.dir)


def a_file_without_rules_is_told_of(world):
    for text in ("", " \n\t"):
        done = world.once(rules=text)
        assert done.returncode == 78 and b"There is nothing in it" in done.stderr and b'{"Rules": []}' in done.stderr, done
    assert b"There is no rule in the file" in world.once(rules='{"Rules": []}').stderr


def nothing_of_a_runtimes_texts_steers_a_terminal(world):
    fake = world.fake()
    fake.sandbox("aa11", path="/run/netns/" + HOSTILE, labels={**WEB, "big": "x" * 1000000, HOSTILE: HOSTILE})
    fake.sandboxes["aa11"].status.metadata.name = HOSTILE
    fake.container("cc11", "aa11", info="{" + HOSTILE)
    fake.container("cc22", "aa11", path="/run/netns/" + HOSTILE)
    fake.containers["cc22"][1].status.metadata.name = HOSTILE
    done = world.once()
    assert done.returncode == 1 and re.fullmatch(rb"[\n -~]+", done.stderr), done
    assert all(re.match(rb"\d{4}-\d\d-\d\dT", line) for line in done.stderr.splitlines()), done
    done = world.once("--json")
    assert re.fullmatch(rb"[\n -\x7f]+", done.stdout), done
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [e for e in events if e["event"] == "failed" and e.get("sandbox") == "aa11"]
    assert told and HOSTILE in told[0]["name"] and HOSTILE in told[0]["text"], events


def what_was_cut_in_the_middle_of_a_letter_is_told_all_the_same(world):
    fake = world.fake()
    for n in range(4):  # one of them is cut there
        fake.sandbox(f"aa1{n}", path="/run/netns/" + "x" * n + "\u20ac" * 100, labels=WEB)
        fake.sandboxes[f"aa1{n}"].status.metadata.name = "x" * n + "\u20ac" * 300
    events = [json.loads(line) for line in world.once("--json").stdout.splitlines()]
    failed = [e for e in events if e["event"] == "failed"]
    assert len(failed) >= 4 and all("\u20ac" in e["name"] and "\u20ac" in e["text"] for e in failed), events


def nobody_is_told_that_it_will_be_tried_again_when_it_ends(world):
    done = world.once()
    assert done.returncode == 1 and b"no container runtime" in done.stderr and b"again" not in done.stderr, done
    fake = world.fake()
    fake.sandbox("aa11", path="/run/netns/nowhere", labels=WEB)
    done = world.once()
    assert done.returncode == 1 and b"NOT blocked" in done.stderr and b"again" not in done.stderr, done


def who_uses_podman_is_told_what_to_do(world):
    done = world.once(runtime="podman")
    assert done.returncode == 1 and b"stile-cni" in done.stderr, done


TESTS = [a_file_without_rules_is_told_of, nothing_of_a_runtimes_texts_steers_a_terminal,
         what_was_cut_in_the_middle_of_a_letter_is_told_all_the_same, nobody_is_told_that_it_will_be_tried_again_when_it_ends,
         who_uses_podman_is_told_what_to_do]

if __name__ == "__main__":
    harness.run_tests(__file__, TESTS, World, programs=("nft",))
