#!/usr/bin/python3
"""Connections that can't be: refused at once, never accepted and dropped, each with its own reason."""

import os
import shutil
import subprocess

from lib.harness import main
from lib.world import APPS, DIR, Stopwatch, wait_until

AT_ONCE_S = 2.5


def assert_refused(session, app, port, within=AT_ONCE_S, **arguments):
    watch = Stopwatch()
    result = session.connect(app, port, **arguments)
    took = min(result["seconds"], watch.seconds())
    assert result["verdict"] == "ECONNREFUSED", (result, session.messages())
    assert took < within, (took, result)


def assert_reason(world, app, port, verdict, *words):
    record = world.connection(app, port, verdict)
    for word in words:
        assert word in record["reason"], record
    return record


def a_port_that_is_not_listed_is_refused_naming_the_ports_that_would_do(world):
    session = world.session()
    assert_refused(session, "ranges", 8006)
    assert_reason(world, "ranges", 8006, "port_not_listed", "8006", "7002", "8000-8005")
    wait_until(lambda: "8000-8005" in session.messages(), "a message of the agent")


def a_listed_port_and_any_port_connect(world):
    session = world.session()
    for app, port in (("ranges", 8000), ("ranges", 8005), ("any", 8010), ("any", 7001)):
        result = session.connect(app, port)
        assert result["verdict"] == "ok", (app, port, result)
    assert session.call("exchange", host="any.demo.stile.test", port=8007)["text"] == "8007\n"


def an_app_server_that_is_down_is_refused(world):
    session = world.session()
    assert_refused(session, "down", 7999)
    assert_reason(world, "down", 7999, "app_refused")


def an_app_server_without_a_route_is_refused(world):
    session = world.session()
    assert_refused(session, "far", 80)
    assert_reason(world, "far", 80, "app_unreachable")


def what_the_gateway_denies_is_refused(world):
    """The user loses the app while a session has its certificate."""
    session = world.session()
    assert session.connect("digest", 7002)["verdict"] == "ok"
    world.gateway.configure([(*app[:3], "{users: [bob]}") if app[0] == "digest" else app for app in APPS])
    try:
        assert_refused(session, "digest", 7002)
        assert_reason(world, "digest", 7002, "denied")
    finally:
        world.gateway.configure(APPS)
    assert session.connect("digest", 7002)["verdict"] == "ok"


def an_unreachable_gateway_is_refused_and_the_next_connection_works_when_it_is_back(world):
    session = world.session()
    assert session.connect("echo", 7001)["verdict"] == "ok"
    world.gateway.stop()
    try:
        assert_refused(session, "echo", 7001)
        assert_reason(world, "echo", 7001, "gateway_unreachable")
    finally:
        world.gateway.start()
    assert session.connect("echo", 7001)["verdict"] == "ok", session.messages()


def a_reset_by_the_server_arrives_as_a_reset(world):
    session = world.session()
    session.call("keep", key="r", host="reset.demo.stile.test", port=7006)
    session.call("send", key="r", text="x")
    assert session.call("receive", key="r") == {"error": "ECONNRESET"}


def expire(world):
    """Puts a certificate in the profile's place that is over, made by the cluster's own CA."""
    profile = os.path.join(world.home, "profiles", "demo")
    ca = os.path.join(DIR, "gateway", "ca")
    shutil.copytree(profile, os.path.join(DIR, "profile.before"), dirs_exist_ok=True)
    request = subprocess.run(
        ["openssl", "x509", "-x509toreq", "-in", os.path.join(profile, "cert.pem"), "-signkey",
         os.path.join(profile, "key.pem"), "-copy_extensions", "copyall"], check=True, capture_output=True).stdout
    subprocess.run(
        ["openssl", "x509", "-req", "-CA", os.path.join(ca, "ca.pem"), "-CAkey", os.path.join(ca, "ca.key"), "-days", "-1",
         "-copy_extensions", "copyall", "-set_serial", "77", "-out", os.path.join(profile, "cert.pem.new")],
        input=request, check=True, capture_output=True)
    os.chmod(os.path.join(profile, "cert.pem.new"), 0o600)
    shutil.chown(os.path.join(profile, "cert.pem.new"), os.stat(profile).st_uid, os.stat(profile).st_gid)
    os.rename(os.path.join(profile, "cert.pem.new"), os.path.join(profile, "cert.pem"))


def an_expired_certificate_asks_to_log_in_again_and_the_next_connection_works(world):
    """Within one session, which is not started again."""
    session = world.session()
    assert session.connect("echo", 7001)["verdict"] == "ok"
    expire(world)
    assert_refused(session, "echo", 7001)
    assert_reason(world, "echo", 7001, "login_required", "stile login")
    wait_until(lambda: "stile login" in session.messages(), "a message that says to log in")
    world.log_in()
    result = session.connect("echo", 7001)
    assert result["verdict"] == "ok", (result, session.messages())


def a_session_that_starts_expired_works_after_a_login(world):
    expire(world)
    session = world.session()
    first = session.connect("echo", 7001)
    assert first["verdict"] in ("ECONNREFUSED", "unknown name"), first
    wait_until(lambda: "stile login" in session.messages(), "a message that says to log in")
    world.log_in()
    wait_until(lambda: session.connect("echo", 7001)["verdict"] == "ok", "a connection after the login", step=0.5)


def each_connection_leaves_one_debug_line(world):
    result = world.run("nc", "-z", "echo.demo.stile.test", "7001", options=["-v"])
    lines = [line for line in result.err.splitlines() if "echo.demo.stile.test" in line and "7001" in line]
    assert result.status == 0 and len(lines) >= 1, result


if __name__ == "__main__":
    main(__file__, a_port_that_is_not_listed_is_refused_naming_the_ports_that_would_do, a_listed_port_and_any_port_connect,
         an_app_server_that_is_down_is_refused, an_app_server_without_a_route_is_refused, what_the_gateway_denies_is_refused,
         an_unreachable_gateway_is_refused_and_the_next_connection_works_when_it_is_back,
         a_reset_by_the_server_arrives_as_a_reset,
         an_expired_certificate_asks_to_log_in_again_and_the_next_connection_works,
         a_session_that_starts_expired_works_after_a_login, each_connection_leaves_one_debug_line)
