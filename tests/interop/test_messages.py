#!/usr/bin/python3
"""What can go wrong before anything works: each has a clear message that names the remedy, and a non-zero exit status."""

import os
import socket
import subprocess

from lib.harness import main
from lib.world import DIR, GATEWAY, PASSWORD, UID, Failed, Skip


def assert_says(result, *words, status=1):
    assert result.status == status, result
    for word in words:
        if word not in result.err:
            raise Failed(f"no {word!r} in the message: {result!r}")
    assert len(result.err.splitlines()) <= 6, result


def log_in(world, gateway=GATEWAY, user="alice", password=PASSWORD, ca=None, options=(), **how):
    words = ["--ca", ca or world.gateway.ca] if not options else list(options)
    return world.stile_command("login", "--gateway", gateway, "--user", user, *words, "--password-file", "-",
                               text=password + "\n", **how)


def new_home(world, name):
    path = os.path.join(DIR, name)
    os.mkdir(path, 0o700)
    if world.may_be_user:
        os.chown(path, UID, UID)
    return {"STILE_HOME": path}


# ---- no profile, wrong words ----

def without_a_profile_every_command_says_to_log_in(world):
    env = new_home(world, "empty-home")
    assert_says(world.run("true", env=env), "stile login", status=125)
    assert_says(world.stile_command("apps", env=env), "stile login")
    assert_says(world.stile_command("proxy", "echo", env=env), "stile login")


def an_unknown_command_names_the_near_one(world):
    assert_says(world.stile_command("conections"), 'is it "connections"', status=2)
    assert_says(world.stile_command("gateway", "usr", "add"), 'is it "gateway user add"', status=2)
    assert_says(world.stile_command("-v", "status"), "after the command", status=2)
    assert_says(world.stile_command("run", "--bogus", "x"), "--bogus", "stile help run", status=2)


def a_home_that_others_may_read_is_refused(world):
    env = new_home(world, "open-home")
    os.chmod(env["STILE_HOME"], 0o755)
    assert_says(world.run("true", env=env), "chmod", status=125)


# ---- logging in ----

def a_wrong_password_is_said(world):
    assert_says(log_in(world, password="wrong"), "password")


def an_unknown_user_is_not_told_from_a_wrong_password(world):
    assert log_in(world, user="nobody-here").err == log_in(world, user="nobody-there").err
    assert_says(log_in(world, user="nobody-here"), "password")


def a_wrong_ca_is_said(world):
    other = os.path.join(DIR, "other.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    "/dev/null", "-subj", "/CN=other", "-days", "1", "-out", other], check=True, capture_output=True)
    assert_says(log_in(world, ca=other), "another CA", "check the address and the CA")


def a_wrong_pin_is_said_and_the_right_one_works(world):
    pin = subprocess.run(f"openssl x509 -in {world.gateway.ca} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum",
                         shell=True, check=True, capture_output=True, text=True).stdout.split()[0]
    right = log_in(world, options=["--ca-pin", f"sha256:{pin}"])
    assert right.status == 0, right
    wrong = "0" * 60 + pin[60:]
    assert_says(log_in(world, options=["--ca-pin", f"sha256:{wrong}"]), "pin")


def a_ca_file_that_is_not_there_is_named(world):
    assert_says(log_in(world, ca="/nonexistent/ca.pem"), "/nonexistent/ca.pem")


def a_ca_file_that_holds_something_else_is_named(world):
    assert_says(log_in(world, ca="/etc/passwd"), "/etc/passwd", "ca.pem")


def an_unreachable_gateway_is_said(world):
    assert_says(log_in(world, gateway="127.0.0.1:7444"), "127.0.0.1:7444", "refused")


def a_gateway_of_an_unknown_name_is_said(world):
    assert_says(log_in(world, gateway="nosuch.test:443"), "nosuch.test")


def a_gateway_that_speaks_no_tls_is_said(world):
    with socket.create_server(("127.0.0.1", 7445)) as server:
        pid = os.fork()
        if pid == 0:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"SSH-2.0-not-tls\r\n")
            connection.close()
            os._exit(0)
        result = log_in(world, gateway="127.0.0.1:7445")
        os.waitpid(pid, 0)
    assert_says(result, "127.0.0.1:7445")


def a_gateway_without_a_port_gets_a_hint(world):
    result = log_in(world, gateway="127.0.0.1:")
    assert result.status in (1, 2) and "127.0.0.1" in result.err, result


def the_private_files_are_private(world):
    profile = os.path.join(world.home, "profiles", "demo")
    assert os.stat(world.home).st_mode & 0o77 == 0
    assert os.stat(os.path.join(profile, "key.pem")).st_mode & 0o777 == 0o600


# ---- the machine ----

def no_dev_net_tun_is_said(world):
    command = ["unshare", "--mount", "--", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"]
    if world.may_be_user:
        command += ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
    assert_says(world.command([*command, world.stile, "run", "--", "true"], as_root=True), "/dev/net/tun", status=125)


def a_dev_net_tun_that_may_not_be_opened_is_said(world):
    if not world.may_be_user:
        raise Skip("making a device that the user may not open needs root")
    command = ["unshare", "--mount", "--", "sh", "-c",
               'mknod -m 600 "$0" c 10 200 && mount --bind "$0" /dev/net/tun && exec "$@"', os.path.join(DIR, "closed-tun"),
               "setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
    assert_says(world.command([*command, world.stile, "run", "--", "true"], as_root=True), "/dev/net/tun", "chmod", status=125)


def disabled_user_namespaces_are_said(world):
    """Within a user namespace of its own, where the limit can be set to none."""
    script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    result = world.command(["unshare", "--user", "--map-root-user", "--", "sh", "-c", script, "sh", world.stile, "run", "--", "true"])
    assert_says(result, "ser namespaces", "max_user_namespaces", status=125)


# ---- the gateway's administrator ----

def gateway(world, *words, **how):
    return world.stile_command("gateway", *words, as_root=True, **how)


def write_config(name, text):
    path = os.path.join(DIR, "gateway", name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def a_configuration_error_names_file_line_and_column(world):
    good = open(world.gateway.config_path, encoding="ascii").read()
    bad = write_config("bad.yaml", good.replace("ports: [7001]", "ports: [70010]", 1))
    line = 1 + next(i for i, text in enumerate(good.splitlines()) if "7001]" in text)
    result = gateway(world, "run", "--config", bad)
    assert_says(result, f"bad.yaml:{line}:", "70010")


def an_unknown_key_and_broken_yaml_are_said(world):
    good = open(world.gateway.config_path, encoding="ascii").read()
    assert_says(gateway(world, "run", "--config", write_config("key.yaml", good + "aps: []\n")), "key.yaml:", "aps")
    assert_says(gateway(world, "run", "--config", write_config("broken.yaml", good + "  - {\n")), "broken.yaml:")


def two_apps_of_one_name_are_refused(world):
    good = open(world.gateway.config_path, encoding="ascii").read()
    twice = write_config("twice.yaml", good + '  - {name: echo, public_name: echo.demo.stile.test, target: "127.0.0.1:1", '
                         'ports: [1], allow: {groups: [everyone]}}\n')
    assert_says(gateway(world, "run", "--config", twice), "twice.yaml:", "echo")


def a_missing_configuration_is_named(world):
    assert_says(gateway(world, "run", "--config", "/nonexistent.yaml"), "/nonexistent.yaml")


def a_bad_name_is_refused_with_the_rule(world):
    assert_says(gateway(world, "init", os.path.join(DIR, "x"), "--name", "Bad_Name!"), "Bad_Name!", "letters")
    assert_says(gateway(world, "user", "add", "a b", "--config", world.gateway.config_path, "--password-file", "-",
                        text="some password\n"), "a b", "letters")
    assert_says(log_in(world, options=["--ca", world.gateway.ca, "--profile", "../up"]), "../up")


def a_user_that_exists_and_a_cluster_that_exists_are_said(world):
    assert_says(gateway(world, "user", "add", "alice", "--config", world.gateway.config_path, "--password-file", "-",
                        text="some password\n"), "alice", "exists")
    result = gateway(world, "init", os.path.join(DIR, "gateway"), "--name", "demo")
    assert_says(result, "gateway")


def a_port_in_use_is_said(world):
    with socket.create_server(("127.0.0.1", 7446)):
        config = write_config("busy.yaml", open(world.gateway.config_path, encoding="ascii").read().replace(
            'listen: "127.0.0.1:7443"', 'listen: "127.0.0.1:7446"'))
        assert_says(gateway(world, "run", "--config", config), "127.0.0.1", "7446", "in use", "choose another port")
        result = world.stile_command("proxy", "echo", "--port", "7446")
        assert_says(result, "7446", "--port")


def a_proxy_for_no_such_app_lists_where_to_look(world):
    assert_says(world.stile_command("proxy", "nosuch"), "nosuch", "stile apps")


if __name__ == "__main__":
    main(__file__, without_a_profile_every_command_says_to_log_in, an_unknown_command_names_the_near_one,
         a_home_that_others_may_read_is_refused, a_wrong_password_is_said, an_unknown_user_is_not_told_from_a_wrong_password,
         a_wrong_ca_is_said, a_wrong_pin_is_said_and_the_right_one_works, a_ca_file_that_is_not_there_is_named,
         a_ca_file_that_holds_something_else_is_named, an_unreachable_gateway_is_said, a_gateway_of_an_unknown_name_is_said,
         a_gateway_that_speaks_no_tls_is_said,
         a_gateway_without_a_port_gets_a_hint, the_private_files_are_private, no_dev_net_tun_is_said,
         a_dev_net_tun_that_may_not_be_opened_is_said, disabled_user_namespaces_are_said,
         a_configuration_error_names_file_line_and_column, an_unknown_key_and_broken_yaml_are_said,
         two_apps_of_one_name_are_refused, a_missing_configuration_is_named, a_bad_name_is_refused_with_the_rule,
         a_user_that_exists_and_a_cluster_that_exists_are_said, a_port_in_use_is_said,
         a_proxy_for_no_such_app_lists_where_to_look)
