#!/usr/bin/python3
"""The launcher alone, with this script as its agent and its engine: what the program sees, and what the engine is given.

usage: test_launcher.py STILE
"""

import array
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from common.harness import own_settings  # noqa: E402

STILE = sys.argv.pop(1)
UNSUPPORTED = 77  # how a test says that it was skipped

NO_IPV4, NO_IPV6 = 1, 2


def setup_message(flags=0):
    prefix = bytes.fromhex("fd6067ec4325")
    ranges = struct.pack("=4sI", socket.inet_aton("100.64.0.0"), 10) + bytes(8 * 7)
    return struct.pack("=III6s2sI", 1, 4, flags, prefix, bytes(2), 1) + ranges + struct.pack("=I", 0) + bytes(8 * 64)


class Launched:
    """One launcher with its two channels."""

    def __init__(self, *command, flags=0, options=(), **popen):
        self.setup, child_setup = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.device, child_device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.home = tempfile.mkdtemp()
        with open(os.path.join(self.home, "secret"), "w") as f:
            f.write("key")
        arguments = [STILE, "launcher", "--setup-fd", str(child_setup.fileno()), "--device-fd", str(child_device.fileno()),
                     "--hide", self.home, *options, "--", *command]
        self.process = subprocess.Popen(arguments, pass_fds=[child_setup.fileno(), child_device.fileno()],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        **popen)
        child_setup.close()
        child_device.close()
        self.setup.send(setup_message(flags))

    def engine_gets(self):
        """The device message and its descriptors: sock_diag, then the queues."""
        self.device.settimeout(60)
        fds = array.array("i")
        message, ancillary, _, _ = self.device.recvmsg(1024, socket.CMSG_LEN(64 * 4))
        for _, _, data in ancillary:
            fds.frombytes(data[:len(data) - len(data) % 4])
        version, kind, queues, mtu, flags, uid_count, uid = struct.unpack_from("=IIIIIII", message)
        name = message[-16:].rstrip(b"\0").decode()
        return {"version": version, "kind": kind, "queues": queues, "mtu": mtu, "flags": flags, "uid": uid, "name": name}, list(fds)

    def result(self):
        out, err = self.process.communicate(timeout=60)
        self.release()
        return self.process.returncode, out, err

    def release(self):
        self.setup.close()
        self.device.close()
        shutil.rmtree(self.home)


def run(*command, **options):
    return Launched(*command, **options).result()


class LauncherTest(unittest.TestCase):
    def test_the_engine_is_given_the_device(self):
        l = Launched("true", options=("--mtu", "1500"))
        message, fds = l.engine_gets()
        self.assertEqual(l.result()[0], 0)
        self.assertEqual((message["version"], message["kind"], message["mtu"], message["name"]), (1, 5, 1500, "stile0"))
        self.assertEqual(message["uid"], os.getuid())
        self.assertEqual(len(fds), message["queues"] + 1)
        self.assertIn("tun", os.readlink("/proc/self/fd/%d" % fds[1]))
        for fd in fds:
            os.close(fd)

    def test_the_program_sees_its_own_network_and_nothing_else(self):
        status, out, err = run("ip", "-o", "addr")
        self.assertEqual((status, err), (0, ""))
        addresses = sorted(line.split()[3] for line in out.splitlines() if " stile0 " in line and "fe80" not in line)
        self.assertEqual(addresses, ["100.64.0.1/32", "fd60:67ec:4325::1/128"])
        self.assertEqual({line.split()[1] for line in out.splitlines()}, {"lo", "stile0"})

    def test_routes_use_cubic(self):
        _, out, _ = run("ip", "-d", "route")
        self.assertRegex(out, r"100\.64\.0\.0/10 dev stile0 .*congctl cubic")
        _, out, _ = run("ip", "-6", "route", "show", "fd60:67ec:4325::/48")
        self.assertIn("congctl cubic", out)

    def test_one_family_alone(self):
        _, out, _ = run("ip", "-o", "addr", flags=NO_IPV6)
        self.assertNotIn("fd60", out)
        _, out, _ = run("cat", "/etc/resolv.conf", flags=NO_IPV4)
        self.assertIn("nameserver fd60:67ec:4325::2", out)
        self.assertNotIn("100.64", out)

    def test_names_are_asked_of_us_only(self):
        status, out, _ = run("sh", "-c", "grep nameserver /etc/resolv.conf; ls /run/systemd/resolve /run/dbus /run/nscd 2>/dev/null | wc -w")
        self.assertEqual(status, 0)
        lines = out.split("\n")
        self.assertEqual(lines[:2], ["nameserver 100.64.0.2", "nameserver fd60:67ec:4325::2"])

    def test_the_host_keeps_its_resolv_conf(self):
        with open("/etc/resolv.conf") as f:
            before = f.read()
        run("true")
        with open("/etc/resolv.conf") as f:
            self.assertEqual(f.read(), before)

    def test_the_keys_are_hidden(self):
        l = Launched("sh", "-c", "read home; ls -A \"$home\" && cat \"$home/secret\"")
        self.assertEqual(os.listdir(l.home), ["secret"])
        out, err = l.process.communicate(l.home + "\n", timeout=60)
        l.release()
        self.assertEqual((l.process.returncode, out), (1, ""))
        self.assertIn("secret", err)

    def test_the_program_has_the_caller_s_uid_and_no_capability(self):
        status, out, _ = run("sh", "-c", "id -u; grep -E '^(Cap|NoNewPrivs)' /proc/self/status")
        lines = out.split("\n")
        self.assertEqual(status, 0)
        self.assertEqual(lines[0], str(os.getuid()))
        for line in lines[1:-1]:
            name, value = line.split()
            self.assertEqual(int(value, 16), 1 if name == "NoNewPrivs:" else 0, line)

    def test_the_program_cannot_change_its_network(self):
        status, _, err = run("ip", "link", "set", "stile0", "down")
        self.assertNotEqual(status, 0)
        self.assertIn("not permitted", err)

    def test_the_exit_status_is_the_program_s(self):
        self.assertEqual(run("sh", "-c", "exit 42")[0], 42)
        self.assertEqual(run("sh", "-c", "kill -KILL $$")[0], 128 + signal.SIGKILL)

    def test_a_program_that_is_not_there_or_can_t_be_executed(self):
        status, _, err = run("/nonexistent/program")
        self.assertEqual(status, 127)
        self.assertIn("/nonexistent/program", err)
        self.assertEqual(run("/etc/passwd")[0], 126)

    def test_signals_reach_the_program(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            l = Launched("sh", "-c", "trap 'echo got; exit 3' %d; echo ready; while :; do sleep 0.05; done" % number)
            self.assertEqual(l.process.stdout.readline(), "ready\n")
            l.process.send_signal(number)
            status, out, _ = l.result()
            self.assertEqual((status, out), (3, "got\n"), number)

    def test_no_descriptor_leaks_to_the_program(self):
        _, out, _ = run("sh", "-c", "ls /proc/self/fd | wc -l")
        self.assertEqual(int(out), 4)  # 0, 1, 2 and the directory itself

    def test_a_setup_that_never_comes_is_an_error(self):
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        left.close()
        r = subprocess.run([STILE, "launcher", "--setup-fd", str(right.fileno()), "--device-fd", str(right.fileno()), "--hide",
                            "/nonexistent", "--", "true"], pass_fds=[right.fileno()], capture_output=True, text=True, timeout=60)
        left.close()
        right.close()
        self.assertEqual(r.returncode, 125)
        self.assertIn("addresses", r.stderr)

    def test_without_user_namespaces_the_message_names_the_setting(self):
        script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        left.send(setup_message())
        r = subprocess.run(["unshare", "-Ur", "sh", "-c", script, "sh", STILE, "launcher", "--setup-fd", str(right.fileno()),
                            "--device-fd", str(right.fileno()), "--hide", "/nonexistent", "--", "true"],
                           pass_fds=[right.fileno()], capture_output=True, text=True, timeout=60)
        left.close()
        right.close()
        self.assertEqual(r.returncode, 125)
        self.assertIn("user.max_user_namespaces", r.stderr)


if __name__ == "__main__":
    own_settings()
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        print("skipped: no permission to open /dev/net/tun")
        sys.exit(UNSUPPORTED)
    unittest.main(verbosity=1)
