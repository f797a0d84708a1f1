#!/usr/bin/python3
"""`stile run` passes through what its program is and does: exit status, signals, terminal, environment."""

import os
import pty
import select
import signal
import subprocess
import time

from lib.harness import main
from lib.world import DIR, PATIENCE_S, UID, ZONE, Failed, wait_until


def the_exit_status_is_the_programs(world):
    for status in (0, 1, 42, 255):
        result = world.run("sh", "-c", f"exit {status}")
        assert result.status == status, result


def a_program_that_died_of_a_signal_is_128_and_its_number(world):
    result = world.run("sh", "-c", "kill -TERM $$")
    assert result.status == 128 + signal.SIGTERM, result


def a_program_that_is_not_there_is_127_and_said(world):
    result = world.run("no-such-program-at-all")
    assert result.status == 127 and "no-such-program-at-all" in result.err, result


def a_program_that_cannot_be_executed_is_126_and_said(world):
    path = os.path.join(DIR, "not-executable")
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n")
    result = world.run(path)
    assert result.status == 126 and path in result.err, result


def signals_reach_the_program(world):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        script = f"trap 'echo got it; exit 9' {number}; echo ready; while :; do sleep 0.1; done"
        process = world.spawn([world.stile, "run", "--", "sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert (out, process.returncode) == (b"got it\n", 9), (number, out, process.returncode)


def standard_streams_are_the_programs(world):
    result = world.run("sh", "-c", "cat; echo error >&2", text="input\n")
    assert (result.out, result.err, result.status) == ("input\n", "error\n", 0), result


def closed_standard_streams_are_empty_ones(world):
    """What stile opens itself must not get their numbers, and so into the program."""
    command = f"{world.stile} run -- sh -c 'cat; readlink /proc/self/fd/0 >&2'"
    result = world.command(["sh", "-c", f"{command} <&-"])
    assert (result.status, result.err) == (0, "/dev/null\n"), result
    assert world.command(["sh", "-c", f"{command} <&- >&- 2>&-"]).status == 0


def the_program_keeps_uid_directory_and_environment(world):
    uid = UID if world.may_be_user else os.getuid()
    result = world.run("sh", "-c", "id -u; pwd; echo $MARK", env={"MARK": "kept"})
    assert result.out.split() == [str(uid), "/", "kept"], result


def the_program_has_no_capabilities_and_no_profile(world):
    result = world.run("sh", "-c", f"grep CapEff /proc/self/status; ls {world.home}/profiles; cat {world.home}/profiles/demo/key.pem")
    assert "CapEff:\t0000000000000000" in result.out, result
    assert "PRIVATE KEY" not in result.out and "demo" not in result.out, result


def stile_within_a_session_says_that_the_profiles_are_hidden(world):
    result = world.run(world.stile, "status")
    assert result.status == 1 and "hidden from programs inside `stile run`" in result.err, result


def the_program_sees_only_its_own_network(world):
    result = world.run("ip", "-o", "link")
    names = sorted(line.split(":")[1].strip() for line in result.out.splitlines())
    assert names == ["lo", "stile0"], result


def two_sessions_run_side_by_side(world):
    first, second = world.session(), world.session()
    for session in (first, second, first):
        assert session.connect("echo", 7001)["verdict"] == "ok"


class Terminal:
    """A command on a terminal of its own, as in a window."""

    def __init__(self, world, argv):
        self.fd, child = pty.openpty()
        self.process = world.spawn(["setsid", "--ctty", "--wait", *argv], stdin=child, stdout=child, stderr=child)
        os.close(child)
        self.text = ""

    def read_until(self, words, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while words not in self.text:
            if time.monotonic() > end or not self._read():
                raise Failed(f"waited for {words!r}, got {self.text!r}")
        return self.text

    def _read(self):
        if not select.select([self.fd], [], [], 0.5)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            self._read()
            if time.monotonic() > end:
                self.process.kill()
                raise Failed(f"it didn't end: {self.text!r}")
        os.close(self.fd)
        return self.process.returncode


def the_program_has_the_terminal(world):
    terminal = Terminal(world, [world.stile, "run", "--", "sh", "-c", "tty && stty size && echo name? && read n && echo hello $n"])
    terminal.read_until("name?")
    assert "/dev/pts/" in terminal.text or "/dev/" in terminal.text, terminal.text
    assert "not a tty" not in terminal.text
    terminal.type("you\r")
    terminal.read_until("hello you")
    assert terminal.end() == 0


def ctrl_c_reaches_the_program_once_and_it_may_go_on(world):
    script = "n=0; trap 'echo caught; n=580' INT; echo ready; while [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done; exit 7"
    terminal = Terminal(world, [world.stile, "run", "--", "sh", "-c", script])
    terminal.read_until("ready")
    terminal.type("\x03")
    terminal.read_until("caught")
    status = terminal.end()
    assert status == 7 and terminal.text.count("caught") == 1, (status, terminal.text)


def ctrl_z_stops_and_fg_goes_on(world):
    """Under an interactive shell with job control."""
    terminal = Terminal(world, ["bash", "--norc", "--noprofile", "-i"])
    terminal.type(f"{world.stile} run -- sh -c 'echo star\"\"ted; cat'\r")
    terminal.read_until("started")
    terminal.type("\x1a")
    terminal.read_until("Stopped")
    shell = os.tcgetpgrp(terminal.fd)
    terminal.type("fg\r")
    wait_until(lambda: os.tcgetpgrp(terminal.fd) != shell, "it is in the foreground")
    terminal.type("still here\r")
    terminal.read_until("still here\r\nstill here")
    terminal.type("\x04")
    terminal.type("exit 5\r")
    assert terminal.end() == 5, terminal.text


def psql_like_programs_work_under_script(world):
    command = f"{world.stile} run -- nc -z echo.{ZONE} 7001"
    result = world.command(["script", "-qec", command, "/dev/null"])
    assert result.status == 0, result


def it_ends_when_its_terminal_goes_away(world):
    terminal = Terminal(world, [world.stile, "run", "--", "sh", "-c", "echo ready; sleep 60"])
    terminal.read_until("ready")
    os.close(terminal.fd)
    wait_until(lambda: terminal.process.poll() is not None, "the end after a hang-up")


if __name__ == "__main__":
    main(__file__, the_exit_status_is_the_programs, a_program_that_died_of_a_signal_is_128_and_its_number,
         a_program_that_is_not_there_is_127_and_said, a_program_that_cannot_be_executed_is_126_and_said,
         signals_reach_the_program, standard_streams_are_the_programs, closed_standard_streams_are_empty_ones,
         the_program_keeps_uid_directory_and_environment,
         the_program_has_no_capabilities_and_no_profile, stile_within_a_session_says_that_the_profiles_are_hidden,
         the_program_sees_only_its_own_network, two_sessions_run_side_by_side, the_program_has_the_terminal,
         ctrl_c_reaches_the_program_once_and_it_may_go_on, ctrl_z_stops_and_fg_goes_on,
         psql_like_programs_work_under_script, it_ends_when_its_terminal_goes_away)
