"""Trees of extracted packages (scripts/test-daemons.sh), laid over this namespace's /usr and /etc."""

import functools
import os
import subprocess

from common.process import Failed, Skip

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "scripts", "test-daemons.sh")


@functools.lru_cache
def tree(name):
    """The root directory of one; Skip if it isn't here."""
    done = subprocess.run([SCRIPT, "--cached", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Skip(done.stderr.strip())
    return os.path.join(done.stdout.strip(), name)


def mount(*words):
    done = subprocess.run(["mount", *words], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"mount {' '.join(words)}: {done.stderr}")


def lay_over(*names):
    """Their /usr over this mount namespace's, and their /etc, which can be written to from now on."""
    found = [tree(name) for name in names]
    lower = ":".join([*(os.path.join(path, "usr") for path in found), "/usr"])
    mount("-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", "/usr")
    etc = [os.path.join(path, "etc") for path in found if os.path.isdir(os.path.join(path, "etc"))]
    os.makedirs("/run/etc-upper")
    os.makedirs("/run/etc-work")
    mount("-t", "overlay", "-o", f"lowerdir={':'.join([*etc, '/etc'])},upperdir=/run/etc-upper,workdir=/run/etc-work", "overlay",
          "/etc")
