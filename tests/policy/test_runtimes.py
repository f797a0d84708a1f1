#!/usr/bin/python3
"""From containers to their endpoints, and their coming and going, as a real containerd tells."""

import os
from concurrent import futures

import grpc

from lib.containerd import SOCKET, ContainerWorld
from lib.world import main, wait_until

RUNTIME = f"unix://{SOCKET}"
DRIVER = os.environ["RUNTIME_DRIVER"]


def lookup(world, container, runtime=RUNTIME):
    """What it printed, and its status."""
    done = world.command(DRIVER, "lookup", runtime, container)
    return done.status, done.out.strip()


def refused(world, container, error, *words, runtime=RUNTIME):
    status, text = lookup(world, container, runtime)
    assert status == 1 and text.startswith(f"{error}: "), text
    for word in words:
        assert word in text, (word, text)


class Watch:
    """The driver, listening to a runtime."""

    def __init__(self, world, runtime=RUNTIME):
        self.process = world.start(DRIVER, "watch", runtime)

    def events(self, first):
        return [line for line in self.process.lines() if line.split(" ", 1)[0] == first]

    def wait_for(self, first, rest="", count=1):
        wait_until(lambda: len([e for e in self.events(first) if rest in e]) >= count,
                   f"{first} {rest} {count} times:\n{self.process.text()}", step=0.02)
        return [e for e in self.events(first) if rest in e][-1]


def host_pod(world):
    pod = world.new_pod(host_network=True, start=False)
    pod.config.hostname = ""  # that of the host, as it shares the host's UTS namespace
    return pod.run()


def a_container_is_found_by_its_id_and_by_a_beginning_of_it(world):
    pod = world.new_pod()
    app = pod.app()
    for container in (app.id, app.id[:16], pod.id, pod.id[:16]):
        for runtime in (RUNTIME, SOCKET, "-"):
            assert lookup(world, container, runtime) == (0, pod.netns()), (container, runtime)


def what_is_found_is_the_containers_own_network(world):
    pod = world.new_pod()
    app = pod.app()
    path = lookup(world, app.id)[1]
    assert os.stat(path).st_ino == os.stat(f"/proc/{app.pid()}/ns/net").st_ino
    assert os.stat(path).st_ino != os.stat("/proc/self/ns/net").st_ino


def an_unknown_id_is_not_found_and_no_id_is_refused(world):
    refused(world, "0123456789abcdef", "NOTFOUND", "containerd 1.6", SOCKET, "0123456789abcdef")
    refused(world, "-rf", "INVAL", "-rf")
    refused(world, "", "INVAL")
    refused(world, "a/b", "INVAL")


def a_container_that_ended_is_refused(world):
    app = world.new_pod().app()
    app.stop()
    refused(world, app.id, "EXPIRED", "not running")


def a_pod_that_ended_is_refused(world):
    pod = world.new_pod()
    pod.stop()
    refused(world, pod.id, "EXPIRED", "not running")


def the_hosts_own_network_is_refused(world):
    pod = host_pod(world)
    refused(world, pod.container("h", "/bin/sleep", "1000").id, "DENIED", "host's own network")
    refused(world, pod.id, "DENIED", "host's own network")


def without_a_runtime_the_socket_is_named(world):
    refused(world, "ab", "NOTFOUND", "/run/nothing.sock", "--runtimeendpoint", runtime="unix:///run/nothing.sock")
    refused(world, "ab", "UNSUPPORTED", "tcp://127.0.0.1:2376", "unix:///PATH", runtime="tcp://127.0.0.1:2376")
    refused(world, "ab", "INVAL", "containerd.sock", runtime="containerd.sock")


def a_user_without_rights_is_told_so(world):
    done = world.command(DRIVER, "lookup", RUNTIME, "ab", uid=1000)
    assert done.status == 1 and done.out.startswith("PERM: ") and "root" in done.out, done


def start_again(world):
    """containerd, which stays for the tests after this."""
    world.start_containerd()
    world.kept.add(world.daemon)


class OldDoor:
    """containerd behind a door that knows no runtime.v1, as its older versions; bytes pass as they are."""

    def __init__(self, path):
        self.path, self.channel = path, grpc.insecure_channel(RUNTIME)
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers([self])
        self.server.add_insecure_port(f"unix://{path}")
        self.server.start()
        self.called = []

    def service(self, details):
        self.called.append(details.method)
        if "/runtime.v1." in details.method:
            return None
        if details.method.endswith(("/Subscribe", "/GetContainerEvents")):
            return grpc.unary_stream_rpc_method_handler(self._stream(self.channel.unary_stream(details.method)))
        return grpc.unary_unary_rpc_method_handler(self._one(self.channel.unary_unary(details.method)))

    @staticmethod
    def _one(call):
        def handle(message, context):
            try:
                return call(message)
            except grpc.RpcError as error:
                return context.abort(error.code(), error.details())
        return handle

    @staticmethod
    def _stream(call):
        def handle(message, context):
            try:
                yield from call(message)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
        return handle

    def close(self):
        self.server.stop(0)
        self.channel.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def an_older_interface_serves_as_well(world):
    pod = world.new_pod()
    app = pod.app()
    door = OldDoor("/run/old.sock")
    try:
        assert lookup(world, app.id, door.path) == (0, pod.netns())
        assert "/runtime.v1alpha2.RuntimeService/ContainerStatus" in door.called
        watch = Watch(world, door.path)
        watch.wait_for("listed")
        other = world.new_pod().app()
        watch.wait_for("container", other.id)
        other.stop()
        watch.wait_for("gone", other.id)
    finally:
        door.close()


def containers_are_told_as_they_come_and_go(world):
    watch = Watch(world)
    watch.wait_for("listed")
    pod = world.new_pod(labels={"tier": "web"}, annotations={"example/note": "x"})
    line = watch.wait_for("container", f"container {pod.id} in {pod.id} default/{pod.name} running network:{pod.netns()}")
    assert "label:tier=web" in line and "annotation:example/note=x" in line, line
    app = pod.container("app", "/bin/sleep", "1000", labels={"app": "shop", "tier": "own"})
    line = watch.wait_for("container", f"container {app.id} in {pod.id} default/{pod.name}/app running")
    assert "label:app=shop" in line and "label:tier=own" in line and "tier=web" not in line, line
    app.stop()
    watch.wait_for("gone", app.id)
    assert not any(pod.id in e for e in watch.events("gone"))
    pod.stop()
    watch.wait_for("gone", pod.id)
    for event in ("container", "gone"):
        ids = [line.split()[1] for line in watch.events(event)]
        assert len(ids) == len(set(ids)), ids


def all_that_runs_is_told_at_the_beginning_sandboxes_first(world):
    pod = world.new_pod()
    app = pod.app()
    ended = pod.container("ended", "/bin/sleep", "1000")
    ended.stop()
    watch = Watch(world, "-")
    watch.wait_for("listed")
    lines = watch.process.lines()
    assert [line.split()[1] for line in lines if line.startswith("container")] == [pod.id, app.id], lines
    assert lines.index("listed") == len(lines) - 1, lines


def a_restart_of_the_runtime_is_survived_and_all_told_anew(world):
    pod = world.new_pod()
    app = pod.app()
    watch = Watch(world)
    watch.wait_for("listed")
    world.stop_containerd()
    watch.wait_for("disconnected", SOCKET)
    start_again(world)
    watch.wait_for("listed", count=2)
    watch.wait_for("container", app.id, count=2)
    assert not watch.events("gone")
    other = world.new_pod()
    watch.wait_for("container", other.id)


def what_ended_while_the_runtime_was_away_is_told_as_gone(world):
    app = world.new_pod().app()
    pid = app.pid()
    watch = Watch(world)
    watch.wait_for("container", app.id)
    world.stop_containerd()
    os.kill(pid, 9)
    start_again(world)
    watch.wait_for("gone", app.id)


def a_runtime_that_comes_late_is_waited_for(world):
    world.stop_containerd()
    watch = Watch(world)
    watch.wait_for("disconnected", "no container runtime")
    start_again(world)
    watch.wait_for("listed")


TESTS = [a_container_is_found_by_its_id_and_by_a_beginning_of_it, what_is_found_is_the_containers_own_network,
         an_unknown_id_is_not_found_and_no_id_is_refused, a_container_that_ended_is_refused, a_pod_that_ended_is_refused,
         the_hosts_own_network_is_refused, without_a_runtime_the_socket_is_named, a_user_without_rights_is_told_so,
         an_older_interface_serves_as_well, containers_are_told_as_they_come_and_go,
         all_that_runs_is_told_at_the_beginning_sandboxes_first, a_restart_of_the_runtime_is_survived_and_all_told_anew,
         what_ended_while_the_runtime_was_away_is_told_as_gone, a_runtime_that_comes_late_is_waited_for]

if __name__ == "__main__":
    main(__file__, TESTS, ContainerWorld)
