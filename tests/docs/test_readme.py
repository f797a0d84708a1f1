#!/usr/bin/python3
"""The README's quick start, as it stands: its shell blocks are run in order, passwords typed when asked for."""

import os
import pty
import re
import select
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))

from lib.harness import main  # noqa: E402
from lib.world import DIR, Failed  # noqa: E402

README = os.path.join(HERE, "..", "..", "README.md")
# What a block has started in the background serves: each such job has a socket that listens.
STARTED = """
for i in $(seq 600); do
    [ "$(ss -Hltn 'sport = :8000 or sport = :7443' | wc -l)" -ge "$(jobs -rp | wc -l)" ] && break
    sleep 0.1
done
"""
PASSWORD = "a password for the readme"


def blocks():
    with open(README, encoding="utf-8") as file:
        return re.findall(r"^```sh\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)


def typed_at_a_terminal(world, script, directory):
    """What the script said; answers every question for a password."""
    fd, child = pty.openpty()
    process = world.spawn(["setsid", "--ctty", "--wait", "bash", "-e", script],
                          env={"PATH": f"{DIR}:{os.environ['PATH']}", "STILE_HOME": "", "HOME": directory, "PWD": directory},
                          stdin=child, stdout=child, stderr=child)
    os.close(child)
    text, seen, end = "", 0, time.monotonic() + 150
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 65536).decode("utf-8", "replace")
            except OSError:
                break
        question = re.compile(r"(?:assword[^\n]*|Again): $").search(text)
        if question and question.end() > seen:
            seen = question.end()
            os.write(fd, PASSWORD.encode() + b"\r")
        elif process.poll() is not None:
            break
    process.kill()
    process.wait()
    return text


def the_quick_start_works_as_it_stands(world):
    directory = os.path.join(DIR, "reader")
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    script = os.path.join(directory, "quick-start.sh")
    with open(script, "w", encoding="utf-8") as file:
        # As a person would, it waits for what was started.
        file.write(f"cd {directory}\n" + "\n".join(block + STARTED for block in blocks()) + "\necho the end is reached\n")
    if world.may_be_user:
        os.chown(directory, 1500, 1500)
    text = typed_at_a_terminal(world, script, directory)
    for words in ("the end is reached", "tcp://hello.home.internal", "hello from behind the stile"):
        if words not in text:
            raise Failed(f"no {words!r} in what the quick start said:\n{text}")


def it_has_blocks_to_run(_world):
    assert len(blocks()) >= 4, blocks()


if __name__ == "__main__":
    main(__file__, it_has_blocks_to_run, the_quick_start_works_as_it_stands, bare=True)
