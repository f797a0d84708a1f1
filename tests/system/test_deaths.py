#!/usr/bin/python3
"""Processes killed with SIGKILL: the host is put back, or what is left of the session goes on, and it is said."""

import contextlib
import os
import signal

from lib.harness import main
from common.process import PATIENCE_S, Stopwatch, alive, wait_until

ECHO = "echo.a.stile.test"


def up(lan, dns="resolved", *options, **how):
    host = lan.host(dns=dns, **how)
    host.log_in("alice", "a")
    before = host.settle()
    host.start_broker(*options)
    return host, host.up("alice"), before


def echoes(host):
    return host.program().call("connect", host=ECHO, port=7001, timeout=3)["verdict"]


def reaches_again(host, seconds=PATIENCE_S):
    wait_until(lambda: echoes(host) == "ok", "the app is reached again", seconds, 0.3)


def the_agent_is_killed(lan):
    for dns in ("resolved", "file", "networkmanager", "resolvconf", "openresolv"):
        host, session, before = up(lan, dns)
        engine = host.broker.engines()[0]
        session.kill(signal.SIGKILL)
        host.assert_restored(before)
        wait_until(lambda: not alive(engine), "the end of the engine")
        host.up("alice")
        assert echoes(host) == "ok"
        host.stop()


def the_engine_is_killed(lan):
    for dns in ("resolved", "file"):
        host, session, before = up(lan, dns)
        assert echoes(host) == "ok"
        old = host.broker.engines()[0]
        os.kill(old, signal.SIGKILL)
        reaches_again(host)
        assert host.broker.engines() and old not in host.broker.engines()
        assert session.process.poll() is None
        assert session.stop() == 0
        host.assert_restored(before)
        host.stop()


def the_broker_is_killed_and_its_supervisor_starts_it_again(lan):
    for dns in ("resolved", "file", "networkmanager"):
        host, session, before = up(lan, dns)
        assert echoes(host) == "ok"
        old, engine = host.broker.proper(), host.broker.engines()[0]
        assert old != host.broker.process.pid
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: not alive(engine), "the end of the engine")
        reaches_again(host)
        assert host.broker.proper() != old
        assert session.stop() == 0
        host.assert_restored(before)
        host.stop()


def the_supervisor_is_killed(lan):
    """Nothing of stile's outlives it but the agent, and the next broker puts back what is left."""
    for dns in ("resolved", "file"):
        host, session, before = up(lan, dns)
        engine, proper = host.broker.engines()[0], host.broker.proper()
        host.broker.kill()
        wait_until(lambda: not alive(proper) and not alive(engine), "the end of broker and engine")
        host.start_broker()
        reaches_again(host)
        assert session.stop() == 0
        host.assert_restored(before)
        host.stop()


def all_of_it_is_killed_at_once(lan):
    for dns in ("resolved", "file", "networkmanager", "resolvconf", "openresolv"):
        host, session, before = up(lan, dns)
        pids = [host.broker.process.pid, host.broker.proper(), session.process.pid, *host.broker.engines()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # one dies of another's death, and is reaped
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(alive(pid) for pid in pids), "the ends")
        host.start_broker()
        host.assert_restored(before)
        assert host.broker.stop() == 0
        host.assert_restored(before, 0)
        host.stop()


def cleanup_puts_back_what_a_killed_broker_left(lan):
    host, session, before = up(lan, "file", "--no-supervisor")
    for pid in (host.broker.process.pid, session.process.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not host.broker.engines(), "the end of the engine")
    assert before.difference(host.snapshot()), "nothing was left: the test proves nothing"
    done = host.stile("cleanup", user="root")
    assert done.status == 0 and "Removed the DNS settings of stile0" in done.out, done
    host.assert_restored(before, 0)
    again = host.stile("cleanup", user="root")
    assert again.status == 0, again
    host.assert_restored(before, 0)


def down_ends_it_whatever_is_dead(lan):
    host, session, before = up(lan)
    host.broker.kill()
    watch = Stopwatch()
    assert host.down().status == 0
    assert watch.seconds() < 10
    session.process.wait(PATIENCE_S)
    host.start_broker()
    host.assert_restored(before)


def the_broker_stops_in_order_under_a_session(lan):
    host, session, before = up(lan)
    assert host.broker.stop() == 0
    host.assert_restored(before, 0)
    assert session.process.poll() is None
    host.start_broker()
    reaches_again(host)


if __name__ == "__main__":
    main(__file__, the_agent_is_killed, the_engine_is_killed, the_broker_is_killed_and_its_supervisor_starts_it_again,
         the_supervisor_is_killed, all_of_it_is_killed_at_once, cleanup_puts_back_what_a_killed_broker_left,
         down_ends_it_whatever_is_dead, the_broker_stops_in_order_under_a_session, clusters=("a",))
