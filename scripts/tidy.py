#!/usr/bin/python3
"""usage: scripts/tidy.py BUILD_DIR [--jobs N] [PART_OF_PATH...]

Runs clang-tidy over the compilation database of BUILD_DIR, several files at once. A file that was clean is not looked at
again until its preprocessed text (comments included), its flags, .clang-tidy or clang-tidy itself change.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def preprocess(entry):
    """The file as the compiler sees it: what decides whether an old verdict still holds."""
    command, skip = [], False
    for word in shlex.split(entry["command"]):
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        elif word not in ("-c", "-MD", "-MMD"):
            command.append(word)
    result = subprocess.run(command + ["-E", "-C", "-w"], cwd=entry["directory"], capture_output=True, check=False)
    return result.stdout if result.returncode == 0 else None


def digest_of(entry, salt):
    text = preprocess(entry)
    if text is None:
        return None
    return hashlib.sha256(salt + entry["command"].encode() + text).hexdigest()


def check(entry, build, salt):
    """(path, clang-tidy's complaints or None)"""
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    digest = digest_of(entry, salt)
    stamp = os.path.join(build, "tidy-cache", digest) if digest else None
    if stamp and os.path.exists(stamp):
        return path, None
    result = subprocess.run(["clang-tidy", "--quiet", "-p", build, path], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        return path, result.stdout + "\n".join(line for line in result.stderr.splitlines() if "warnings generated" not in line
                                               and "warning generated" not in line)
    if stamp:
        with open(stamp, "w", encoding="utf-8"):
            pass
    return path, None


def ours(entry, parts):
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    return path.startswith(("src/", "tests/", "bench/", "examples/")) and (not parts or any(part in path for part in parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    database = os.path.join(options.build, "compile_commands.json")
    if not os.path.exists(database):
        print(f"{database} is missing: the build with clang failed", file=sys.stderr)
        return 1
    with open(database, encoding="utf-8") as file:
        entries = {os.path.join(e["directory"], e["file"]): e for e in json.load(file) if ours(e, options.parts)}
    with open(".clang-tidy", "rb") as file:
        salt = file.read() + subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    os.makedirs(os.path.join(options.build, "tidy-cache"), exist_ok=True)
    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for path, complaints in pool.map(lambda e: check(e, options.build, salt), entries.values()):
            if complaints is not None:
                failed += 1
                print(f"{path}:\n{complaints}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
