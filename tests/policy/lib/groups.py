"""Control groups of a test's containers: one parent, in every hierarchy that there is, so that nothing is left behind."""

import contextlib
import os
import tempfile
import time

from common.process import Skip

PREFIX = "stile-policy-"
OLD_S = 1800


def hierarchies():
    """Mount points of all hierarchies; the unified one first."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1:3] for line in file]
    return [path for path, kind in mounts if kind == "cgroup2"] + [path for path, kind in mounts if kind == "cgroup"]


def unified():
    """Where cgroup v2 is; Skip if it is nowhere."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    raise Skip("cgroup v2 isn't mounted")


def _is_old(path):
    """What tests that were killed have left. Those that begin now are young; one that ends now takes its own away."""
    with contextlib.suppress(OSError):
        return time.time() - os.stat(path).st_mtime > OLD_S
    return False


def make():
    """The name of a new group in the unified hierarchy; runtimes make it in the others. Skip where there can be none."""
    for top in hierarchies():
        for name in os.listdir(top):
            if name.startswith(PREFIX) and _is_old(os.path.join(top, name)):
                remove(name)
    try:
        return os.path.basename(tempfile.mkdtemp(prefix=PREFIX, dir=unified()))
    except OSError as error:
        raise Skip(f"a control group can't be made here: {error}") from None


def remove(name, patience_s=0):
    """With all below it, in every hierarchy. Those that still hold processes stay, or are waited for: what was killed may end late."""
    end = time.monotonic() + patience_s
    while True:
        left = [path for path in (os.path.join(top, name) for top in hierarchies()) if os.path.isdir(path)]
        for path in left:
            for directory, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
        if not any(map(os.path.isdir, left)) or time.monotonic() >= end:
            return
        time.sleep(0.05)
