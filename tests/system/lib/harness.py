"""Runs the tests of one file on a LAN (lan.py) with hosts (host.py)."""

from common.harness import run_tests
from lib.lan import Lan


def main(file, *tests, prepare=lambda lan: None, limit_s=300, **lan_options):
    """prepare: what all tests need, done once. limit_s: of one test."""
    def make():
        lan = Lan(**lan_options)
        prepare(lan)
        return lan
    run_tests(file, tests, make, programs=("dnsmasq", "dig", "openssl", "dbus-daemon"), root_only=True,
              limit_s=limit_s)
