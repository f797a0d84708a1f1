#!/usr/bin/python3
"""usage: scripts/check_deps.py [SOURCE_ROOT]

The rules of the source tree that no compiler knows:
- a module of src/ includes only itself and modules earlier in MODULES (dependencies point up one list);
- a .c file includes its own header first;
- net includes no header of an operating system;
- conditionals on the operating system stand in base only; everywhere else the build chooses files;
- no shell, and no allocation past base/mem;
- functions have at most 60 lines and files at most 600.
"""

import os
import re
import sys

MODULES = ["base", "net", "loop", "tls", "rpc", "config", "netcfg", "platform", "broker", "engine", "agent", "diag",
           "interactive", "policy", "gateway", "cli"]
# Headers of generated protobuf code: for rpc and whatever may use it.
GENERATED = re.compile(r"\.pb-c\.h$")
MAX_FUNCTION = 60
MAX_FILE = 600

# Freestanding C, and what of the hosted library touches nothing outside the process.
PURE_HEADERS = {"assert.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h",
                "stdint.h", "stdio.h", "stdlib.h", "string.h"}
OS_MACRO = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*\b(_WIN32|_WIN64|WIN32|__linux__|__linux|__unix__|__MINGW32__"
                      r"|__MINGW64__|__APPLE__|__FreeBSD__|__OpenBSD__)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SHELL = re.compile(r"(?<![\w.>])(system|popen|_popen|wordexp)\s*\(")
ALLOCATION = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|alloca)\s*\(")
ALLOCATOR = {"base/mem.c", "base/banned.h"}

# Everything a plain textual rule must not see: comments, strings and characters. Line breaks stay.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_noise(text):
    return NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def source_files(root):
    for directory, subdirectories, names in os.walk(root):
        subdirectories.sort()
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(directory, name), root)


def includes_of(text):
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def check_direction(module, includes):
    own = MODULES.index(module)
    for number, system, name in includes:
        if system:
            if module == "net" and name not in PURE_HEADERS:
                yield number, f"net is pure: <{name}> belongs to an operating system or a library"
        elif GENERATED.search(name):
            if own < MODULES.index("rpc"):
                yield number, f"{module} may not use generated messages"
        elif "/" not in name or name.split("/")[0] not in MODULES:
            yield number, f'includes are "module/file.h": "{name}"'
        elif MODULES.index(name.split("/")[0]) > own:
            yield number, f'{module} may not include "{name}": dependencies point up the list in src/meson.build'


def check_own_header(root, path, includes):
    header = path[:-2] + ".h"
    if not path.endswith(".c") or not os.path.exists(os.path.join(root, header)):
        return
    first = next(includes, None)
    if first and first[2] != header:
        yield first[0], f'a file includes its own header first: "{header}"'


def check_lines(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if not path.startswith("base/") and OS_MACRO.match(line):
            yield number, "conditionals on the operating system stand in src/base only"
        if path != "base/banned.h" and SHELL.search(line):
            yield number, "no shell: start programs with an argument vector"
        if path not in ALLOCATOR and ALLOCATION.search(line):
            yield number, "allocate with base/mem.h"


def check_sizes(text):
    start = None
    lines = text.split("\n")
    if len(lines) - 1 > MAX_FILE:
        yield len(lines) - 1, f"{len(lines) - 1} lines, the limit is {MAX_FILE}"
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif start is not None and line.startswith("}"):
            if number - start - 1 > MAX_FUNCTION:
                yield start, f"a function of {number - start - 1} lines, the limit is {MAX_FUNCTION}"
            start = None


def check_file(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        text = file.read()
    module = path.split("/")[0]
    if module not in MODULES:
        yield 1, f"unknown module '{module}': add it to the list in scripts/check_deps.py, where it belongs"
        return
    yield from check_direction(module, includes_of(text))
    yield from check_own_header(root, path, includes_of(text))
    yield from check_lines(path, without_noise(text))
    yield from check_sizes(text)


def main(arguments):
    root = arguments[0] if arguments else "src"
    complaints = 0
    for path in source_files(root):
        for number, message in check_file(root, path):
            print(f"{root}/{path}:{number}: {message}")
            complaints += 1
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
