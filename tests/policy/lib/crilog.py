"""Logs of containers, as CRI and podman's k8s-file have them: "TIME stdout F TEXT"."""

import os


def lines(path):
    """What a container printed; nothing if there is no log yet."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n").split(" ", 3)[3] for line in file if line.count(" ") >= 3]
