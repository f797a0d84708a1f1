#!/usr/bin/python3
"""The gateway as its administrator sees it: users who go, logs, reloads, signals, locks, and clients that misbehave."""

import json
import os
import signal
import socket
import sqlite3
import subprocess

from lib.harness import main
from lib.world import APPS, DIR, GATEWAY, PASSWORD, PATIENCE_S, Failed, Stopwatch, wait_until

OTHER_PORT = 7450


def gateway(world, *words, **how):
    return world.stile_command("gateway", *words, as_root=True, **how)


def assert_says(result, *words):
    assert result.status == 1, result
    for word in words:
        if word not in result.err:
            raise Failed(f"no {word!r} in the message: {result!r}")


def add_user(world, name):
    world.admin("gateway", "user", "add", name, "--group", "staff", "--config", world.gateway.config_path,
                "--password-file", "-", text=PASSWORD + "\n")


def home_of(name):
    """Where this user's profiles are: not among those that the other tests use."""
    return {"STILE_HOME": os.path.join(DIR, "home-of-" + name)}


def log_in(world, name, password=PASSWORD):
    return world.stile_command("login", "--gateway", GATEWAY, "--user", name, "--ca", world.gateway.ca, "--password-file", "-",
                               text=password + "\n", as_root=True, env=home_of(name))


def other_config(world, name, **changes):
    """A copy of the configuration beside it, with another port and these changes of text."""
    text = open(world.gateway.config_path, encoding="ascii").read()
    text = text.replace(f'listen: "{GATEWAY}"', f'listen: "127.0.0.1:{OTHER_PORT}"')
    for old, new in changes.get("replace", []):
        assert old in text
        text = text.replace(old, new)
    path = os.path.join(DIR, "gateway", name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


# ---- users who go ----

def assert_denied_after(world, name, change):
    """A session of this user reaches an app, and no longer after the change."""
    add_user(world, name)
    assert log_in(world, name).status == 0
    session = world.session(as_root=True, env=home_of(name))
    assert session.connect("digest", 7002)["verdict"] == "ok"
    change()
    assert session.connect("digest", 7002)["verdict"] == "ECONNREFUSED"

    def reasons():
        listed = world.stile_command("connections", "--json", as_root=True, env=home_of(name)).json()["connections"]
        return [c["reason"] for c in listed if c["verdict"] != "ok"]
    wait_until(lambda: any("log in again" in reason for reason in reasons()), f"the reason to log in again: {reasons()}")
    return session


def a_removed_user_is_refused_at_the_next_connection(world):
    assert_denied_after(world, "carol", lambda: world.admin("gateway", "user", "remove", "carol", "--config",
                                                            world.gateway.config_path))
    assert log_in(world, "carol").status != 0


def a_new_password_ends_the_log_ins_and_is_the_one_that_counts(world):
    def change():
        world.admin("gateway", "user", "passwd", "dave", "--config", world.gateway.config_path, "--password-file", "-",
                    text="another long one\n")
    session = assert_denied_after(world, "dave", change)
    assert log_in(world, "dave").status != 0
    assert log_in(world, "dave", "another long one").status == 0
    wait_until(lambda: session.connect("digest", 7002)["verdict"] == "ok", "a connection with the new log-in")


def too_many_wrong_passwords_have_to_wait_and_others_need_not(world):
    add_user(world, "erin")
    for _ in range(10):
        result = log_in(world, "erin", "not the password")
        assert "Wrong user or password" in result.err, result
    result = log_in(world, "erin")
    assert result.status != 0 and "Too many failed log-ins; try again in 15 minutes" in result.err, result
    add_user(world, "frank")
    assert log_in(world, "frank").status == 0


def users_are_listed_for_people_and_for_programs(world):
    config = world.gateway.config_path
    listed = gateway(world, "user", "list", "--json", "--config", config).json()["users"]
    assert {"alice", "bob"} <= {user["name"] for user in listed}, listed
    assert next(user for user in listed if user["name"] == "alice")["groups"] == ["staff"]
    table = gateway(world, "user", "list", "--config", config).out
    assert table.startswith("USER") and "\nalice" in table, table


# ---- logs and reloads ----

def every_connection_is_one_line_of_json(world):
    world.gateway.stop()
    start = os.path.getsize(world.gateway.log_path)
    world.gateway.start("--log-format", "json")
    try:
        session = world.session()
        session.call("exchange", host="digest.demo.stile.test", port=7002, text="hello")
        session.end()

        def entries():
            with open(world.gateway.log_path, encoding="utf-8") as file:
                file.seek(start)
                lines = [json.loads(line) for line in file if line.startswith("{")]
            return [line for line in lines if line["message"] == "connection" and line.get("verdict") == "ok"]
        entry = wait_until(entries, "the connection's line")[0]
        assert (entry["user"], entry["app"], entry["port"]) == ("alice", "digest", 7002), entry
        assert entry["bytes_up"] == 5 and entry["bytes_down"] > 0, entry
        assert entry["level"] == "info" and entry["component"] == "gateway", entry
    finally:
        world.gateway.stop()
        world.gateway.start()


def a_reload_with_a_mistake_keeps_the_old_configuration_and_says_where_it_is(world):
    good = open(world.gateway.config_path, encoding="ascii").read()
    try:
        with open(world.gateway.config_path, "w", encoding="ascii") as file:
            file.write(good + "  - {name: Bad}\n")
        line = good.count("\n") + 1
        world.gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: f"gateway.yaml:{line}:" in world.gateway.messages(), "the mistake's line in the log")
        wait_until(lambda: "the old configuration stays in use" in world.gateway.messages(), "what the gateway does")
        assert world.session().connect("digest", 7002)["verdict"] == "ok"
    finally:
        world.gateway.configure(APPS)


# ---- what can't be used ----

def an_address_that_is_not_ours_is_said(world):
    config = other_config(world, "foreign.yaml", replace=[(f"127.0.0.1:{OTHER_PORT}", "192.0.2.9:7450")])
    assert_says(gateway(world, "run", "--config", config), "foreign.yaml", "192.0.2.9")


def a_key_that_others_may_read_is_refused_with_the_remedy(world):
    key = os.path.join(DIR, "gateway", "ca", "ca.key")
    os.chmod(key, 0o644)
    try:
        config = other_config(world, "key.yaml")
        assert_says(gateway(world, "run", "--config", config), key, "chmod 600")
        assert_says(gateway(world, "check", "--config", config), key, "chmod 600")
    finally:
        os.chmod(key, 0o600)


def a_configuration_that_may_not_be_read_is_said(world):
    if not world.may_be_user:
        return  # one user alone: nothing is forbidden
    config = other_config(world, "private.yaml")
    os.chmod(config, 0o600)
    assert_says(world.stile_command("gateway", "check", "--config", config), "private.yaml", "may not be read")


def a_locked_state_is_said(world):
    lock = sqlite3.connect(os.path.join(DIR, "gateway", "state.db"), isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        result = gateway(world, "user", "add", "late", "--config", world.gateway.config_path, "--password-file", "-",
                         text=PASSWORD + "\n")
        assert_says(result, "state.db", "locked", "try again")
    finally:
        lock.execute("ROLLBACK")
        lock.close()


def descriptors_that_are_no_listeners_are_refused(world):
    config = other_config(world, "fds.yaml")
    script = f'LISTEN_PID=$$ LISTEN_FDS=1 exec "{world.stile}" gateway run --config "{config}" 3</dev/null'
    assert_says(world.command(["sh", "-c", script], as_root=True), "3", "no listening stream socket", "ListenStream=")


# ---- clients that misbehave, and the end ----

def closed_within(sock, seconds):
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def silent_and_senseless_clients_keep_nobody_out_and_are_dropped(world):
    address = GATEWAY.split(":")
    clients = [socket.create_connection((address[0], int(address[1]))) for _ in range(300)]
    try:
        for number, client in enumerate(clients):
            if number % 3 == 1:
                client.sendall(os.urandom(600))
            elif number % 3 == 2:
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # the beginning of a ClientHello
        watch = Stopwatch()
        result = world.log_in()
        assert watch.seconds() < 5, result
        assert all(closed_within(client, PATIENCE_S) for client in clients)
    finally:
        for client in clients:
            client.close()


def a_client_below_tls_1_3_is_refused(world):
    done = subprocess.run(["openssl", "s_client", "-connect", GATEWAY, "-tls1_2", "-brief"], input=b"", capture_output=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode != 0 and b"protocol version" in done.stderr, done


def a_gateway_killed_in_the_middle_of_its_work_goes_on_at_its_next_start(world):
    session = world.session()
    session.call("keep", key="k", host="echo.demo.stile.test", port=7001)
    world.gateway.process.kill()
    world.gateway.process.wait()
    world.gateway.process = None
    world.gateway.start()
    assert session.connect("digest", 7002)["verdict"] == "ok"
    assert world.log_in().status == 0


def sigterm_ends_a_gateway_in_time_even_with_open_connections(world):
    session = world.session()
    session.call("keep", key="k", host="echo.demo.stile.test", port=7001)
    watch = Stopwatch()
    world.gateway.process.send_signal(signal.SIGTERM)
    status = world.gateway.process.wait(PATIENCE_S)
    seconds = watch.seconds()
    world.gateway.process = None
    world.gateway.start()
    assert status == 0 and seconds < 8, (status, seconds)


if __name__ == "__main__":
    main(__file__, a_removed_user_is_refused_at_the_next_connection, a_new_password_ends_the_log_ins_and_is_the_one_that_counts,
         too_many_wrong_passwords_have_to_wait_and_others_need_not, users_are_listed_for_people_and_for_programs,
         every_connection_is_one_line_of_json, a_reload_with_a_mistake_keeps_the_old_configuration_and_says_where_it_is,
         an_address_that_is_not_ours_is_said, a_key_that_others_may_read_is_refused_with_the_remedy,
         a_configuration_that_may_not_be_read_is_said, a_locked_state_is_said, descriptors_that_are_no_listeners_are_refused,
         silent_and_senseless_clients_keep_nobody_out_and_are_dropped, a_client_below_tls_1_3_is_refused,
         a_gateway_killed_in_the_middle_of_its_work_goes_on_at_its_next_start,
         sigterm_ends_a_gateway_in_time_even_with_open_connections)
