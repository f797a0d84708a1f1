#!/usr/bin/python3
"""Bytes: half-close in both directions through every layer, both families, a thousand connections at once."""

import hashlib
import time

from lib.harness import main
from lib.world import PATIENCE_S, ZONE, Failed, resident_kib, wait_until


def assert_digest(session, family, size):
    got = session.call("exchange", host=f"digest.{ZONE}", port=7002, size=size, family=family)
    assert got["text"] == f"{size} {got['sent']}\n", got


def the_client_half_closes_and_still_gets_its_answer(world):
    session = world.session()
    for size in (0, 1, 70_000, 20_000_000):
        assert_digest(session, 4, size)


def nc_half_closes(world):
    result = world.run("sh", "-c", f"printf 'over the stile' | nc -N digest.{ZONE} 7002")
    assert result.out == f"14 {hashlib.sha256(b'over the stile').hexdigest()}\n", result


def the_server_half_closes_and_still_gets_the_rest(world):
    session = world.session()
    text = "the last word " * 5000
    assert session.call("receive_then_send", host=f"first.{ZONE}", port=7003, text=text)["bytes"] == 100_000
    wanted = f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()}\n"
    wait_until(lambda: session.call("exchange", host=f"last.{ZONE}", port=7004)["text"] == wanted, "the last word", step=0.2)


def much_comes_down_intact(world):
    session = world.session()
    size = 30_000_000
    got = session.call("exchange", host=f"bulk.{ZONE}", port=7007, text=f"{size}\n")
    wanted = hashlib.sha256((bytes(range(251)) * (size // 251 + 1))[:size]).hexdigest()
    assert (got["bytes"], got["digest"]) == (size, wanted), got


def ipv4_only_has_no_ipv6(world):
    session = world.session("--ipv4-only")
    assert session.call("resolve", name=f"echo.{ZONE}", family=6) == []
    assert_digest(session, None, 100_000)
    assert_digest(session, 4, 100_000)


def ipv6_only_has_no_ipv4(world):
    session = world.session("--ipv6-only")
    assert session.call("resolve", name=f"echo.{ZONE}", family=4) == []
    assert_digest(session, None, 100_000)
    assert_digest(session, 6, 100_000)


def both_families_work_side_by_side(world):
    session = world.session()
    assert_digest(session, 4, 1_000_000)
    assert_digest(session, 6, 1_000_000)
    assert "." in session.connect("echo", 7001, family=4)["address"]
    assert ":" in session.connect("echo", 7001, family=6)["address"]


def an_app_server_may_have_ipv6_only(world):
    session = world.session()
    got = session.call("exchange", host=f"six.{ZONE}", port=7001, text="hello")
    assert got["text"] == "hello", got


def a_client_that_resets_ends_its_connection(world):
    session = world.session()
    session.call("keep", key="c", host=f"slow.{ZONE}", port=7005)
    assert world.connection("slow", 7005)["ended_us"] == 0
    session.call("drop", key="c", reset=True)
    wait_until(lambda: world.connection("slow", 7005)["ended_us"] > 0, "the end in the record", step=0.2)
    assert world.connection("slow", 7005)["verdict"] == "reset"


def a_thousand_connections_at_once_are_intact_and_leave_no_memory_behind(world):
    session = world.session()
    engine = session.child("engine")
    settle(session)
    before = resident_kib(engine)
    got = session.call("many", host=f"echo.{ZONE}", port=7001, count=1000, size=64 * 1024)
    most = resident_kib(engine)
    assert got == {"states": {"intact": 1000}, "together": 1000}, (got, session.messages()[-2000:])
    end = time.monotonic() + PATIENCE_S
    while (after := resident_kib(engine)) > before * 1.05:
        if time.monotonic() > end:
            raise Failed(f"the engine had {before} KiB, {most} KiB at most, and keeps {after} KiB")
        time.sleep(0.5)


def settle(session):
    """What is loaded, made and cached at the first connections, and given back a while after them, is no leak."""
    for _ in range(2):
        session.call("many", host=f"echo.{ZONE}", port=7001, count=100, size=64 * 1024)
    time.sleep(9)


if __name__ == "__main__":
    main(__file__, the_client_half_closes_and_still_gets_its_answer, nc_half_closes, the_server_half_closes_and_still_gets_the_rest,
         much_comes_down_intact, ipv4_only_has_no_ipv6, ipv6_only_has_no_ipv4, both_families_work_side_by_side,
         an_app_server_may_have_ipv6_only, a_client_that_resets_ends_its_connection,
         a_thousand_connections_at_once_are_intact_and_leave_no_memory_behind)
