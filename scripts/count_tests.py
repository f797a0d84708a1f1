#!/usr/bin/python3
"""usage: scripts/count_tests.py DIR...

Counts the tests of build directories: from meson's meson-logs/testlog.json and systemlog.json, or from results.json (the same
records: one JSON object per line with "name" and "result") where a script wrote the checks. A test program that speaks TAP counts
once per case. Skipped is skipped, never passed; a program that died or promised more cases than it ran counts one failure
more. Exits 1 if anything failed, or if a directory has no results at all.
"""

import json
import os
import re
import sys

CASE = re.compile(r"^(not )?ok\b[^#]*(?:#\s*(SKIP|TODO))?", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)")


def tap_cases(text):
    """(results, promised) of a TAP program's output."""
    results, promised = [], None
    for line in text.splitlines():
        plan = PLAN.match(line)
        if plan:
            promised = (promised or 0) + int(plan.group(1))
            continue
        case = CASE.match(line)
        if not case:
            continue
        if (case.group(2) or "").upper() == "SKIP":
            results.append("skipped")
        else:
            results.append("failed" if case.group(1) else "passed")
    return results, promised


def outcome(result):
    if result in ("OK", "EXPECTEDFAIL"):
        return "passed"
    return "skipped" if result == "SKIP" else "failed"


def count_record(record, total):
    whole = outcome(record["result"])
    cases, promised = tap_cases(record.get("stdout") or "")
    if promised is None:
        total[whole] += 1
        return
    for case in cases:
        total[case] += 1
    if whole == "failed" and "failed" not in cases or len(cases) < promised:
        total["failed"] += 1


def result_files(directory):
    for name in ("meson-logs/testlog.json", "meson-logs/systemlog.json", "results.json"):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            yield path


def count_directory(directory, total):
    found = False
    for path in result_files(directory):
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                found = True
                count_record(json.loads(line), total)
    return found


def main(arguments):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for directory in arguments:
        if not count_directory(directory, total):
            print(f"no test results in {directory}", file=sys.stderr)
            total["failed"] += 1
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**total))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
