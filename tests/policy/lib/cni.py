"""A network's plugins, run as the CNI specification has a runtime run them: ADD in order, CHECK in order, DEL in reverse, each given the
result of the one before it (ADD) or of the whole (CHECK, DEL)."""

import json
import os

from common.process import Failed

PLUGINS = "/run/cni-own"
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


class PluginFailed(Failed):
    """A plugin said no; error: the JSON that it printed."""

    def __init__(self, plugin, done):
        super().__init__(f"{plugin}: {done!r}")
        self.plugin, self.done = plugin, done
        self.error = json.loads(done.out)


def lay_out_plugins(packaged):
    """A directory with Debian's plugins, and ours under its name."""
    os.makedirs(PLUGINS)
    for name in os.listdir(packaged):
        os.symlink(os.path.join(packaged, name), os.path.join(PLUGINS, name))
    os.symlink(os.environ["STILE"], os.path.join(PLUGINS, "stile-cni"))


class Chain:
    """configuration: {"cniVersion", "name", "plugins"}. seen: (type, configuration, output) of each call."""

    def __init__(self, world, configuration, container="c0", ifname="eth0", annotations=None, args=""):
        self.world, self.configuration, self.container, self.ifname = world, configuration, container, ifname
        self.annotations, self.args, self.result, self.seen = annotations, args, None, []

    def _configuration_of(self, plugin, previous):
        own = {**plugin, "name": self.configuration["name"], "cniVersion": self.configuration["cniVersion"]}
        if previous is not None:
            own["prevResult"] = previous
        if plugin.get("capabilities", {}).get(ANNOTATIONS) and self.annotations is not None:
            own["runtimeConfig"] = {ANNOTATIONS: self.annotations}
        return own

    def call(self, plugin, command, netns, previous):
        own = self._configuration_of(plugin, previous)
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": self.container, "CNI_NETNS": netns, "CNI_IFNAME": self.ifname,
               "CNI_ARGS": self.args, "CNI_PATH": PLUGINS}
        done = self.world.command(os.path.join(PLUGINS, plugin["type"]), text=json.dumps(own), env=env)
        if done.status != 0:
            raise PluginFailed(plugin["type"], done)
        output = json.loads(done.out) if done.out.strip() else None
        self.seen.append((plugin["type"], own, output))
        return output

    def add(self, netns):
        previous = None
        for plugin in self.configuration["plugins"]:
            previous = self.call(plugin, "ADD", netns, previous)
        self.result = previous
        return previous

    def check(self, netns):
        for plugin in self.configuration["plugins"]:
            self.call(plugin, "CHECK", netns, self.result)

    def delete(self, netns):
        for plugin in reversed(self.configuration["plugins"]):
            self.call(plugin, "DEL", netns, self.result)

    def of(self, name):
        """(configuration, output) of the last call of a plugin."""
        return next((own, output) for type_, own, output in reversed(self.seen) if type_ == name)


def versions(world, plugin):
    done = world.command(os.path.join(PLUGINS, plugin), text='{"cniVersion":"1.0.0"}', env={"CNI_COMMAND": "VERSION"})
    return json.loads(done.out)["supportedVersions"]
