"""Runs the tests of one file on a LAN (lan.py) with hosts (host.py)."""

from common.harness import run_tests
from lib.lan import Lan


def main(file, *tests, **lan_options):
    run_tests(file, tests, lambda: Lan(**lan_options), programs=("dnsmasq", "dig", "openssl", "dbus-daemon"), root_only=True)
