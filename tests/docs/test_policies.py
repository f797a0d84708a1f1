#!/usr/bin/python3
"""docs/policies.md and docs/from-other-tools.md: their policies are ones, and the options that they name are there.

usage: test_policies.py STILE DIRECTORY
"""

import json
import re
import subprocess
import sys

STILE, DOCS = sys.argv[1:3]
COMMANDS = ["lookup", "list", "apply", "add", "remove", "clear", "reconcile", "validate"]


def read(name):
    with open(f"{DOCS}/{name}", encoding="utf-8") as file:
        return file.read()


def stile(*words, text=""):
    return subprocess.run([STILE, *words], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def policies_of_a_page_are_valid():
    pages = {name: re.findall(r"^ *\[\{\"Type\".*?\}\]$", read(name), re.MULTILINE | re.DOTALL)
             for name in ("policies.md", "from-other-tools.md")}
    assert all(pages.values()), pages
    for found in pages.values():
        for text in found:
            json.loads(text)
            done = stile("policy", "validate", "--file", "-", "--system", "linux", text=text)
            assert done.returncode == 0 and "arning" not in done.stdout, (done.stdout, text)


def options_in_place_of_others_are_there():
    there = set()
    for command in COMMANDS:
        there |= set(re.findall(r"--[a-z-]+", stile("policy", command, "--help").stdout))
    named = set()
    for line in read("from-other-tools.md").splitlines():
        if line.startswith("| ") and line.count("|") >= 3:
            named |= set(re.findall(r"--[a-z-]+", line.split("|")[2]))
    assert len(named) > 15 and named <= there, named - there


def main():
    tests = [policies_of_a_page_are_valid, options_in_place_of_others_are_there]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__.replace('_', ' ')}")
        except AssertionError as error:
            failed += 1
            print(f"not ok {number} - {test.__name__.replace('_', ' ')}\n#   {error}")
    return 1 if failed else 0


sys.exit(main())
