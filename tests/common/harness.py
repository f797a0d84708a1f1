"""Runs the tests of one file, in a world of their own, and tells the result as TAP.

A test is a function that takes the world; its name, with spaces for underscores, is what it checks. It fails by raising
(assert, Failed), and is skipped by raising Skip. The first call of run_tests() starts the same file again in new network,
mount, process and IPC namespaces (as root; as an ordinary user in a new user namespace too): whatever a test starts dies with
them, and what it writes goes to a tmpfs that goes with them.

A world has mark_logs() and end_test(), called before and after each test, logs(), for the report of a failure, and stop().
"""

import os
import shutil
import signal
import subprocess
import sys
import traceback

from common.process import Skip

LIMIT_S = 180  # of one test, unless its file says otherwise


def own_settings():
    """Not the caller's: a test's users are others than its own, and a shell can't trap what was ignored when it began, as under
    nohup or in the background of a script."""
    os.umask(0o022)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class TimedOut(Exception):
    """A test took too long."""


def _skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(77)


def _namespace_flags():
    flags = ["--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return flags if os.getuid() == 0 else ["--user", "--map-root-user"] + flags


def _enter_world(file, programs, root_only):
    if not os.access(os.environ.get("STILE", ""), os.X_OK):
        sys.exit(f"{os.path.basename(file)}: STILE must be the path of the program")
    if root_only and os.getuid() != 0:
        _skip_all("this needs root")
    for program in ("unshare", "ip", *programs):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            _skip_all(f"there is no {program}")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    command = ["unshare", *_namespace_flags(), "--"]
    probe = subprocess.run([*command, "true"], stderr=subprocess.PIPE, text=True, check=False)
    if probe.returncode != 0:
        _skip_all(f"namespaces can't be made here: {probe.stderr.strip()}")
    os.environ["STILE_WORLD"] = "root" if os.getuid() == 0 else "user"
    os.execvp(command[0], [*command, sys.executable, file, *sys.argv[1:]])


def _own_shared_memory():
    """Servers that are killed leave theirs behind."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], stderr=subprocess.DEVNULL, check=False)


def _on_alarm(_signal, _frame):
    raise TimedOut("it takes too long")


def _run_one(world, test, limit_s):
    """None if it passed, else (kind, text)."""
    signal.alarm(limit_s)
    world.mark_logs()
    try:
        test(world)
        return None
    except Skip as skip:
        return "SKIP", str(skip)
    except Exception:  # a test may fail in any way
        return "FAIL", traceback.format_exc(limit=-6)
    finally:
        signal.alarm(0)
        world.end_test()


def _report(number, name, outcome, world):
    if outcome is None:
        print(f"ok {number} - {name}")
    elif outcome[0] == "SKIP":
        print(f"ok {number} - {name} # SKIP {outcome[1]}")
    else:
        print(f"not ok {number} - {name}")
        for line in (outcome[1] + world.logs()).splitlines():
            print(f"#   {line}")
    sys.stdout.flush()


def run_here(tests, make_world, limit_s=LIMIT_S):
    """Runs the tests in order in one world, where the caller is: without namespaces. Arguments of the program: words; only tests
    with one of them in their names."""
    signal.signal(signal.SIGALRM, _on_alarm)
    own_settings()
    chosen = [t for t in tests if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    failed = skipped = 0
    try:
        world = make_world()
    except Skip as skip:
        _skip_all(str(skip))
    print(f"1..{len(chosen)}")
    for number, test in enumerate(chosen, 1):
        outcome = _run_one(world, test, limit_s)
        failed += outcome is not None and outcome[0] == "FAIL"
        skipped += outcome is not None and outcome[0] == "SKIP"
        _report(number, test.__name__.replace("_", " "), outcome, world)
    world.stop()
    sys.exit(1 if failed else 77 if chosen and skipped == len(chosen) else 0)


def run_tests(file, tests, make_world, programs=(), root_only=False, limit_s=LIMIT_S):
    """The same in a world of namespaces of its own."""
    if "STILE_WORLD" not in os.environ:
        _enter_world(file, programs, root_only)
    _own_shared_memory()
    run_here(tests, make_world, limit_s)
