#!/usr/bin/python3
"""Lookups and the watching of runtimes, against one that runs nothing and may lie, hang or break off."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from common import harness  # noqa: E402
from common.process import Failed, PATIENCE_S, Skip, Stopwatch, wait_until  # noqa: E402
from runtime import CREATED, EXITED, NOT_READY, RUNNING, Fake, spec  # noqa: E402

DRIVER = os.environ["RUNTIME_DRIVER"]
PATH = "/run/netns/fake"


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="stile-lookup-")
        self.socket = os.path.join(self.dir, "fake.sock")
        self.closing = []

    def fake(self, **how):
        fake = Fake(self.socket, **how)
        self.closing.append(fake.stop)
        return fake

    def pod(self, **how):
        """A runtime with a sandbox aa11 and a container cc11."""
        fake = self.fake(**how)
        fake.sandbox("aa11", path=PATH)
        fake.container("cc11", "aa11", path="/proc/1/ns/net")
        return fake

    def lookup(self, container, runtime=None):
        done = subprocess.run([DRIVER, "lookup", runtime or self.socket, container], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90, check=False)
        assert done.returncode in (0, 1), done
        return done.stdout.strip()

    def refused(self, container, error, *words, **how):
        text = self.lookup(container, **how)
        assert text.startswith(f"{error}: "), text
        for word in words:
            assert word in text, (word, text)

    def process(self, *argv):
        """A program that runs; its pid and its start time in ticks."""
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        self.closing.append(lambda: (process.kill(), process.wait()))
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            return process, int(file.read().rpartition(")")[2].split()[19])

    def watch(self):
        watch = Watch(self.socket)
        self.closing.append(watch.stop)
        return watch

    def mark_logs(self):
        pass

    def logs(self):
        return ""

    def end_test(self):
        while self.closing:
            self.closing.pop()()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def stop(self):
        os.rmdir(self.dir)


class Watch:
    def __init__(self, path):
        self.lines = []
        self.process = subprocess.Popen([DRIVER, "watch", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def events(self, first, rest=""):
        return [line for line in self.lines if line.split(" ", 1)[0] == first and rest in line]

    def wait_for(self, first, rest="", count=1, seconds=PATIENCE_S):
        try:
            wait_until(lambda: len(self.events(first, rest)) >= count, f"{first} {rest}", seconds, 0.01)
        except Failed as failed:
            raise Failed(f"{failed}: {self.lines}") from None
        return self.events(first, rest)[-1]

    def ask(self, identity):
        before = len(self.events("answer"))
        self.process.stdin.write(f"ask {identity}\n")
        return self.wait_for("answer", count=before + 1)

    def stop(self):
        assert self.process.poll() is None, self.lines
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdin.close()
        self.process.stdout.close()


def told_ids(watch):
    """The sandbox aa11 comes before its containers."""
    told = [line.split() for line in watch.events("container")]
    assert next(words[1] for words in told if "aa11" in (words[1], words[3])) == "aa11", watch.lines
    return sorted(words[1] for words in told)


# ---- lookups ----


def both_versions_of_the_interface_are_spoken(world):
    for version in ("v1", "v1alpha2"):
        fake = world.pod(version=version)
        assert world.lookup("cc11") == PATH
        assert f"/runtime.{version}.RuntimeService/ContainerStatus" in fake.called
        world.end_test()


def a_service_without_the_interface_is_told_by_name(world):
    world.fake(version="v2")
    world.refused("cc11", "UNSUPPORTED", world.socket, "Container Runtime Interface")


def a_beginning_finds_what_it_alone_begins(world):
    fake = world.pod()
    fake.sandbox("aa22", path="/run/netns/other")
    fake.container("cc1122", "aa22", path="/proc/1/ns/net")
    assert world.lookup("cc112") == "/run/netns/other"
    assert world.lookup("aa2") == "/run/netns/other"
    world.refused("cc", "INVAL", "2 ids", "cc11", "cc1122")
    world.refused("a", "INVAL", "2 ids", "aa11", "aa22")
    world.refused("dd", "NOTFOUND", "fake 1.0 (runtime.v1)", world.socket)


def a_whole_id_counts_though_another_begins_with_it(world):
    fake = world.pod()
    fake.sandbox("aa22", path="/run/netns/other")
    fake.container("cc1122", "aa22", path="/proc/1/ns/net")
    assert world.lookup("cc11") == PATH
    fake.containers = dict(reversed(fake.containers.items()))
    assert world.lookup("cc11") == PATH


def a_network_without_a_path_is_named_by_its_process(world):
    fake = world.fake()
    process, start = world.process("sleep", "1000")
    name = f"pid:{process.pid}@{start}"
    fake.sandbox("aa11", pid=process.pid)
    fake.container("cc11", "aa11", path=f"/proc/{process.pid}/ns/net")
    assert world.lookup("cc11") == name
    assert world.lookup("aa11") == name
    fake.sandbox("aa11", info="")
    assert world.lookup("cc11") == name


def a_process_that_is_gone_is_told(world):
    fake = world.fake()
    process, _ = world.process("sleep", "1000")
    process.kill()
    process.wait()
    fake.sandbox("aa11", pid=process.pid)
    fake.container("cc11", "aa11", path=f"/proc/{process.pid}/ns/net")
    world.refused("cc11", "EXPIRED")


def a_container_whose_process_changes_meanwhile_is_refused(world):
    fake = world.fake()
    first, _ = world.process("sleep", "1000")
    second, _ = world.process("sleep", "1000")
    fake.sandbox("aa11", pid=first.pid)
    fake.container("cc11", "aa11", pid=first.pid, path=f"/proc/{first.pid}/ns/net")
    asked = []

    def restart():
        asked.append(1)
        if len(asked) == 2:
            fake.container("cc11", "aa11", pid=second.pid, path=f"/proc/{first.pid}/ns/net")

    fake.before["ContainerStatus"] = restart
    world.refused("cc11", "EXPIRED", "meanwhile")
    assert len(asked) == 2, asked


def a_container_that_ends_meanwhile_is_refused(world):
    fake = world.pod()
    asked = []

    def end():
        asked.append(1)
        if len(asked) == 2:
            fake.state("cc11", EXITED)

    fake.before["ContainerStatus"] = end
    world.refused("cc11", "EXPIRED", "not running (ended)")


def what_does_not_run_is_refused(world):
    fake = world.pod()
    fake.state("cc11", CREATED)
    world.refused("cc11", "EXPIRED", "created, not started")
    fake.state("cc11", EXITED)
    world.refused("cc11", "EXPIRED", "ended")
    fake.state("cc11", 77)
    world.refused("cc11", "EXPIRED", "unknown")
    fake.sandbox("aa11", path=PATH, state=NOT_READY)
    world.refused("aa11", "EXPIRED")


def the_hosts_network_is_refused_however_it_is_told(world):
    fake = world.pod()
    fake.sandbox("aa11", host=True, path=PATH)
    world.refused("cc11", "DENIED", "host")
    fake.sandbox("aa11", network=False)
    world.refused("cc11", "DENIED", "host")
    fake.sandbox("aa11", info="")
    fake.container("cc11", "aa11", network=False)
    world.refused("cc11", "DENIED", "host")


def containers_with_a_network_stack_of_their_own_are_refused_by_name(world):
    fake = world.pod()
    for kind, word in (("io.containerd.kata.v2", "Kata"), ("io.containerd.runsc.v1", "gVisor"), ("aws.firecracker", "Firecracker")):
        fake.container("cc11", "aa11", path="/proc/1/ns/net", kind=kind)
        world.refused("cc11", "UNSUPPORTED", word, "no effect")
    fake.container("cc11", "aa11", path="/proc/1/ns/net")
    assert world.lookup("cc11") == PATH
    fake.sandboxes["aa11"].status.runtime_handler = "kata-qemu"
    world.refused("cc11", "UNSUPPORTED", "Kata")


def large_and_odd_information_is_read(world):
    fake = world.pod()
    odd = {"process": {"env": ["X" * 600000, "\u0001\u20ac"], "rlimits": [{"hard": 2**64 - 1, "soft": 1e30}]}, "linux": None}
    text = json.dumps({"pid": 1, "runtimeSpec": {**spec(PATH), "process": odd["process"]}})
    fake.sandbox("aa11", info=text)
    fake.container("cc11", "aa11", info=text)
    assert len(text) > 600000
    assert world.lookup("cc11") == PATH


def a_list_of_many_megabytes_is_read(world):
    fake = world.pod()
    for number in range(60000):
        fake.container(f"dd{number:062d}", "aa11", info="")
    assert len(fake._listcontainers(None, None).SerializeToString()) > 4500000
    assert world.lookup("cc11") == PATH


def information_that_makes_no_sense_is_an_error(world):
    fake = world.pod()
    for text in ("{", "[]", "nonsense", '{"pid":"1"}', '{"pid":-1}', '{"pid":1.5}', '{"pid":99999999999}', '{"runtimeSpec":[]}',
                 '{"runtimeSpec":{"linux":{"namespaces":{}}}}', '{"runtimeSpec":{"linux":{"namespaces":[{}]}}}',
                 json.dumps({"runtimeSpec": spec("relative")}), json.dumps({"runtimeSpec": spec("/a\0b")}), "[" * 100000):
        fake.sandbox("aa11", info=text)
        world.refused("cc11", "FORMAT")
    fake.sandbox("aa11", info=json.dumps({"runtimeSpec": spec("/" + "x" * 5000)}))
    world.refused("cc11", "TOOBIG")
    fake.sandbox("aa11", info=json.dumps({"x": "y" * 5000000}))
    world.refused("cc11", "TOOBIG", "4194304")
    fake.sandbox("aa11", info=json.dumps({"x": "y" * 17000000}))
    world.refused("cc11", "LIMIT", "16777216")


def a_runtime_that_tells_no_network_is_an_error(world):
    fake = world.pod()
    fake.sandbox("aa11", info="")
    fake.container("cc11", "aa11", info="")
    world.refused("cc11", "EXPIRED", "neither a namespace nor a process")


def answers_that_are_no_messages_are_errors(world):
    fake = world.pod()
    for method in ("Version", "ListContainers", "ListPodSandbox", "ContainerStatus", "PodSandboxStatus"):
        for answer, errors in ((b"\xff" * 100, ("INTERNAL",)), (b"", ("FORMAT", "NOTFOUND", "INTERNAL")), (b"\0" * 5000000, ("INTERNAL",)),
                               (b"\0" * 17000000, ("LIMIT",))):
            fake.before[method] = lambda answer=answer: answer
            text = world.lookup("aa1" if method == "ListPodSandbox" else "cc1")
            # An empty version is a version, and an empty list of what wasn't asked for is no harm.
            assert text.split(":")[0] in errors or (answer == b"" and text == PATH), (method, answer[:5], text)
        del fake.before[method]


def errors_of_the_runtime_are_passed_on(world):
    fake = world.pod()

    def fail():
        raise ValueError("disk on fire")

    fake.before["ContainerStatus"] = fail
    world.refused("cc11", "PROTOCOL", "disk on fire", "fake 1.0")


def something_else_that_listens_is_an_error(world):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(world.socket)
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    text = world.lookup("cc11")
    thread.join()
    listener.close()
    assert text.split(":")[0] in ("PROTOCOL", "CLOSED") and world.socket in text, text


def a_runtime_that_hangs_is_given_up_in_time(world):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(world.dir, "mute.sock"))
    listener.listen()
    fake = world.pod()
    gate = threading.Event()
    fake.before["ContainerStatus"] = lambda: gate.wait(60) and None
    texts = {}
    began, watch = time.monotonic(), Stopwatch()
    threads = [threading.Thread(target=lambda path=path: texts.update({path: world.lookup("cc11", path)}))
               for path in (world.socket, listener.getsockname())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, counted = time.monotonic() - began, watch.seconds()
    gate.set()
    listener.close()
    os.unlink(os.path.join(world.dir, "mute.sock"))
    assert 9 < took and counted < 14, (took, counted)
    assert all(text.startswith("TIMEOUT: ") and path in text for path, text in texts.items()), texts


# ---- podman ----


def podman(world, *outputs, exit_status=0, sleep=0):
    """podman prints these, one at each call, the last of them ever after."""
    if os.path.exists("/usr/bin/podman"):
        raise Skip("this host has a podman of its own")
    if not os.path.ismount("/usr/local/bin"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin"], check=True)
    for number, output in enumerate(outputs):
        with open(os.path.join(world.dir, f"podman-{number}"), "w", encoding="utf-8") as file:
            file.write(output)
    with open("/usr/local/bin/podman", "w", encoding="ascii") as file:
        file.write(f"""#!/bin/bash
printf '%s\\n' "$@" >{world.dir}/arguments
n=$(cat {world.dir}/count 2>/dev/null || echo 0); echo $((n + 1)) >{world.dir}/count
[ "$n" -lt {len(outputs)} ] || n={len(outputs) - 1}
cat {world.dir}/podman-$n; sleep {sleep}; exit {exit_status}
""")
    os.chmod("/usr/local/bin/podman", 0o755)

    def clean():
        os.unlink("/usr/local/bin/podman")
        for name in os.listdir(world.dir):
            os.unlink(os.path.join(world.dir, name))

    world.closing.append(clean)


def told(**more):
    """podman's line."""
    return json.dumps({"Id": "ab12", "Running": True, "Pid": 1, "Path": "/run/netns/netns-1", "Mode": "bridge", "Runtime": "runc", **more})


def podmans_container_is_found(world):
    podman(world, "WARN[0000] something odd\n" + told() + "\n")
    assert world.lookup("web", "podman") == "/run/netns/netns-1"
    with open(os.path.join(world.dir, "arguments"), encoding="ascii") as file:
        words = file.read().split("\n")
    assert words[:3] == ["container", "inspect", "--format"] and words[4:6] == ["--", "ab12"], words


def podmans_container_without_a_path_is_named_by_its_process(world):
    process, start = world.process("sleep", "1000")
    podman(world, told(Path="", Pid=process.pid))
    assert world.lookup("ab", "podman") == f"pid:{process.pid}@{start}"


def what_podman_can_not_serve_is_refused_by_name(world):
    for output, error, word in ((told(Running=False, Pid=0), "EXPIRED", "not running"), (told(Mode="host"), "DENIED", "host"),
                                (told(Runtime="/usr/bin/kata-runtime"), "UNSUPPORTED", "Kata"), (told(Path="netns"), "FORMAT", "netns"),
                                ("nothing", "FORMAT", "JSON"), ("{}", "FORMAT", "id"), (told(Pid="1"), "FORMAT", "process"),
                                ("x" * 1000000 + "\n" + told(), "FORMAT", "JSON")):
        podman(world, output)
        world.refused("ab", error, word, runtime="podman")
        world.end_test()


def podmans_errors_are_told(world):
    for output, error, word in (('Error: inspecting object: no such container ab', "NOTFOUND", "ab"),
                                ('Error: more than one result for container id ab', "INVAL", "several"),
                                ("Error: the store is broken", "IO", "the store is broken")):
        podman(world, output, exit_status=125)
        world.refused("ab", error, word, runtime="podman")
        world.end_test()


def podmans_container_that_was_restarted_meanwhile_is_refused(world):
    podman(world, told(), told(Path="/run/netns/netns-2"))
    world.refused("ab", "EXPIRED", "meanwhile", runtime="podman")


def a_podman_that_hangs_is_killed(world):
    podman(world, told(), sleep=1000)
    began, watch = time.monotonic(), Stopwatch()
    world.refused("ab", "TIMEOUT", "podman", runtime="podman")
    assert 9 < time.monotonic() - began and watch.seconds() < 14


def without_podman_it_is_said_where_it_was_looked_for(world):
    if os.path.exists("/usr/bin/podman"):
        raise Skip("this host has a podman")
    world.refused("ab", "NOTFOUND", "/usr/bin/podman", runtime="podman")
    world.refused("--help", "INVAL", runtime="podman")


# ---- watching ----


def a_container_is_told_when_an_event_says_so(world):
    fake = world.pod(events="cri")
    watch = world.watch()
    watch.wait_for("listed")
    assert [line.split()[1] for line in watch.events("container")] == ["aa11", "cc11"]
    time.sleep(2)  # what follows the first list is over
    fake.container("cc22", "aa11", path="/proc/1/ns/net", labels={"a": "1"})
    took = Stopwatch()
    fake.event("cc22")
    line = watch.wait_for("container", "container cc22 in aa11 default/pod-aa11/name-cc22 running network:/run/netns/fake")
    assert took.seconds() < 1 and "label:a=1" in line, (took.seconds(), line)
    fake.state("cc22", EXITED)
    took = Stopwatch()
    fake.event("cc22")
    watch.wait_for("gone", "cc22")
    assert took.seconds() < 1, took.seconds()


def events_that_come_too_early_are_followed_up(world):
    fake = world.pod(events="cri")
    watch = world.watch()
    watch.wait_for("listed")
    time.sleep(2)
    fake.container("cc22", "aa11", path="/proc/1/ns/net", state=CREATED)
    fake.event("cc22")
    time.sleep(0.15)
    fake.state("cc22", RUNNING)
    took = Stopwatch()
    watch.wait_for("container", "cc22")
    assert took.seconds() < 2, took.seconds()


def a_storm_of_events_does_not_become_a_storm_of_lists(world):
    fake = world.pod(events="cri")
    watch = world.watch()
    watch.wait_for("listed")
    time.sleep(2)
    before, began = len(fake.called), time.monotonic()

    def lists():
        return sum(method.endswith("/ListContainers") for method in fake.called[before:])
    for _ in range(200):
        fake.event("cc11")
        time.sleep(0.005)
    wait_until(lambda: lists() >= 3, "lists")
    # One in 20 ms, and those that were under way. It is asked first: time goes by.
    asked, took = lists(), time.monotonic() - began
    assert asked <= 30 + took / 0.02, (asked, took)


def a_runtime_without_events_is_asked_again_and_again(world):
    fake = world.pod(events=None)
    watch = world.watch()
    watch.wait_for("listed")
    assert any(method.endswith("/Subscribe") for method in fake.called)
    time.sleep(2)
    fake.container("cc22", "aa11", path="/proc/1/ns/net")
    watch.wait_for("container", "cc22")


def a_stream_that_ends_is_begun_anew(world):
    fake = world.pod(events="cri")
    watch = world.watch()
    watch.wait_for("listed")
    wait_until(lambda: fake.streams, "the stream")
    fake.event("cc11")
    time.sleep(0.2)
    fake.end_streams()
    watch.wait_for("disconnected", "ended its stream")
    watch.wait_for("listed", count=2)
    watch.wait_for("container", "cc11", count=2)
    assert not watch.events("gone")


def a_runtime_that_goes_and_comes_is_followed(world):
    fake = world.pod()
    fake.container("cc22", "aa11", path="/proc/1/ns/net")
    watch = world.watch()
    watch.wait_for("listed")
    fake.stop()
    watch.wait_for("disconnected")
    assert "CLOSED" in watch.ask("cc11")
    del fake.containers["cc22"]
    fake.start()
    watch.wait_for("listed", count=2)
    watch.wait_for("gone", "cc22")
    watch.wait_for("container", "cc11", count=2)


def one_is_asked_for_alone(world):
    fake = world.pod()
    watch = world.watch()
    watch.wait_for("listed")
    assert watch.ask("cc11").startswith("answer cc11 in aa11 default/pod-aa11/name-cc11 running")
    assert watch.ask("aa11").startswith("answer aa11 in aa11 default/pod-aa11 running")
    assert "NOTFOUND" in watch.ask("dddd")
    fake.state("cc11", EXITED)
    assert " ended" in watch.ask("cc11")


def a_container_that_can_not_be_read_is_told_and_the_others_are_served(world):
    fake = world.pod()
    fake.container("cc00", "aa11", info="{")
    fake.container("cc22", "aa11", path="/proc/1/ns/net")
    watch = world.watch()
    watch.wait_for("listed")
    assert "makes no sense" in watch.wait_for("problem", "cc00")
    fake.event("cc11")  # it is asked about again, and that it can't be is told once
    fake.container("cc33", "aa11", path="/proc/1/ns/net")
    fake.event("cc33")
    watch.wait_for("container", "cc33")
    assert len(watch.events("problem")) == 1, watch.lines
    assert told_ids(watch) == ["aa11", "cc11", "cc22", "cc33"], watch.lines


def a_container_that_the_runtime_says_nothing_of_keeps_no_other_waiting(world):
    """As containerd does when a container's shim hangs."""
    fake = world.pod()
    gate = fake.gates["cc11"] = threading.Event()
    fake.container("cc22", "aa11", path="/proc/1/ns/net")
    watch = world.watch()
    took = Stopwatch()
    watch.wait_for("container", "cc22")
    fake.container("cc33", "aa11", path="/proc/1/ns/net")
    fake.event("cc33")
    watch.wait_for("container", "cc33")
    assert took.seconds() < 5, took.seconds()
    assert "did not answer in time" in watch.wait_for("problem", "cc11")
    watch.wait_for("listed")
    gate.set()
    fake.event("cc11")
    watch.wait_for("container", "cc11")
    assert not watch.events("disconnected"), watch.lines


def two_hundred_are_told_at_once(world):
    fake = world.fake()
    for n in range(200):
        fake.sandbox(f"aa{n}", path=f"/run/netns/{n}")
        fake.container(f"cc{n}", f"aa{n}", path=f"/run/netns/{n}")
    watch = world.watch()
    watch.wait_for("listed")
    told = [line.split()[1] for line in watch.events("container")]
    assert len(told) == len(set(told)) == 400, told
    assert all(told.index(f"aa{n}") < told.index(f"cc{n}") for n in range(200)), told


def a_runtime_that_lies_in_its_lists_is_survived(world):
    fake = world.pod()
    fake.container("../../etc", "aa11")
    fake.container("x" * 500, "aa11")
    fake.container("", "aa11")
    fake.container("cc33", "no such sandbox")
    watch = world.watch()
    watch.wait_for("listed")
    assert told_ids(watch) == ["aa11", "cc11", "cc33"], watch.lines
    fake.before["ListContainers"] = lambda: b"\xff" * 64
    fake.event("cc11")
    watch.wait_for("disconnected", "message")
    del fake.before["ListContainers"]
    watch.wait_for("listed", count=2)


def a_runtime_that_hangs_is_left_and_tried_again(world):
    fake = world.pod()
    watch = world.watch()
    watch.wait_for("listed")
    gate = threading.Event()
    fake.before["ListContainers"] = lambda: gate.wait(60) and None
    fake.event("cc11")
    watch.wait_for("disconnected", "did not answer in time")
    del fake.before["ListContainers"]
    gate.set()
    watch.wait_for("listed", count=2)


TESTS = [both_versions_of_the_interface_are_spoken, a_service_without_the_interface_is_told_by_name,
         a_beginning_finds_what_it_alone_begins, a_whole_id_counts_though_another_begins_with_it,
         a_network_without_a_path_is_named_by_its_process, a_process_that_is_gone_is_told,
         a_container_whose_process_changes_meanwhile_is_refused, a_container_that_ends_meanwhile_is_refused,
         what_does_not_run_is_refused, the_hosts_network_is_refused_however_it_is_told,
         containers_with_a_network_stack_of_their_own_are_refused_by_name, large_and_odd_information_is_read, a_list_of_many_megabytes_is_read,
         information_that_makes_no_sense_is_an_error, a_runtime_that_tells_no_network_is_an_error,
         answers_that_are_no_messages_are_errors, errors_of_the_runtime_are_passed_on, something_else_that_listens_is_an_error,
         a_runtime_that_hangs_is_given_up_in_time, podmans_container_is_found,
         podmans_container_without_a_path_is_named_by_its_process, what_podman_can_not_serve_is_refused_by_name, podmans_errors_are_told,
         podmans_container_that_was_restarted_meanwhile_is_refused, a_podman_that_hangs_is_killed,
         without_podman_it_is_said_where_it_was_looked_for, a_container_is_told_when_an_event_says_so,
         events_that_come_too_early_are_followed_up, a_storm_of_events_does_not_become_a_storm_of_lists,
         a_runtime_without_events_is_asked_again_and_again, a_stream_that_ends_is_begun_anew,
         a_runtime_that_goes_and_comes_is_followed, one_is_asked_for_alone,
         a_container_that_can_not_be_read_is_told_and_the_others_are_served, a_runtime_that_lies_in_its_lists_is_survived,
         a_runtime_that_hangs_is_left_and_tried_again, a_container_that_the_runtime_says_nothing_of_keeps_no_other_waiting,
         two_hundred_are_told_at_once]

if __name__ == "__main__":
    harness.run_tests(__file__, TESTS, World, limit_s=180)
