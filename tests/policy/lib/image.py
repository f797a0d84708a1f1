"""The one image of the tests: busybox, the test's program and the example proxy, all static. Made here, from nothing."""

import hashlib
import io
import json
import os
import shutil
import tarfile

from common.process import Skip
from lib import trees

NAME = "policytest.local/all:1"


def make_root(directory):
    """Its root directory."""
    os.makedirs(os.path.join(directory, "bin"))
    for path, name in ((os.path.join(trees.tree("busybox"), "usr/bin/busybox"), "busybox"), (os.environ["TALK"], "talk"),
                       (os.environ["PROXY"], "original-destination")):
        with open(path, "rb") as program:
            if name != "busybox" and b"/lib64/ld-linux" in program.read(4096):
                raise Skip("there is no static libc: the image of the tests can't be made")
        shutil.copy(path, os.path.join(directory, "bin", name))
    for name in ("sh", "sleep", "cat"):
        os.symlink("busybox", os.path.join(directory, "bin", name))
    for name in ("proc", "sys", "dev", "etc", "tmp", "run", "usr", "lib", "lib64"):
        os.mkdir(os.path.join(directory, name))
    return directory


def _layer(root):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(root, arcname=".")
    return data.getvalue()


def make_archive(root, path):
    """A tar that `ctr images import` and `podman load` read."""
    layer = _layer(root)
    config = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "100000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [NAME], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in ((config_name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path
