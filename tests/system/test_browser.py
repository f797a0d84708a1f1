#!/usr/bin/python3
"""A real browser reaches a web app by its name through `stile up`. (Heavy: `make browser-check` installs it.)"""

import shutil

from lib.harness import main
from common.process import Skip

# Chromium's own sandbox needs what a host in namespaces doesn't have; what it loads is ours.
BROWSER = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=/home/alice/browser"]


def page(lan, dns):
    if not shutil.which(BROWSER[0]):
        raise Skip(f"there is no {BROWSER[0]}")
    host = lan.host(dns=dns)
    host.log_in("alice", "a")
    before = host.settle()
    host.start_broker()
    session = host.up("alice")
    out = host.as_user("alice", *BROWSER, "--timeout=20000", "--dump-dom", "http://web.a.stile.test/", timeout=50)
    assert "stile from nginx" in out.out, out
    out = host.as_user("alice", *BROWSER, "--timeout=20000", "--dump-dom", "http://nosuch.a.stile.test/", timeout=50)
    assert "stile from nginx" not in out.out and "ERR_NAME_NOT_RESOLVED" in out.out + out.err, out
    assert session.stop() == 0
    host.assert_restored(before)


def chromium_through_resolved(lan):
    page(lan, "resolved")


def chromium_through_resolv_conf(lan):
    page(lan, "file")


if __name__ == "__main__":
    main(__file__, chromium_through_resolv_conf, chromium_through_resolved, clusters=("a",),
         prepare=lambda lan: lan.start_nginx("stile"))
