"""podman as root, with conmon and runc (crun refuses hybrid control groups), on the container host."""

import json
import os

from lib import crilog, image, trees
from lib.cni import PLUGINS, lay_out_plugins
from lib.world import DIR, NETWORK, PROXY_UID, Failed, Proxy, Skip, World, talked, wait_until

CONTAINERS_CONF = """\
[containers]
apparmor_profile = "unconfined"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "/etc/cni/net.d"
"""
STORAGE_CONF = """\
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""


class PodmanContainer:
    def __init__(self, world, name, *argv, network=None, pod=None, options=()):
        self.world, self.name = world, name
        where = ["--pod", pod] if pod else ["--network", network or world.network]
        self.id = world.podman("run", "-d", "--name", name, "--cgroup-parent", f"/{world.group}", *where, *options, image.NAME, *argv).strip()

    def inspect(self):
        return json.loads(self.world.podman("inspect", self.name))[0]

    def lines(self):
        return crilog.lines(f"/var/lib/containers/storage/vfs-containers/{self.id}/userdata/ctr.log")

    def wait_for(self, line):
        wait_until(lambda: line in self.lines(), f"{self.name} says {line!r}")
        return self

    def talk(self, *targets, user=None, wait_ms=10000):
        words = ["/bin/talk", "-w", str(wait_ms), *(["-u", user] if user else []), *targets]
        return talked(self.world.podman("exec", self.name, *words))


class PodmanWorld(World):
    """Its networks are CNI's: netavark would need iptables, and translate addresses."""

    network = "pods"

    def __init__(self):
        super().__init__("podman", "cni", "containerd")
        lay_out_plugins(os.path.join(trees.tree("cni"), "usr/lib/cni"))
        for path, text in (("/etc/containers/containers.conf", CONTAINERS_CONF.format(plugins=PLUGINS)),
                           ("/etc/containers/storage.conf", STORAGE_CONF)):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        os.makedirs("/etc/cni/net.d", exist_ok=True)
        self.new_network(self.network)
        archive = image.make_archive(image.make_root(os.path.join(DIR, "image")), os.path.join(DIR, "image.tar"))
        try:
            self.podman("load", "-i", archive)
        except Failed as failed:
            raise Skip(f"podman doesn't run here: {failed}") from None

    @staticmethod
    def new_network(name, *plugins):
        """Of the same bridge, with these plugins after it."""
        with open(f"/etc/cni/net.d/10-{name}.conflist", "w", encoding="ascii") as file:
            json.dump({**NETWORK, "name": name, "plugins": [*NETWORK["plugins"], *plugins]}, file)

    def podman(self, *words, **how):
        return self.check("podman", *words, **how)

    def container(self, name, *argv, **how):
        return PodmanContainer(self, name, *argv, **how)

    def proxy(self, *ports, uid=PROXY_UID, **how):
        """The example proxy; podman gives no CAP_NET_RAW by itself, and without there is no UDP."""
        container = self.container("proxy", "/bin/original-destination", "-u", str(uid), *(str(p) for p in ports),
                                   options=["--cap-add", "NET_RAW"], **how)
        return Proxy(container.wait_for("ready"))

    def end_test(self):
        self.command("podman", "pod", "rm", "-a", "-f", "-t", "0", timeout=60)
        for _ in range(2):  # those whose network others share go last
            self.command("podman", "rm", "-a", "-f", "-t", "0", timeout=60)
        super().end_test()
