"""Runs the tests of one file in a World (lib/world.py)."""

from common.harness import run_tests
from lib.world import World


def main(file, *tests, **world_options):
    run_tests(file, tests, lambda: World(**world_options), programs=("dnsmasq", "dig"))
