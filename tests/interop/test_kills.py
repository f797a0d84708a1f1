#!/usr/bin/python3
"""Any process killed with SIGKILL: the others notice within two seconds, say so and clean up; the next start works."""

import os
import signal
import time

from lib.harness import main
from lib.world import DIR, PATIENCE_S, Failed, Stopwatch, alive, command_line, processes, wait_until

NOTICE_S = 2.0


def ours(world):
    """Processes of sessions: everything but the world itself."""
    known = {1, os.getpid(), world.gateway.process.pid, world.servers.pid, world.holder.pid, world.dnsmasq.pid}
    return [pid for pid in processes() if pid not in known]


def kill_and_watch(world, pid, seconds=NOTICE_S):
    """Kills a process; the session's other processes must be gone in time."""
    os.kill(pid, signal.SIGKILL)
    gone_in_time(world, seconds)


def gone_in_time(world, seconds):
    watch = Stopwatch()
    while left := ours(world):
        if watch.seconds() > seconds:
            raise Failed(f"after {seconds} s there are still {[(p, command_line(p)) for p in left]}")
        time.sleep(0.02)


def assert_next_start_works(world):
    assert world.session().connect("echo", 7001)["verdict"] == "ok"
    left = [name for name in os.listdir(os.path.join(world.home, "agents")) if f"{name}".endswith(".sock")]
    assert len(left) == 1, left


def busy_session(world):
    session = world.session()
    session.call("keep", key="busy", host="echo.demo.stile.test", port=7001)
    session.call("send", key="busy", text="hello")
    assert session.call("receive", key="busy") == "hello"
    return session


def the_agent_is_killed(world):
    session = busy_session(world)
    kill_and_watch(world, session.process.pid)
    assert_next_start_works(world)


def the_engine_is_killed(world):
    session = busy_session(world)
    kill_and_watch(world, session.child("engine"))
    session.process.wait(PATIENCE_S)
    assert session.process.returncode == 125, session.process.returncode
    assert "ngine" in session.messages(), session.messages()
    assert_next_start_works(world)


def the_launcher_is_killed(world):
    session = busy_session(world)
    kill_and_watch(world, session.child("launcher"))
    session.process.wait(PATIENCE_S)
    assert session.process.returncode != 0
    assert session.messages().strip(), "nothing was said"
    assert_next_start_works(world)


def the_program_is_killed(world):
    session = busy_session(world)
    program = next(p for p in ours(world) if "inside.py" in " ".join(command_line(p)) and "run" not in command_line(p)
                   and "launcher" not in command_line(p))
    kill_and_watch(world, program)
    assert session.process.wait(PATIENCE_S) == 128 + signal.SIGKILL
    assert_next_start_works(world)


def the_gateway_is_killed(world):
    session = busy_session(world)
    world.gateway.stop(signal.SIGKILL)
    watch = Stopwatch()
    got = session.call("receive", key="busy", timeout=PATIENCE_S)
    assert watch.seconds() < NOTICE_S and got == {"error": "ECONNRESET"}, got
    refused = session.connect("echo", 7001)
    assert refused["verdict"] == "ECONNREFUSED", refused
    world.gateway.start()
    assert session.connect("echo", 7001)["verdict"] == "ok", session.messages()


def the_gateway_stands_still_and_its_connection_ends_with_it(world):
    """A gateway that is stopped, not killed: a new connection is refused in the end, not accepted."""
    session = world.session()
    world.gateway.process.send_signal(signal.SIGSTOP)
    try:
        result = session.connect("echo", 7001, timeout=25)
    finally:
        world.gateway.process.send_signal(signal.SIGCONT)
    assert result["verdict"] in ("ECONNREFUSED", "timeout", "unknown name"), result
    wait_until(lambda: session.connect("echo", 7001)["verdict"] == "ok", "a connection when it goes on", step=0.5)


def nothing_is_left_of_sessions(world):
    session = busy_session(world)
    assert session.end() == 0
    gone_in_time(world, NOTICE_S)
    assert os.listdir(os.path.join(world.home, "agents")) == []
    assert alive(world.gateway.process.pid)
    mounts = open("/proc/self/mounts", encoding="utf-8").read()
    assert "stile0" not in mounts and sum(DIR in line for line in mounts.splitlines()) <= 2, mounts


if __name__ == "__main__":
    main(__file__, the_agent_is_killed, the_engine_is_killed, the_launcher_is_killed, the_program_is_killed,
         the_gateway_is_killed, the_gateway_stands_still_and_its_connection_ends_with_it, nothing_is_left_of_sessions)
