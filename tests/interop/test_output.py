#!/usr/bin/python3
"""What people and programs are shown: status, connections, apps, proxy; tables and JSON."""

import os
import re
import socket
import subprocess

from lib.harness import main
from lib.world import GATEWAY, PATIENCE_S, ZONE, wait_until


def apps_lists_what_the_user_may_use(world):
    listed = {app["name"]: app for app in world.stile_command("apps", "--json").json()["apps"]}
    assert "bobs" not in listed and "dash" in listed, listed.keys()
    assert f"echo.{ZONE}" in str(listed["echo"]), listed["echo"]
    table = world.stile_command("apps")
    assert table.status == 0 and f"tcp://echo.{ZONE}" in table.out and "8000-8005" in table.out, table


def status_tells_login_and_sessions(world):
    quiet = world.stile_command("status")
    assert quiet.status == 0 and "alice" in quiet.out and GATEWAY in quiet.out, quiet
    session = world.session()
    shown = world.stile_command("status")
    assert "inside.py" in shown.out and "stile0" in shown.out, shown
    told = world.stile_command("status", "--json").json()
    assert str(session.process.pid) in str(told) and "alice" in str(told), told


def connections_tell_name_port_program_verdict_and_bytes(world):
    session = world.session()
    session.call("exchange", host=f"digest.{ZONE}", port=7002, size=5000)
    record = wait_until(lambda: [c for c in [world.connection("digest", 7002)] if c["ended_us"] > 0], "the end")[0]
    assert record["app"] == "digest" and record["verdict"] == "closed", record
    assert record["bytes_up"] == 5000 and 60 < record["bytes_down"] < 80, record
    assert "python" in record["program"], record
    table = world.stile_command("connections")
    assert table.status == 0 and f"digest.{ZONE}" in table.out and "7002" in table.out, table


def open_connections_are_shown_while_they_are(world):
    session = world.session()
    session.call("keep", key="k", host=f"echo.{ZONE}", port=7001)
    assert world.connection("echo", 7001, "established")["ended_us"] == 0
    session.call("drop", key="k")
    wait_until(lambda: world.connection("echo", 7001)["ended_us"] > 0, "the end", step=0.2)


def connections_are_remembered_after_the_session(world):
    session = world.session()
    session.call("exchange", host=f"any.{ZONE}", port=8009)
    session.end()
    assert world.connection("any", 8009)["ended_us"] > 0


def a_proxy_reaches_its_app_without_a_device(world):
    process = world.spawn([world.stile, "proxy", "digest"], stdout=subprocess.PIPE)
    line = process.stdout.readline().decode()
    port = int(re.search(r"127\.0\.0\.1:(\d+)", line).group(1))
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock:
        sock.sendall(b"through the proxy")
        sock.shutdown(socket.SHUT_WR)
        got = sock.makefile("rb").read()
    assert got.startswith(b"17 "), got
    process.terminate()
    assert process.wait(PATIENCE_S) in (0, -15, 143), process.returncode


def a_proxy_takes_the_port_it_is_told(world):
    process = world.spawn([world.stile, "proxy", "echo", "--port", "17001"], stdout=subprocess.PIPE)
    assert "127.0.0.1:17001" in process.stdout.readline().decode()
    with socket.create_connection(("127.0.0.1", 17001), PATIENCE_S) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    process.kill()
    process.wait()


def a_log_in_json_is_one_object_per_line(world):
    result = world.run("nc", "-z", f"echo.{ZONE}", "7001", options=["-v", "--log-format", "json"])
    lines = [line for line in result.err.splitlines() if line]
    assert lines and all(line.startswith("{") and line.endswith("}") for line in lines), result


def version_and_help_need_nothing(world):
    assert re.match(r"stile \d+\.\d+\.\d+", world.stile_command("version").out)
    assert "version" in world.stile_command("version", "--json").json()
    overview = world.stile_command("help")
    for command in ("run", "login", "logout", "apps", "status", "connections", "proxy", "gateway init", "gateway run"):
        assert f"  stile {command}  " in overview.out, (command, overview)
        assert world.stile_command(*f"help {command}".split()).status == 0


def logout_forgets_the_key(world):
    result = world.stile_command("logout")
    assert result.status == 0, result
    assert not os.path.exists(os.path.join(world.home, "profiles", "demo", "key.pem"))
    assert world.run("true").status == 125
    world.log_in()


if __name__ == "__main__":
    main(__file__, apps_lists_what_the_user_may_use, status_tells_login_and_sessions,
         connections_tell_name_port_program_verdict_and_bytes, open_connections_are_shown_while_they_are,
         connections_are_remembered_after_the_session, a_proxy_reaches_its_app_without_a_device,
         a_proxy_takes_the_port_it_is_told, a_log_in_json_is_one_object_per_line, version_and_help_need_nothing,
         logout_forgets_the_key)
