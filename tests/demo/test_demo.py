#!/usr/bin/python3
"""usage: test_demo.py STILE

The demo passes as whoever runs this, and as an ordinary user where root runs this; it leaves nothing behind, also when it
is interrupted.
"""

import os
import signal
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import own_settings  # noqa: E402

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo.sh")
LIMIT_S = 180
USER = 65534  # nobody: PostgreSQL wants a user that has a name
# Seen by the command alone: a device that everyone may open, as on an ordinary Debian, and the tree and the program where
# everyone may look (root's clone is often under /root).
AS_USER = """mount -t tmpfs tmpfs /mnt && chmod 755 /mnt &&
mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun &&
mkdir /mnt/tests /mnt/bin && mount --bind "$1" /mnt/tests && mount --bind "$2" /mnt/bin && shift 2 &&
exec "$@"
"""


def as_user(stile):
    """(command before the demo, the demo, stile) for the ordinary user."""
    prefix = ["unshare", "--mount", "sh", "-c", AS_USER, "sh", os.path.dirname(os.path.dirname(DEMO)), os.path.dirname(stile),
              "setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    return prefix, "/mnt/tests/demo/demo.sh", os.path.join("/mnt/bin", os.path.basename(stile))


class Demo:
    """One run, in a directory for temporary files of its own, its processes marked in their environment."""

    def __init__(self, stile, prefix=(), demo=DEMO):
        self.mark = f"STILE_DEMO_MARK={uuid.uuid4()}"
        self.directory = tempfile.mkdtemp(prefix="stile-test-demo.")
        os.chmod(self.directory, 0o777)
        name, value = self.mark.split("=")
        env = dict(os.environ, STILE=stile, TMPDIR=self.directory, HOME=self.directory, **{name: value})
        self.process = subprocess.Popen([*prefix, demo], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)

    def finish(self):
        try:
            out, _ = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            out, _ = self.process.communicate(timeout=60)
            out += f"\nnot done after {LIMIT_S} s"
        return self.process.returncode, out

    def left_behind(self):
        left = [os.path.join(self.directory, name) for name in os.listdir(self.directory)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if self.mark.encode() in file.read().split(b"\0"):
                        left.append(open(f"/proc/{pid}/cmdline", encoding="utf-8").read().replace("\0", " "))
            except OSError:
                continue
        if not left:
            os.rmdir(self.directory)
        return left


def passes(stile, as_whom=((), DEMO)):
    demo = Demo(stile, *as_whom)
    status, out = demo.finish()
    wrong = [] if status == 0 and " 0 failed" in out.splitlines()[-1] else [f"status {status}", *out.splitlines()]
    return wrong + [f"left behind: {what}" for what in demo.left_behind()]


def passes_as_user(stile):
    prefix, demo, where = as_user(stile)
    return passes(where, (prefix, demo))


def is_interrupted(stile):
    demo = Demo(stile)
    begun = next((line for line in demo.process.stdout if "is logged in" in line), "")
    demo.process.send_signal(signal.SIGTERM)
    status, out = demo.finish()
    wrong = [] if status == 143 and begun else [f"status {status}", begun, *out.splitlines()]
    return wrong + [f"left behind: {what}" for what in demo.left_behind()]


def main(stile):
    own_settings()
    cases = [("the demo passes", lambda: passes(stile)), ("an interrupted demo leaves nothing behind", lambda: is_interrupted(stile))]
    if os.getuid() == 0:
        cases.append(("the demo passes as an ordinary user", lambda: passes_as_user(stile)))
    if os.getuid() != 0 and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        print("1..0 # SKIP this user can't open /dev/net/tun")
        return 77
    print(f"1..{len(cases)}")
    failed = False
    for number, (name, case) in enumerate(cases, 1):
        wrong = case()
        failed |= bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
        for line in wrong:
            print(f"#   {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
