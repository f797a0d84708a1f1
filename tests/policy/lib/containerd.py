"""containerd with its CRI, runc and the CNI bridge, on the container host; pods of an app container and a proxy container.

    world = ContainerWorld()                  trees "containerd", "cni", "busybox"; Skip where it can't run
    pod = world.new_pod(labels={…})           a sandbox, nothing in it yet
    app = pod.container("app", "talk", "-l", "7000")        created and started
    proxy = pod.proxy(8000)                   the example proxy in a container of its own, as PROXY_UID
    app.talk("tcp/192.0.2.2/7000")            what a program in the container gets
    pod.stop() / pod.remove() / world.restart()
"""

import json
import os
import shutil

from lib import crilog, image, trees
from lib.cri import Cri, grpc, messages
from lib.world import DIR, NETWORK, PROXY_UID, Failed, Proxy, Skip, World, talked, wait_until

SOCKET = "/run/containerd/containerd.sock"
CONFIG = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  max_container_log_line_size = 4096
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
"""
# "option transparent": it asks for the original destination, and goes there. It calls as the user that it has become, so the guard
# knows it. Of IPv6 this haproxy asks nothing, and takes its own address for the destination: what isn't rejected goes round and
# round.
HAPROXY = """\
global
    log stdout format raw local0
    uid {uid}
    gid {uid}
defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend all
    bind 0.0.0.0:{port}
    bind [::]:{port} v6only
    log global
    tcp-request connection reject if {{ dst_port {port} }}
    log-format "tcp %ci:%cp -> %[dst]:%[dst_port] via %bi:%bp"
    default_backend original
backend original
    option transparent
"""
RUNNING, EXITED = 1, 2


class Container:
    """One that runs, or did."""

    def __init__(self, pod, name, argv, user=None, capabilities=(), dropped=(), mounts=(), labels=None, annotations=None):
        """mounts: (path in the container, path on the host), read-only."""
        self.pod, self.cri, self.name = pod, pod.cri, name
        pod.attempts[name] = attempt = pod.attempts.get(name, -1) + 1
        config = messages.ContainerConfig(metadata=messages.ContainerMetadata(name=name, attempt=attempt),
                                          image=messages.ImageSpec(image=image.NAME), command=list(argv),
                                          labels=labels or {}, annotations=annotations or {}, log_path=f"{name}-{attempt}.log")
        for inside, outside in mounts:
            config.mounts.add(container_path=inside, host_path=outside, readonly=True)
        security = config.linux.security_context
        security.capabilities.add_capabilities.extend(capabilities)
        security.capabilities.drop_capabilities.extend(dropped)
        if user is not None:
            security.run_as_user.value = user
        self.log = os.path.join(pod.config.log_directory, config.log_path)
        self.id = self.cri.call("CreateContainer", messages.CreateContainerRequest(
            pod_sandbox_id=pod.id, config=config, sandbox_config=pod.config), messages.CreateContainerResponse).container_id
        self.cri.call("StartContainer", messages.ContainerRequest(container_id=self.id))

    def lines(self):
        return crilog.lines(self.log)

    def wait_for(self, line):
        wait_until(lambda: line in self.lines(), f"{self.name} says {line!r}", step=0.02)
        return self

    def status(self):
        return self.cri.call("ContainerStatus", messages.StatusRequest(id=self.id, verbose=True), messages.ContainerStatusResponse)

    def pid(self):
        return json.loads(self.status().info["info"])["pid"]

    def exec(self, *argv, timeout=30):
        """Runs a command in the container; what it printed. Failed unless it succeeds."""
        done = self.cri.call("ExecSync", messages.ExecSyncRequest(container_id=self.id, cmd=argv, timeout=timeout),
                             messages.ExecSyncResponse)
        if done.exit_code != 0:
            raise Failed(f"{self.name}: {' '.join(argv)}: {done}")
        return done.stdout.decode("utf-8", "replace")

    def talk(self, *targets, user=None, wait_ms=10000):
        return talked(self.exec("/bin/talk", "-w", str(wait_ms), *(["-u", user] if user else []), *targets))

    def stop(self):
        self.cri.call("StopContainer", messages.ContainerRequest(container_id=self.id, timeout=0))

    def remove(self):
        self.cri.call("RemoveContainer", messages.ContainerRequest(container_id=self.id))


class Sandbox:
    """A pod."""

    def __init__(self, world, name, labels=None, annotations=None, host_network=False, start=True):
        self.world, self.cri, self.name, self.attempts, self.run_count = world, world.cri, name, {}, -1
        self.config = messages.PodSandboxConfig(
            metadata=messages.Metadata(name=name, uid=name, namespace="default"),
            hostname="" if host_network else name, labels=labels or {},
            annotations=annotations or {}, log_directory=os.path.join(DIR, "pods", name))
        self.config.linux.cgroup_parent = f"/{world.group}/{name}"
        options = self.config.linux.security_context.namespace_options
        options.network = messages.NamespaceOption.NODE if host_network else messages.NamespaceOption.POD
        options.pid = messages.NamespaceOption.CONTAINER
        if start:
            self.run()

    def run(self):
        """RunPodSandbox; grpc.RpcError when it is refused (by a CNI plugin, say). After remove() again, as a new sandbox."""
        self.run_count += 1
        self.config.metadata.attempt = self.run_count
        self.id = self.cri.call("RunPodSandbox", messages.RunPodSandboxRequest(config=self.config),
                                messages.RunPodSandboxResponse).pod_sandbox_id
        network = self.status().status.network
        addresses = [network.ip, *(a.ip for a in network.additional_ips)]
        self.ip4 = next((a for a in addresses if "." in a), "")
        self.ip6 = next((a for a in addresses if ":" in a), "")
        return self

    def status(self):
        return self.cri.call("PodSandboxStatus", messages.StatusRequest(id=self.id, verbose=True), messages.PodSandboxStatusResponse)

    def netns(self):
        """The path of its network namespace."""
        spec = json.loads(self.status().info["info"])["runtimeSpec"]
        return next(n["path"] for n in spec["linux"]["namespaces"] if n["type"] == "network")

    def container(self, name, *argv, **how) -> Container:
        return Container(self, name, argv, **how)

    def app(self, *ports, **how) -> Container:
        """A container that serves these ports, and in which programs can be run."""
        words = ["/bin/talk", "-l", *(str(p) for p in ports)] if ports else ["/bin/sleep", "100000"]
        app = self.container("app", *words, **how)
        return app.wait_for("ready") if ports else app

    def proxy(self, *ports, uid=PROXY_UID, **how) -> Proxy:
        proxy = self.container("proxy", "/bin/original-destination", "-u", str(uid), *(str(p) for p in ports), **how)
        return Proxy(proxy.wait_for("ready"))

    def haproxy(self, port, uid=PROXY_UID) -> Proxy:
        """haproxy as the proxy, with this machine's program and libraries; its log has the example proxy's form."""
        path = self.world.file(HAPROXY.format(port=port, uid=uid))
        mounts = [(name, name) for name in ("/usr", "/lib", "/lib64") if os.path.exists(name)] + [("/etc/haproxy.cfg", path)]
        return Proxy(self.container("proxy", "/usr/sbin/haproxy", "-db", "-V", "-f", "/etc/haproxy.cfg", mounts=mounts)
                     .wait_for("Using epoll() as the polling mechanism."))

    def stop(self):
        self.cri.call("StopPodSandbox", messages.PodSandboxRequest(pod_sandbox_id=self.id))

    def remove(self):
        """Stops and removes it, with its containers."""
        self.stop()
        self.cri.call("RemovePodSandbox", messages.PodSandboxRequest(pod_sandbox_id=self.id))


class ContainerWorld(World):
    """network: the CNI configuration list (default: NETWORK); plugins: more executables for the CNI directory, by path."""

    def __init__(self, network=None, plugins=()):
        super().__init__("containerd", "cni")
        self.plugins = "/run/cni-plugins"
        self.pods = []
        shutil.copytree(os.path.join(trees.tree("cni"), "usr/lib/cni"), self.plugins)
        for path in plugins:
            shutil.copy(path, self.plugins)
        self.set_network(network or NETWORK)
        os.makedirs("/etc/containerd", exist_ok=True)
        with open("/etc/containerd/config.toml", "w", encoding="ascii") as file:
            file.write(CONFIG.format(socket=SOCKET, image=image.NAME, plugins=self.plugins))
        self.daemon = self.cri = None
        self.start_containerd()
        archive = image.make_archive(image.make_root(os.path.join(DIR, "image")), os.path.join(DIR, "image.tar"))
        self.check("ctr", "-n", "k8s.io", "images", "import", "--snapshotter", "native", archive)

    def set_network(self, network):
        """containerd reads it anew by itself, soon."""
        shutil.rmtree("/etc/cni/net.d", ignore_errors=True)
        os.makedirs("/etc/cni/net.d")
        with open("/etc/cni/net.d/10-pods.conflist", "w", encoding="ascii") as file:
            json.dump(network, file)

    def start_containerd(self):
        """Until its CRI answers."""
        self.daemon = self.start("containerd", "-c", "/etc/containerd/config.toml", "-l", "info")
        self.kept.add(self.daemon)  # it is the next test's, too
        wait_until(lambda: os.path.exists(SOCKET) or self.daemon.popen.poll() is not None, "containerd's socket", 120)
        self.cri = self.cri or Cri(SOCKET)
        try:
            wait_until(self._answers, "containerd's CRI answers", 120)
        except Failed as failed:
            raise Skip(f"containerd doesn't run here: {failed}\n{self.daemon.text()[-2000:]}") from None

    def _answers(self):
        try:
            return self.cri.version()
        except grpc.RpcError:
            return None

    def stop_containerd(self):
        """Pods go on without it."""
        self.daemon.stop()
        self.processes.remove(self.daemon)
        os.unlink(SOCKET)

    def restart_containerd(self):
        self.stop_containerd()
        self.start_containerd()

    def new_pod(self, labels=None, annotations=None, host_network=False, start=True) -> Sandbox:
        """A pod; it goes with the test."""
        self.counter += 1
        pod = Sandbox(self, f"pod{self.counter}", labels, annotations, host_network, start=False)
        self.pods.append(pod)
        return pod.run() if start else pod

    def end_test(self):
        for pod in self.pods:
            try:
                if hasattr(pod, "id"):
                    pod.remove()
            except grpc.RpcError:
                pass  # the test has removed it, or containerd is gone
        self.pods = []
        super().end_test()

    def logs(self):
        text = super().logs()
        for directory, _, names in os.walk(os.path.join(DIR, "pods")):
            for name in sorted(names):
                with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                    text += f"--- {os.path.relpath(os.path.join(directory, name), DIR)}\n" + "".join(file.readlines()[-10:])
        return text
