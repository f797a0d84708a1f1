"""A container runtime that runs nothing: it answers CRI's calls with what a test says, in any of the ways in which a runtime may.

    fake = Fake("/run/fake.sock", version="v1alpha2", events=None)
    fake.sandbox("aa11", path="/run/netns/x")
    fake.container("cc11", "aa11", pid=1234)
    fake.before["ContainerStatus"] = lambda: time.sleep(60)          called first; may raise, or return the answer's bytes
"""

import json
import os
import queue
import sys
import threading
from concurrent import futures

import grpc

sys.path.insert(0, os.environ.get("CRI_PB2", "."))
import cri_pb2 as messages  # noqa: E402  (made by the build)

CREATED, RUNNING, EXITED = 0, 1, 2
READY, NOT_READY = 0, 1
EVENTS = {"GetContainerEvents": "cri", "Subscribe": "containerd"}


def entries(pairs):
    return [messages.Entry(key=key, value=value) for key, value in pairs.items()]


def spec(path=None, network=True, **more):
    """The OCI specification's part that is read."""
    namespaces = [{"type": "pid"}, {"type": "mount"}]
    if network:
        namespaces.append({"type": "network", **({"path": path} if path else {})})
    return {"ociVersion": "1.0.2", "linux": {"namespaces": namespaces}, **more}


class Fake:
    def __init__(self, path, version="v1", events="cri"):
        self.path, self.version, self.events = path, version, events
        self.containers, self.sandboxes, self.before, self.called = {}, {}, {}, []
        self.gates = {}  # by id: nothing is said of these until it is set
        self.streams, self.lock = [], threading.Lock()
        self.server = None
        self.start()

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_send_message_length", -1)])
        self.server.add_generic_rpc_handlers([self])
        self.server.add_insecure_port(f"unix://{self.path}")
        self.server.start()

    def stop(self):
        for stream in self.streams:
            stream.put(None)
        self.server.stop(0).wait()
        if os.path.exists(self.path):
            os.unlink(self.path)

    # ---- what runs ----

    def sandbox(self, identity, state=READY, pid=0, info=None, host=False, labels=(), annotations=(), **how):
        text = json.dumps({"pid": pid, "runtimeSpec": spec(**how)}) if info is None else info
        status = messages.SandboxStatus(id=identity, state=state, labels=entries(dict(labels)), annotations=entries(dict(annotations)),
                                        metadata=messages.SandboxMetadata(name=f"pod-{identity}", namespace="default"))
        if host:
            status.of_linux.namespaces.options.network = messages.NODE
        self.sandboxes[identity] = messages.PodSandboxStatusResponse(status=status, info=entries({"info": text} if text else {}))

    def container(self, identity, sandbox, state=RUNNING, pid=1, info=None, kind="io.containerd.runc.v2", labels=(), annotations=(), **how):
        text = info
        if info is None:
            text = json.dumps({"sandboxID": sandbox, "pid": pid, "runtimeType": kind, "runtimeSpec": spec(**how)})
        status = messages.ContainerStatus(id=identity, state=state, labels=entries(dict(labels)), annotations=entries(dict(annotations)),
                                          metadata=messages.ContainerMetadata(name=f"name-{identity}"))
        self.containers[identity] = sandbox, messages.ContainerStatusResponse(status=status, info=entries({"info": text} if text else {}))

    def state(self, identity, state):
        self.containers[identity][1].status.state = state

    def event(self, identity):
        for stream in self.streams:
            stream.put(messages.ContainerEventResponse(container_id=identity).SerializeToString())

    def end_streams(self):
        with self.lock:
            streams, self.streams = self.streams, []
        for stream in streams:
            stream.put(None)

    # ---- the calls ----

    def service(self, details):
        service, method = details.method.rsplit("/", 1)
        self.called.append(details.method)
        if method in EVENTS:
            return grpc.unary_stream_rpc_method_handler(self._stream) if self.events == EVENTS[method] else None
        if service != f"/runtime.{self.version}.RuntimeService" or not hasattr(self, "_" + method.lower()):
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._call(method, request, context))

    def _call(self, method, request, context):
        said = self.before[method]() if method in self.before else None
        return said if said is not None else getattr(self, "_" + method.lower())(request, context).SerializeToString()

    def _stream(self, _request, _context):
        mine = queue.Queue()
        with self.lock:
            self.streams.append(mine)
        while (message := mine.get()) is not None:
            yield message

    def _version(self, _request, _context):
        return messages.VersionResponse(runtime_name="fake", runtime_version="1.0", runtime_api_version=self.version)

    def _listcontainers(self, _request, _context):
        return messages.ListContainersResponse(containers=[
            messages.Container(id=identity, pod_sandbox_id=sandbox, state=answer.status.state)
            for identity, (sandbox, answer) in self.containers.items()])

    def _listpodsandbox(self, _request, _context):
        return messages.ListPodSandboxResponse(items=[
            messages.Sandbox(id=identity, state=answer.status.state) for identity, answer in self.sandboxes.items()])

    def _containerstatus(self, request, context):
        asked = messages.ContainerStatusRequest.FromString(request)
        if asked.container_id in self.gates:
            self.gates[asked.container_id].wait(60)
        if asked.container_id not in self.containers or not asked.verbose:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no container {asked.container_id}")
        return self.containers[asked.container_id][1]

    def _podsandboxstatus(self, request, context):
        asked = messages.PodSandboxStatusRequest.FromString(request)
        if asked.pod_sandbox_id not in self.sandboxes or not asked.verbose:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no sandbox {asked.pod_sandbox_id}")
        return self.sandboxes[asked.pod_sandbox_id]
