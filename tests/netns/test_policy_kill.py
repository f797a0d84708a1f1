#!/usr/bin/python3
"""Whoever changes policies may be killed before any of its system calls, and nft before any of its own: the rules are then those from
before or all of the new ones, the next change works, and clear leaves no trace.

Environment: STILE, KILL_AT. The program's helpers are killed with it, at different moments: they are traced, too.
"""

import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import run_tests  # noqa: E402

STILE = os.environ.get("STILE", "build/stile")
KILL_AT = os.environ.get("KILL_AT", "build/tests/system/kill_at")
STEP = int(os.environ.get("KILL_STEP", "7"))  # every seventh call, from another one on in each run; 1 for all
NAME = "killed"


def policy(port, protocols):
    return {"Type": "L4WFPPROXY", "Settings": {"OutboundProxyPort": str(port), "UserID": "1337",
                                               "FilterTuple": {"Protocols": protocols}}}


BOTH = [policy(8000, "6"), policy(8001, "17")]
TCP = [policy(8002, "6")]


def run(*words, check=True):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}"
    return done.stdout


def inside(*words):
    return run("ip", "netns", "exec", NAME, *words)


def rules():
    return inside("nft", "-s", "list", "ruleset")


def routes():
    return [inside("ip", *words) for words in (("rule",), ("-6", "rule"), ("route", "show", "table", "all"),
                                               ("-6", "route", "show", "table", "all"))]


class World:
    """One namespace with a name, in a network of the test's own."""

    def __init__(self):
        run("mount", "-t", "tmpfs", "none", "/run")
        run("ip", "netns", "add", NAME)
        run("ip", "-n", NAME, "link", "set", "lo", "up")

    def mark_logs(self):
        pass

    def logs(self):
        return ""

    def end_test(self):
        run(STILE, "policy", "clear", NAME)

    def stop(self):
        run("ip", "netns", "delete", NAME)


class Change:
    """From one list of policies to another, by the command that is killed."""

    def __init__(self, before, after):
        self.files = []
        for policies in before, after:
            with tempfile.NamedTemporaryFile("w", suffix=".json", dir="/run", delete=False) as file:
                json.dump(policies, file)
            self.files.append(file.name)
        self.states = [(self.apply(i), rules(), routes())[1:] for i in (0, 1)]

    def apply(self, i):
        return run(STILE, "policy", "apply", NAME, "--file", self.files[i])

    def killed_before_call(self, n):
        """False: it ended before that call."""
        run(KILL_AT, "/run/killed", str(n), STILE, "policy", "apply", NAME, "--file", self.files[1], check=False)
        with open("/run/killed", encoding="ascii") as file:
            return not file.read().strip().endswith("ended")

    def check_all(self, first):
        n, seen = first, set()
        while True:
            self.apply(0)
            killed = self.killed_before_call(n)
            run(STILE, "policy", "list", NAME)  # waits for nobody, and always finds something whole
            now = rules()
            assert now in (self.states[0][0], self.states[1][0]), f"killed before call {n}: {now}"
            seen.add(now)
            self.apply(1)
            assert (rules(), routes()) == self.states[1], f"after a death before call {n} apply does not put it right"
            if not killed:
                return seen
            n += STEP


def check(before, after, first):
    clean = (rules(), routes())
    change = Change(before, after)
    assert len(change.check_all(first)) == 2, "no death was seen before the change, or none after it"
    run(STILE, "policy", "clear", NAME)
    assert (rules(), routes()) == clean, "clear leaves a trace"


def a_death_while_the_first_policies_come(world):
    check([], BOTH, 1)


def a_death_while_policies_with_routes_come(world):
    check(TCP, BOTH, 2)


def a_death_while_policies_with_routes_go(world):
    check(BOTH, TCP, 3)


def a_death_while_all_are_cleared(world):
    check(BOTH, [], 4)


def a_death_leaves_nothing_that_clear_does_not_remove(world):
    clean = (rules(), routes())
    change = Change([], BOTH)
    n, killed = 1, True
    while killed:
        killed = change.killed_before_call(n)
        run(STILE, "policy", "clear", NAME)
        assert (rules(), routes()) == clean, f"a death before call {n}: clear leaves a trace"
        n += STEP


TESTS = [a_death_while_the_first_policies_come, a_death_while_policies_with_routes_come, a_death_while_policies_with_routes_go,
         a_death_while_all_are_cleared, a_death_leaves_nothing_that_clear_does_not_remove]

if __name__ == "__main__":
    run_tests(__file__, TESTS, World, programs=("nft",), root_only=True, limit_s=240)
